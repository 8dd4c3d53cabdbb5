"""`remote-kernel run`: execute notebooks in their remote sessions, without a front end.

Parse, prepare, execute, report: one function for each.
"""

import argparse
import shutil
import sys
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, TextIO

from remote_kernel.pool.options import parse_count, parse_seconds

if TYPE_CHECKING:
    from remote_kernel.cli.run.batch import Result

DEFAULT_KERNEL = "remote"

DESCRIPTION = """\
Execute notebooks from top to bottom, each in a fresh interpreter in its own remote session, and write the executed
notebooks. A notebook's own kernel setting is not used, its stored outputs are dropped first, cells tagged
"raises-exception" may raise, and cells tagged "skip-execution" are passed over. Strings have the same hashes in each
run (PYTHONHASHSEED is 0 in the session, unless it is set here).
"""

EPILOG = """\
examples:
  remote-kernel run report.ipynb -p year 2026 --html report.html
  remote-kernel run --verify notebooks/ --jobs 2 --junit results.xml

with --verify, these may differ: times of day; dates said to be of today ("today is …", "generated on …"); durations
with a unit of time; addresses of objects ("at 0x…"); UUIDs and names that end in 32 hexadecimal digits; the numbers
of cells, their files and the paths of packages in warnings; temporary paths; pod names; "pid 5", "localhost:5"; rates
in bytes; timeit's loops; progress bars; tracebacks; the colours of text; and how standard output and standard error
alternate. Everything may differ in a cell tagged "verify-ignore", and whatever matches REGEX in one tagged
"verify-ignore=REGEX", or a regular expression in the list "verify_ignore" under "remote_kernel" in the metadata of
the cell or notebook. Any other number is compared.

In a FILE of YAML, dates, times of day, and digits behind a zero, as of a postal code, are text.

OUT, and the FILE of --junit, may be a device or a pipe, such as /dev/stdout. What cannot be written where it was to go
is put beside it, or beside the notebook, as NAME.rescued.ipynb, and said. sys.exit(0) in a cell ends its notebook as a
success.

Ctrl-C interrupts the running cells, and what was executed so far is written; after a second one the kernels have two
seconds to give their sessions back. So does closing the terminal, unless 'nohup' is before the command.

exit status: 0 every cell ran, and with --verify gave the stored outputs; 1 a cell raised, took too long or gave other
outputs, with --verify a session differs from its lock, a kernel died, or what it printed could not be written; 2
something given cannot be used; 129 the terminal was closed, 130 Ctrl-C, 143 SIGTERM
"""

