"""Time that passes when a test says so."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

# More than any of what goes on then needs, as long as it waits for nothing else.
TURNS = 10


class PassingTime:
    """The clock of the event loop that runs, in seconds."""

    def __init__(self) -> None:
        self.now = asyncio.get_running_loop().time()

    @classmethod
    @contextmanager
    def stop(cls) -> Iterator["PassingTime"]:
        """Let time stand still, but for `wait`, until the end of the block."""
        loop, clock = asyncio.get_running_loop(), cls()
        real, loop.time = loop.time, lambda: clock.now  # type: ignore[method-assign]
        try:
            yield clock
        finally:
            loop.time = real  # type: ignore[method-assign]

    async def wait(self, seconds: float = 0.0) -> None:
        """Let so much time pass, and everything come to rest."""
        self.now += seconds
        for _ in range(TURNS):
            await asyncio.sleep(0)
