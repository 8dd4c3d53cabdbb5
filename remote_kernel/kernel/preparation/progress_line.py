"""Progress of a preparation, said in the cell that waits for it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

from remote_kernel.client.retry import Wait
from remote_kernel.io.tasks import start

# Says in a cell what it waits for.
Show = Callable[[Wait], None]

UPDATE_SECONDS = 0.5


@contextlib.asynccontextmanager
async def showing(describe: Callable[[float], Wait], show: Show) -> AsyncIterator[None]:
    """Say what `describe` returns for each moment (monotonic seconds), while the body of the `with` runs."""
    updating = start(_update(describe, show), "progress line")
    try:
        yield
    finally:
        updating.cancel()
        await asyncio.gather(updating, return_exceptions=True)


async def _update(describe: Callable[[float], Wait], show: Show) -> None:
    while True:
        show(describe(time.monotonic()))
        await asyncio.sleep(UPDATE_SECONDS)
