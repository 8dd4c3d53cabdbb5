"""Progress of several notebooks: a bar for each on a terminal, a line for each elsewhere.

What the cells print is in the executed notebooks; shown at the same time it would be a jumble.
"""

import shutil
from typing import Self, TextIO

from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column
from rich.text import Text

from remote_kernel.cli.output.progress import Lines
from remote_kernel.cli.output.report import count_cells, verdict
from remote_kernel.cli.run.batch import Display, Job, Result
from remote_kernel.cli.run.execution import Listener, code_cells
from remote_kernel.cli.terminal import console_for
from remote_kernel.core.text.terminal_text import one_line


class PlainBatch(Display):
    """A line when a notebook begins and one when it ends; a stream of `None` shows nothing."""

    def __init__(self, stream: TextIO | None) -> None:
        self._lines = Lines(stream)

    def notebook_started(self, job: Job) -> Listener:
        self._lines.write([f"{one_line(str(job.path))}: started"])
        return Listener()

    def notebook_ended(self, result: Result) -> None:
        outcome = result.outcome
        path = one_line(str(result.job.path))
        self._lines.write([f"{path}: {verdict(result)}, {count_cells(outcome)} in {outcome.seconds:.1f} s"])


class TerminalBatch(Display):
    """A bar for all notebooks and one for each that runs; those that went wrong stay to be seen."""

    def __init__(self, stream: TextIO, total: int) -> None:
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False, table_column=_one_line_column()),
            BarColumn(),
            _StateColumn(table_column=_one_line_column()),
            TimeElapsedColumn(),
            console=console_for(stream),
            transient=True,
        )
        self._total = total
        self._ended = 0
        self._bad = 0
        self._all = self._bars.add_task("all notebooks", total=total, state=f"0 of {total}")
        self._tasks: dict[Job, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def notebook_started(self, job: Job) -> Listener:
        total = len(code_cells(job.notebook))
        task = self._bars.add_task(one_line(str(job.path)), total=total, state="starting the kernel")
        self._tasks[job] = task
        return _Bar(self._bars, task, total)

    def notebook_ended(self, result: Result) -> None:
        self._ended += 1
        self._bad += not result.is_good
        state = f"{self._ended} of {self._total}" + (f", {self._bad} not good" if self._bad else "")
        self._bars.update(self._all, advance=1, state=state)
        task = self._tasks.pop(result.job, None)
        if task is not None and result.is_good:
            self._bars.remove_task(task)
        elif task is not None:
            self._bars.update(task, state=Text(verdict(result), style="red"))
            self._bars.stop_task(task)


def _one_line_column() -> Column:
    """Return a column that has a third of the line at most, and so leaves something to the others."""
    return Column(no_wrap=True, overflow="ellipsis", max_width=max(shutil.get_terminal_size().columns // 3, 13))


class _StateColumn(ProgressColumn):
    """State of a notebook, as text: never as rich's markup, which a pod could write, too."""

    def render(self, task: Task) -> Text:
        state = task.fields["state"]
        return state if isinstance(state, Text) else Text(str(state))


class _Bar(Listener):
    """The bar of one notebook."""

    def __init__(self, bars: Progress, task: TaskID, total: int) -> None:
        self._bars = bars
        self._task = task
        self._total = total

    def cell_started(self, number: int, source: str) -> None:
        self._bars.update(self._task, state=f"cell {number} of {self._total}")

    def cell_interrupted(self) -> None:
        self._bars.update(self._task, state="interrupting")

    def cell_ended(self) -> None:
        self._bars.advance(self._task)
