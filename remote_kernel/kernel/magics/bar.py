"""Bar in a cell, for what takes longer than a moment."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Protocol

from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.io.tasks import start
from remote_kernel.kernel.frontend.channels import Channels
from remote_kernel.kernel.output.display import Display, Shown
from remote_kernel.kernel.requests.request import Interrupted, Request

# What is over sooner needs no bar.
PATIENCE_SECONDS = 0.25
UPDATE_SECONDS = 0.25


class Bar(Protocol):
    """Shows how far something is.

    Attributes:
        interrupted: what to say where the user has interrupted it.
    """

    @property
    def interrupted(self) -> str: ...

    def show(self) -> Shown:
        """Return how far it is."""

    def show_stopped(self) -> Shown:
        """Return how far it was when it ended early."""

    def show_done(self) -> Shown:
        """Return what is left of it when it is done."""


@contextlib.asynccontextmanager
async def showing(channels: Channels, request: Request, bar: Bar) -> AsyncIterator[None]:
    """Show a bar in a cell while the body of the `with` runs, and at its end what became of it.

    Raises:
        Interrupted: the body was cancelled.
    """
    if request.is_silent:
        yield
        return
    display = Display(channels, request.header)
    updating = start(_update(display, bar), "bar")
    try:
        yield
    except (RemoteKernelError, asyncio.CancelledError) as error:
        if display.is_shown:
            display.show(bar.show_stopped())
        if isinstance(error, RemoteKernelError):
            raise
        raise Interrupted(bar.interrupted) from None
    else:
        display.show(bar.show_done())
    finally:
        updating.cancel()
        await asyncio.gather(updating, return_exceptions=True)


async def _update(display: Display, bar: Bar) -> None:
    await asyncio.sleep(PATIENCE_SECONDS)
    while True:
        display.show(bar.show())
        await asyncio.sleep(UPDATE_SECONDS)
