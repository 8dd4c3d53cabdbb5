"""`remote-kernel run`: execute a notebook in its remote session, without a front end.

Parse, execute, write, report: one function for each, so that several notebooks, parameters and comparisons can be
put together from the same parts.
"""

import argparse
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from remote_kernel.cli.execution import Outcome

DEFAULT_KERNEL = "remote"

DESCRIPTION = """\
Execute a notebook from top to bottom, in a fresh interpreter in the notebook's own remote session, and write the
executed notebook. The notebook's own kernel setting is not used, its stored outputs are dropped first, and cells
tagged "raises-exception" may raise.
"""

EPILOG = """\
Ctrl-C interrupts the running cell, and what was executed so far is written; a second one leaves at once.
Exit status: 0 every cell ran; 1 a cell raised or took too long, or the kernel died; 2 something given cannot be used;
130 Ctrl-C, 143 SIGTERM.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One notebook to execute and where its results go; `html` is `None` for no report."""

    notebook: Path
    output: Path
    html: Path | None
    kernel: str
    cell_seconds: float | None
    allow_errors: bool


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `run` to the commands."""
    parser = subparsers.add_parser(
        "run", help="execute a notebook and write the result", description=DESCRIPTION, epilog=EPILOG
    )
    parser.add_argument("notebook", metavar="NOTEBOOK", type=Path)
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        type=Path,
        help="where the executed notebook goes (default: NAME.executed.ipynb beside NAME.ipynb; "
        "to overwrite the notebook itself, name it)",
    )
    parser.add_argument("--html", metavar="OUT", type=Path, help="write a report as one HTML page, too")
    parser.add_argument(
        "--timeout",
        metavar="S",
        type=parse_seconds,
        dest="cell_seconds",
        help="interrupt a cell after this many seconds, its wait for a session included (default: no limit)",
    )
    parser.add_argument("--allow-errors", action="store_true", help="go on after a cell that raised")
    parser.add_argument(
        "--kernel", metavar="NAME", default=DEFAULT_KERNEL, help="Jupyter kernel to use (default: %(default)s)"
    )
    parser.set_defaults(handler=handle)


def parse_seconds(text: str) -> float:
    """Read a number of seconds over 0."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds over 0")
    return seconds


def handle(arguments: argparse.Namespace) -> int:
    """Execute one notebook as the parsed `arguments` say and return the exit status."""
    job = Job(
        notebook=arguments.notebook,
        output=arguments.output or arguments.notebook.parent / f"{arguments.notebook.stem}.executed.ipynb",
        html=arguments.html,
        kernel=arguments.kernel,
        cell_seconds=arguments.cell_seconds,
        allow_errors=arguments.allow_errors,
    )
    notebook = prepare(job)
    outcome = execute(job, notebook)
    # A file that is there already is worth more than a notebook of which nothing was executed.
    written = write_results(job, notebook) if outcome.started or outcome.failure is None else []
    return report(outcome, written)


def prepare(job: Job) -> "NotebookNode":
    """Return the notebook to execute, without stored outputs.

    Raises:
        UsageError: it cannot be read, or a result could not be written where the user wants it.
    """
    from remote_kernel.cli import notebooks

    notebook = notebooks.read_notebook(job.notebook)
    notebooks.check_writable(job.output)
    if job.html is not None:
        notebooks.check_html_is_possible()
        notebooks.check_writable(job.html)
    return notebooks.without_outputs(notebook)


def execute(job: Job, notebook: "NotebookNode") -> "Outcome":
    """Execute `notebook` in place, showing what happens.

    Raises:
        UsageError: there is no such kernel.
    """
    import asyncio

    from remote_kernel.cli.execution import Plan, code_cells, execute_notebook
    from remote_kernel.cli.progress import choose_progress

    plan = Plan(
        path=job.notebook.parent.resolve() / job.notebook.name,
        kernel=job.kernel,
        cell_seconds=job.cell_seconds,
        allow_errors=job.allow_errors,
    )
    with choose_progress(sys.stdout, len(code_cells(notebook))) as progress:
        return asyncio.run(execute_notebook(notebook, plan, progress))


def write_results(job: Job, notebook: "NotebookNode") -> list[Path]:
    """Write the executed notebook and the report, and return their paths.

    Raises:
        NotWritten: the file system said no.
    """
    from remote_kernel.cli import notebooks

    result = notebooks.with_merged_streams(notebook)
    notebooks.write_whole(job.output, notebooks.to_text(result))
    if job.html is None:
        return [job.output]
    notebooks.write_whole(job.html, notebooks.render_html(result, title=job.notebook.stem))
    return [job.output, job.html]


def report(outcome: "Outcome", written: list[Path]) -> int:
    """Say how it went and return the exit status."""
    from remote_kernel.cli.report import exit_status, explanation, summary
    from remote_kernel.cli.transcript import strip_control_sequences

    if outcome.failure is not None:
        text = explanation(outcome, outcome.failure)
        print(text if sys.stderr.isatty() else strip_control_sequences(text), file=sys.stderr)
    if written:
        print(summary(outcome, written))
    return exit_status(outcome)
