"""The bar of a transfer, or of anything that can be measured, on a terminal."""

import sys
import time
from types import TracebackType
from typing import Protocol, Self

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from remote_kernel.cli.terminal import console_for
from remote_kernel.core.text.terminal_text import one_line, shortened

# What is said behind the bar has 42 columns at most, and a narrow terminal 80.
BAR_WIDTH = 12
NAME_WIDTH = 18


class Measured(Protocol):
    """Progress of something.

    Attributes:
        name: of what is on its way; "" where it has none.
        fraction: from 0 to 1.
    """

    @property
    def name(self) -> str: ...

    @property
    def fraction(self) -> float: ...

    def describe(self, now: float) -> str:
        """Return the state at `now` (monotonic seconds) as one line."""


class TransferBar:
    """One line on standard error that is gone when the transfer is over."""

    def __init__(self, progress: Measured) -> None:
        self._progress = progress
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=BAR_WIDTH),
            TaskProgressColumn(),
            TextColumn("{task.fields[detail]}", style="dim", markup=False),
            console=console_for(sys.stderr),
            transient=True,
            auto_refresh=False,
        )
        self._task = self._bar.add_task("", total=1.0, detail="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def update(self) -> None:
        """Show how far the transfer is now."""
        progress = self._progress
        self._bar.update(
            self._task,
            completed=progress.fraction,
            description=shortened(one_line(progress.name), NAME_WIDTH),
            detail=progress.describe(time.monotonic()),
            refresh=True,
        )
