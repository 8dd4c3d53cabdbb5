"""Interrupts on their way to the pod, and what the user is told of one that does not arrive."""

from collections.abc import Iterable, Iterator
from math import inf
from typing import NamedTuple

from remote_kernel.client.retry import Wait
from remote_kernel.core.jupyter.interrupt_aim import Aim
from remote_kernel.core.wire.frames import Message
from remote_kernel.kernel.requests.effects import BeginLine, Effect, Send, SendInterrupt, Step

UNREACHABLE = Wait("the session cannot be reached to interrupt it (interrupt again to stop waiting)")

# A pod that is there acknowledges an interrupt within milliseconds.
INTERRUPT_SECONDS = 2.0

# Front ends interrupt a kernel before they shut it down, in one go; nobody else's cell is to be hit by that.
SHUTDOWN_FOLLOWS_SECONDS = 0.25


class Held(NamedTuple):
    """An interrupt that waits for whether a shutdown follows."""

    message: Message
    msg_id: str
    sent_at: float


class Interrupts:
    """The interrupts that the pod has not acknowledged. Times are monotonic seconds.

    Args:
        ids: of messages of our own.

    Attributes:
        are_told: whether the user knows that they have not arrived.
    """

    def __init__(self, ids: Iterator[str]) -> None:
        self.are_told = False
        self._ids = ids
        self._msg_ids: set[str] = set()
        self._tell_at = inf
        self._held: Held | None = None
        self._given_up: set[str] = set()
        self._asked: dict[str, frozenset[str]] = {}

    @property
    def deadline(self) -> float:
        """Return when to call `wake`; infinite for never."""
        return min(self._tell_at, self._held.sent_at) if self._held else self._tell_at

    def send(self, message: Message, msg_id: str, *, is_attached: bool, now: float) -> list[Effect]:
        """Send one; the user is told unless it is acknowledged soon."""
        self._msg_ids.add(msg_id)
        if not is_attached:
            return [Send(message), *self._tell()]
        if self._tell_at == inf and not self.are_told:
            self._tell_at = now + INTERRUPT_SECONDS
        return [Send(message)]

    def send_soon(self, message: Message, msg_id: str, *, now: float) -> None:
        """Send one that may hit another kernel's cell, unless a shutdown follows."""
        self._held = Held(message, msg_id, now + SHUTDOWN_FOLLOWS_SECONDS)

    def wake(self, *, is_attached: bool, now: float) -> list[Effect]:
        effects: list[Effect] = []
        if self._held is not None and self._held.sent_at <= now:
            held, self._held = self._held, None
            effects += self.send(held.message, held.msg_id, is_attached=is_attached, now=now)
        if self._tell_at <= now:
            effects += self._tell()
        return effects

    def _tell(self) -> list[Effect]:
        self.are_told = True
        self._tell_at = inf
        return [BeginLine(UNREACHABLE)]

    def acknowledge(self, msg_id: str) -> list[Effect]:
        """Note that the pod has one of them."""
        if (cells := self._asked.pop(msg_id, None)) is not None:
            self._given_up -= cells
            if not self._given_up:
                self._asked.clear()
        if msg_id not in self._msg_ids:
            return []
        was_told = self.are_told
        self.forget()
        return [Step.END_LINE] if was_told else []

    def give_up(self, cells: Iterable[str]) -> list[Effect]:
        """Have the cells that were freed here interrupted in the session, if they run there when it is back.

        That goes ahead of the next cell, which would wait for them, and is asked for until the pod has acknowledged it:
        it interrupts each of them once.
        """
        self._given_up |= set(cells)
        return self.ask_again()

    def ask_again(self) -> list[Effect]:
        """Send that once more, as it may have been dropped with other messages."""
        if not self._given_up:
            return []
        aim = Aim(cells=frozenset(self._given_up), is_exclusive=True)
        msg_id = next(self._ids)
        self._asked[msg_id] = aim.cells
        return [SendInterrupt(msg_id, aim)]

    def forget_given_up(self) -> None:
        """Note that the session is gone, and the cells with it."""
        self._given_up.clear()
        self._asked.clear()

    def forget(self) -> None:
        """Wait for none of them any more."""
        self._msg_ids.clear()
        self.are_told = False
        self._tell_at = inf

    def close(self) -> None:
        """Send and expect nothing any more."""
        self._held = None
        self.forget()
