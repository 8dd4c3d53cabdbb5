"""Bar in a cell, for what takes longer than a moment."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Protocol

from remote_kernel.client.retry import Wait
from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.io.tasks import start
from remote_kernel.kernel.frontend.channels import Channels
from remote_kernel.kernel.output import style
from remote_kernel.kernel.output.display import Display, Shown
from remote_kernel.kernel.requests.request import Interrupted, Request

# What is over sooner needs no bar.
PATIENCE_SECONDS = 0.25
UPDATE_SECONDS = 0.25


class Measured(Protocol):
    """Progress of something.

    Attributes:
        name: of what it is at; "" where it has none.
        stopping_point: where it is, behind "stopped".
        wait: the trouble that it waits for to pass.
        fraction: from 0 to 1.
    """

    @property
    def name(self) -> str: ...

    @property
    def stopping_point(self) -> str: ...

    @property
    def wait(self) -> Wait | None: ...

    @property
    def fraction(self) -> float: ...

    def describe(self, now: float) -> str:
        """Return the state at `now` (monotonic seconds) as one line."""


class Bar:
    """Shows how far something is.

    Args:
        title: what it is.
        interrupted: what to say where the user has interrupted it.

    Attributes:
        done: what is left of it when it is done.
    """

    def __init__(self, progress: Measured, *, title: str, interrupted: str) -> None:
        self.progress = progress
        self.interrupted = interrupted
        self.done: Shown | None = None
        self._title = title

    @property
    def title(self) -> str:
        """The title, with the name of what it is at."""
        return f"{self._title}: {self.progress.name}" if self.progress.name else self._title

    def show(self) -> Shown:
        """Return how far it is."""
        colour = style.WARNING if self.progress.wait else style.ACCENT
        return self._show(self.progress.describe(time.monotonic()), colour)

    def show_stopped(self) -> Shown:
        """Return how far it was when it ended early."""
        return self._show(f"stopped {self.progress.stopping_point}", style.WARNING)

    def _show(self, detail: str, colour: str) -> Shown:
        title, fraction = self.title, self.progress.fraction
        return Shown(style.progress(title, detail, fraction, colour=colour), f"{title}: {fraction:.0%}, {detail}")


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
        if bar.done is not None:
            display.show(bar.done)
    finally:
        updating.cancel()
        await asyncio.gather(updating, return_exceptions=True)


async def _update(display: Display, bar: Bar) -> None:
    await asyncio.sleep(PATIENCE_SECONDS)
    while True:
        display.show(bar.show())
        await asyncio.sleep(UPDATE_SECONDS)
