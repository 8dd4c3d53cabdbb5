"""Wake-ups of a kernel's readers, coalesced where more is about to follow.

Each time wakes the agent's own reader, the pool, the local kernel and the front end, one after the other, while the
interpreter wants a processor, too. That a request has begun shows nothing by itself, nor that it was received; and a
cell has ended with both its reply and its idle, which come on two channels in either order. So these wait for what
follows, for a time that nobody sees.
"""

import asyncio

# An eighth of what a screen takes to show the next picture.
GATHER_SECONDS = 0.002


class Wakeups:
    """Wakes readers.

    Args:
        gather_seconds: how long readers wait for what follows.

    Attributes:
        event: is set when there is something new; ask for it before looking.
    """

    def __init__(self, gather_seconds: float = GATHER_SECONDS) -> None:
        self._gather_seconds = gather_seconds
        self.event = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    def tell(self) -> None:
        """Have every reader look now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        event, self.event = self.event, asyncio.Event()
        event.set()

    def tell_soon(self) -> None:
        """Have every reader look with what comes next, or in a moment."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._gather_seconds, self.tell)
