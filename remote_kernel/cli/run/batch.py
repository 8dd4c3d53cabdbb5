"""Several notebooks executed, each by a kernel of its own, some of them at the same time."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from nbformat import NotebookNode

from remote_kernel.cli.run import notebook_files
from remote_kernel.cli.run.execution import (
    Cause,
    Failure,
    Listener,
    Outcome,
    Plan,
    code_cells,
    describe_defect,
    execute_notebook,
)
from remote_kernel.cli.run.result_files import rescue, write_whole
from remote_kernel.cli.signals import Signals, watch_signals
from remote_kernel.cli.verify.comparison import Difference, compare
from remote_kernel.core.errors import NotWritten


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Job:
    """One notebook to execute and what is to become of it.

    Attributes:
        path: as the user gave it.
        notebook: its cells, with the outputs that are stored.
        output: where the executed notebook goes; `None` for nowhere.
        html: where a report goes; `None` for nowhere.
        is_verified: whether to compare the outputs with those that are stored.
    """

    path: Path
    notebook: NotebookNode
    plan: Plan
    output: Path | None = None
    html: Path | None = None
    is_verified: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Result of one notebook of a batch.

    Attributes:
        written: the files.
        differences: what the comparison found, if there was one.
        problem: why a result could not be written; "" where all went well.
    """

    job: Job
    outcome: Outcome
    written: tuple[Path, ...] = ()
    differences: tuple[Difference, ...] = ()
    problem: str = ""

    @property
    def is_good(self) -> bool:
        """Return whether everything went as the user wanted it."""
        return self.outcome.failure is None and not self.differences and not self.problem

    @property
    def signal(self) -> int:
        """The signal that ended the run; 0 where there was none."""
        return self.outcome.failure.signal if self.outcome.failure is not None else 0


class Display(Listener):
    """Shows a batch while it runs; a context manager around it. It shows nothing but what a subclass does."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def notebook_started(self, job: Job) -> Listener:
        """Take note that a notebook begins, and return who listens to it."""
        return self

    def notebook_ended(self, result: Result) -> None:
        """Take note of what came of a notebook."""


async def execute_batch(jobs: Sequence[Job], at_once: int, display: Display) -> list[Result]:
    """Execute `jobs`, up to `at_once` of them at a time, and return their results in the same order.

    Must run in the main thread, which gets the signals; after one, nothing more is begun.
    """
    limit = asyncio.Semaphore(at_once)

    async def run(job: Job) -> Result:
        async with limit:
            try:
                result = await _run(job, display, signals)
            except Exception as error:  # it costs this notebook, and none of the others
                failure = describe_defect(error, Failure(cause=Cause.INSIDE))
                result = _not_started(job, failure)
            display.notebook_ended(result)
            return result

    async with watch_signals() as signals, asyncio.TaskGroup() as group:
        tasks = [group.create_task(run(job)) for job in jobs]
    return [task.result() for task in tasks]


async def _run(job: Job, display: Display, signals: Signals) -> Result:
    executed = notebook_files.without_outputs(job.notebook)
    if signals.received.is_set():
        return _not_started(job, Failure(cause=Cause.SIGNAL, signal=signals.number))
    outcome = await execute_notebook(executed, job.plan, display.notebook_started(job), signals)
    written: list[Path] = []
    problems: list[str] = []
    # A file that is there already is worth more than a notebook of which nothing was executed.
    if outcome.started or outcome.failure is None:
        await _write(job, executed, written, problems)
    return Result(
        job=job,
        outcome=outcome,
        written=tuple(written),
        differences=_compare(job, executed, outcome) if job.is_verified else (),
        problem="; ".join(problems),
    )


def _not_started(job: Job, failure: Failure) -> Result:
    cells = tuple(code_cells(job.notebook))
    return Result(job=job, outcome=Outcome(cells=cells, started=0, seconds=0.0, failure=failure))


async def _write(job: Job, executed: NotebookNode, written: list[Path], problems: list[str]) -> None:
    """Write the executed notebook and the report; add their paths to `written`, and what went wrong to `problems`."""
    result = notebook_files.with_merged_streams(executed)
    if job.output is not None:
        # In JSON's own notation for half of a surrogate pair, which UTF-8 cannot hold.
        _write_one(job.output, notebook_files.to_text(result), job, written, problems, errors="backslashreplace")
    if job.html is not None:
        try:
            # In a thread: the kernels of other notebooks have to be heard meanwhile.
            page = await asyncio.to_thread(notebook_files.render_html, result, job.path.stem)
        except Exception as error:  # nbconvert's templates read all that a notebook may hold
            problems.append(f"nbconvert cannot make {job.html}: {type(error).__name__}: {error}")
        else:
            _write_one(job.html, page, job, written, problems, errors="replace")


def _write_one(
    path: Path, text: str, job: Job, written: list[Path], problems: list[str], *, errors: str
) -> None:  # fmt: skip
    try:
        write_whole(path, text, errors=errors)
        written.append(path)
    except NotWritten as error:
        rescued = rescue(path, text, job.path, errors=errors)
        problems.append(str(error) if rescued is None else f"{error}; the result is in {rescued} instead")


def _compare(job: Job, executed: NotebookNode, outcome: Outcome) -> tuple[Difference, ...]:
    """Compare the cells that ended by themselves; the one that ended the run is explained by its failure."""
    ended = outcome.started - (outcome.failure is not None)
    return tuple(compare(job.notebook, executed, outcome.cells[:ended]))
