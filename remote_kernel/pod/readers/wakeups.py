"""Wake-ups of a kernel's readers, coalesced where more is about to follow.

Each time wakes the agent's own reader, the pool, the local kernel and the front end, one after the other, while the
interpreter wants a processor, too. That a request has begun shows nothing by itself, nor that it was received; and a
cell has ended with both its reply and its idle, which come on two channels in either order. So these wait for what
follows, for a time that nobody sees.
"""

import asyncio
from types import TracebackType

from remote_kernel.io.arrival import Arrival

# An eighth of what a screen takes to show the next picture.
GATHER_SECONDS = 0.002


class Wakeup:
    """The next time that readers look.

    Attributes:
        is_told: whether it has come.
    """

    def __init__(self) -> None:
        self.is_told = False
        self._waiting: list[Arrival] = []

    async def wait(self) -> None:
        """Return when there is something new; any number of tasks may wait."""
        if not self.is_told:
            arrival = Arrival()
            self._waiting.append(arrival)
            await arrival

    def tell(self) -> None:
        """Have those who wait go on: at once, where no task is running."""
        self.is_told = True
        for arrival in self._waiting:
            if not arrival.done():
                arrival.arrive()


class Wakeups:
    """Wakes readers. As a context it does so at its end, for all that is told within.

    Args:
        gather_seconds: how long readers wait for what follows.

    Attributes:
        next: comes when there is something new; ask for it before looking.
    """

    def __init__(self, gather_seconds: float = GATHER_SECONDS) -> None:
        self._gather_seconds = gather_seconds
        self.next = Wakeup()
        self._timer: asyncio.TimerHandle | None = None
        self._is_held = False
        self._is_due = False

    def __enter__(self) -> None:
        self._is_held = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_held = False
        if self._is_due:
            self.wake()

    def tell(self) -> None:
        """Have every reader look now, or at the end of the context."""
        if self._is_held:
            self._is_due = True
        else:
            self.wake()

    def wake(self) -> None:
        """Have every reader look now."""
        self._is_due = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        told, self.next = self.next, Wakeup()
        told.tell()

    def tell_soon(self) -> None:
        """Have every reader look with what comes next, or in a moment."""
        if self._timer is None and not self._is_due:
            self._timer = asyncio.get_running_loop().call_later(self._gather_seconds, self.tell)