VERIFY_HELP = """\
compare the outputs with those stored in the notebook, say what differs, and write no notebook; what may differ is
listed below
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "run",
        help="execute notebooks and write or verify the results",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    add = parser.add_argument
    add(
        "notebooks", metavar="NOTEBOOK", type=Path, nargs="+",
        help="path of a notebook, or of a folder for all in it and below, without hidden ones and results of earlier "
        "runs",
    )  # fmt: skip
    add(
        "-o", "--output", metavar="OUT", type=Path,
        help="where the executed notebook goes, a folder for several (default: NAME.executed.ipynb beside NAME.ipynb; "
        "to overwrite the notebook itself, name it)",
    )  # fmt: skip
    add("--html", metavar="OUT", type=Path, help="write a report as one HTML page, too; a folder for several notebooks")
    add("--verify", action="store_true", help=VERIFY_HELP)
    add("--jobs", metavar="N", type=parse_count(1), default=1,
        help="how many notebooks run at once (default: %(default)s)")  # fmt: skip
    add(
        "-p", "--parameter", metavar=("NAME", "VALUE"), nargs=2, action="append", default=[], dest="parameters",
        help="a parameter, by papermill's conventions: a cell that sets it follows the one tagged 'parameters'",
    )  # fmt: skip
    add("-f", "--parameters-file", metavar="FILE", type=Path, help="parameters from a file of JSON or YAML")
    add(
        "--timeout", metavar="S", type=parse_seconds, dest="cell_seconds",
        help="interrupt a cell after this many seconds, its wait for a session included (default: no limit)",
    )  # fmt: skip
    add("--allow-errors", action="store_true", help="go on after a cell that raised")
    add("--kernel", metavar="NAME", default=DEFAULT_KERNEL, help="Jupyter kernel to use (default: %(default)s)")
    add(
        "--lock", metavar="FILE", type=Path,
        help="write down what the sessions had at the end: interpreter, platform, packages; where FILE is there "
        "already, say before the first cell what differs, which fails with --verify",
    )  # fmt: skip
    add("--junit", metavar="FILE", type=Path, help="write the results as JUnit XML, for CI systems")
    add("--json", action="store_true", help="print the results as JSON, and nothing else, on standard output")
    parser.set_defaults(handler=handle)


def handle(arguments: argparse.Namespace) -> int:
    """Execute the notebooks as the parsed `arguments` say and return the exit status."""

    from remote_kernel.cli.output.progress import choose_display
    from remote_kernel.cli.run.batch import execute_batch
    from remote_kernel.cli.run.preparation import prepare
    from remote_kernel.cli.run.result_files import is_standard_output
    from remote_kernel.io.system.event_loop import run_in_loop

    jobs = prepare(arguments)
    began = monotonic()
    results_paths = [path for job in jobs for path in (job.output, job.html) if path is not None]
    # Where a result goes, nothing else may.
    is_taken = any(map(is_standard_output, [*results_paths, *filter(None, [arguments.junit, arguments.lock])]))
    shown = sys.stderr if arguments.json or is_taken else sys.stdout
    with choose_display(jobs, shown, is_quiet=arguments.json) as display:
        results = run_in_loop(execute_batch(jobs, arguments.jobs, display))
    return report(arguments, results, monotonic() - began, shown)


def report(arguments: argparse.Namespace, results: "list[Result]", seconds: float, shown: TextIO) -> int:
    """Say how it went, to `shown` what is not JSON, and return the exit status; raises `NotWritten`."""
    import json

    from remote_kernel.cli.output.report import exit_status, explanation, to_json
    from remote_kernel.core.text.terminal_text import one_line

    for result in results:
        if text := explanation(result, names_notebook=len(results) > 1):
            print(text, file=sys.stderr)
    lock = results[0].job.plan.lock
    differences = lock.differences if lock is not None else []
    status = exit_status(results) or (1 if differences and arguments.verify else 0)
    if arguments.json:
        locked = {"lock_differences": differences} if lock is not None else {}
        print(json.dumps({**to_json(results, seconds), "status": status, **locked}))
    else:
        _print_summary(results, shown)
    if lock is not None and lock.write() and not arguments.json:
        print(one_line(str(lock.path)), file=shown)
    if arguments.junit is not None:
        _write_junit(arguments.junit, results)
    return status


def _write_junit(path: Path, results: "list[Result]") -> None:
    """Write the JUnit file; raises `NotWritten`, which says where it is instead."""
    from remote_kernel.cli.output.junit import to_junit
    from remote_kernel.cli.run.result_files import rescue, write_whole
    from remote_kernel.core.errors import NotWritten

    text = to_junit(results)
    try:
        write_whole(path, text)
    except NotWritten as error:
        rescued = rescue(path, text, results[0].job.path)
        raise NotWritten(str(error) if rescued is None else f"{error}; it is in {rescued} instead") from error


def _print_summary(results: "list[Result]", shown: TextIO) -> None:
    from remote_kernel.cli.output.report import summary, table

    if len(results) > 1:
        columns = shutil.get_terminal_size().columns if shown.isatty() else None
        print(table(results, columns), file=shown)
    elif results[0].written or results[0].job.is_verified:
        print(summary(results[0]), file=shown)
