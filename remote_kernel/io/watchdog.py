"""A timer that is put off far more often than it goes off.

Streams wait for a next piece with a limit, and get it within milliseconds; a timer of the event loop for each of them,
made and cancelled, costs more than looking at the piece: 4 µs with `asyncio.Timeout.reschedule`, where this takes
0.6 µs. On its way a piece is waited for in three places.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing

_NEVER = float("inf")


class Watchdog:
    """Calls `bark`, in the event loop, when it has not been fed or put to rest in time."""

    def __init__(self, bark: Callable[[], None]) -> None:
        self._bark = bark
        self._loop = asyncio.get_running_loop()
        self._due = _NEVER
        self._looks_at = _NEVER
        self._timer: asyncio.TimerHandle | None = None

    def feed(self, seconds: float) -> None:
        """Bark in so many seconds (`inf` for never), and not before."""
        self._due = due = time.monotonic() + seconds
        if due < self._looks_at:
            self._set_timer()

    def rest(self) -> None:
        """Bark no more until it is fed again."""
        self._due = _NEVER

    def close(self) -> None:
        """Bark no more, and leave nothing behind in the event loop."""
        self.rest()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._looks_at = _NEVER

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._looks_at = self._due
        self._timer = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        self._timer, self._looks_at = None, _NEVER
        if self._loop.time() >= self._due:
            self.rest()
            self._bark()
        elif self._due < _NEVER:
            self._set_timer()


@asynccontextmanager
async def watched() -> AsyncIterator[Watchdog]:
    """Give a watchdog that ends the block with `TimeoutError`, whatever is waited for in it until it is put to rest."""
    async with asyncio.timeout(None) as limit:
        with closing(_Limiting(limit)) as watchdog:
            yield watchdog


class _Limiting(Watchdog):
    def __init__(self, limit: asyncio.Timeout) -> None:
        super().__init__(lambda: limit.reschedule(0.0))
        self._limit = limit

    def rest(self) -> None:
        super().rest()
        # What was waited for may come in the turn of the event loop in which the time is up, and before the end of it.
        if self._limit.when() is not None and not self._limit.expired():
            self._limit.reschedule(None)
