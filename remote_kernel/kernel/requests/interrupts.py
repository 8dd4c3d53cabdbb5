"""Interrupts on their way to the pod, and what the user is told of one that does not arrive."""

import asyncio
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime

from remote_kernel.client.link.link import Link
from remote_kernel.client.retry import Wait
from remote_kernel.core.jupyter.interrupt_aim import Aim
from remote_kernel.core.jupyter.messages import Author, parse_header
from remote_kernel.core.wire.frames import Channel, Message
from remote_kernel.kernel.output.waiting_line import WaitingLine

UNREACHABLE = Wait("the session cannot be reached to interrupt it (interrupt again to stop waiting)")

# A pod that is there acknowledges an interrupt within milliseconds.
INTERRUPT_SECONDS = 2.0

# Front ends interrupt a kernel before they shut it down, in one go; nobody else's cell is to be hit by that.
SHUTDOWN_FOLLOWS_SECONDS = 0.25


class Interrupts:
    """The interrupts that the pod has not acknowledged.

    Attributes:
        are_told: whether the user knows that they have not arrived.
    """

    def __init__(self, line: WaitingLine) -> None:
        self.are_told = False
        self._line = line
        self._msg_ids: set[str] = set()
        self._given_up: set[str] = set()
        self._asked: dict[str, frozenset[str]] = {}
        self._author = Author(f"kernel-{secrets.token_hex(8)}")
        self._timer: asyncio.TimerHandle | None = None
        self._held: asyncio.TimerHandle | None = None

    def send(self, link: Link, message: Message, msg_id: str) -> None:
        """Send one; the user is told unless it is acknowledged soon."""
        self._msg_ids.add(msg_id)
        link.send(message)
        if not link.is_attached:
            self._tell()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(INTERRUPT_SECONDS, self._tell)

    def send_soon(self, link: Link, message: Message, msg_id: str) -> None:
        """Send one that may hit another kernel's cell, unless a shutdown follows."""
        self._withdraw()
        self._held = asyncio.get_running_loop().call_later(SHUTDOWN_FOLLOWS_SECONDS, self.send, link, message, msg_id)

    def _withdraw(self) -> None:
        if self._held is not None:
            self._held.cancel()

    def _tell(self) -> None:
        self.are_told = True
        self._line.begin(UNREACHABLE)

    async def acknowledge(self, msg_id: str) -> None:
        """Note that a message has its reply, if it is one of them."""
        if (cells := self._asked.pop(msg_id, None)) is not None:
            self._given_up -= cells
            if not self._given_up:
                self._asked.clear()
        if msg_id in self._msg_ids:
            was_told = self.are_told
            self.forget()
            if was_told:
                await self._line.end()

    def give_up(self, link: Link, cells: Iterable[str]) -> None:
        """Have the cells that were freed here interrupted in the session, if they run there when it is back.

        That goes ahead of the next cell, which would wait for them, and is asked for until the pod has acknowledged it:
        it interrupts each of them once.
        """
        self._given_up |= set(cells)
        self.ask_again(link)

    def ask_again(self, link: Link) -> None:
        """Send that once more, as it may have been dropped with other messages."""
        if self._given_up:
            aim = Aim(cells=frozenset(self._given_up), is_exclusive=True)
            header, parent, metadata, _ = self._author.write("interrupt_request", {}, date=datetime.now(UTC))
            self._asked[parse_header(header).msg_id] = aim.cells
            message = Message(channel=Channel.CONTROL, parts=(header, parent, metadata, aim.to_content()))
            link.send(message, behind=Channel.SHELL)

    def forget_given_up(self) -> None:
        """Note that the session is gone, and the cells with it."""
        self._given_up.clear()
        self._asked.clear()

    def forget(self) -> None:
        """Wait for none of them any more."""
        self._msg_ids.clear()
        self.are_told = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Send and expect nothing any more."""
        self._withdraw()
        self.forget()
