"""Interrupts on their way to the pod, and what the user is told of one that does not arrive."""

import asyncio

from remote_kernel.client.link import Link
from remote_kernel.client.retry import Wait
from remote_kernel.core.wire import Message
from remote_kernel.kernel.notices import WaitingLine

UNREACHABLE = Wait("the session cannot be reached to interrupt it (interrupt again to stop waiting)")

# A pod that is there acknowledges an interrupt within milliseconds.
INTERRUPT_SECONDS = 2.0


class Interrupts:
    """The interrupts that the pod has not acknowledged.

    Attributes:
        are_told: whether the user knows that they have not arrived.
    """

    def __init__(self, line: WaitingLine) -> None:
        self.are_told = False
        self._line = line
        self._msg_ids: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None

    def send(self, link: Link, message: Message, msg_id: str) -> None:
        """Send one; the user is told unless it is acknowledged soon."""
        self._msg_ids.add(msg_id)
        link.send(message)
        if not link.is_attached:
            self._tell()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(INTERRUPT_SECONDS, self._tell)

    def _tell(self) -> None:
        self.are_told = True
        self._line.begin(UNREACHABLE)

    async def acknowledge(self, msg_id: str) -> None:
        """Note that a message has its reply, if it is one of them."""
        if msg_id in self._msg_ids:
            was_told = self.are_told
            self.forget()
            if was_told:
                await self._line.end()

    def forget(self) -> None:
        """Wait for none of them any more."""
        self._msg_ids.clear()
        self.are_told = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
