"""`remote-kernel doctor`: checks of what can go wrong, in the order in which it does."""

import argparse
import asyncio
import json
import shutil
import sys
import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING

from remote_kernel.core.text.terminal_text import PLAIN, one_line
from remote_kernel.io.system.event_loop import run_in_loop
from remote_kernel.pool.options import parse_seconds

if TYPE_CHECKING:
    from remote_kernel.cli.doctor.finding import Finding

# With the time that Python and the machine's own checks take, the whole is told within 15 s.
DEFAULT_TIMEOUT_SECONDS = 8.0

# As shells report a program that a signal ended.
SIGNAL_STATUS = 128

DESCRIPTION = """\
Check what a notebook needs, in the order in which it can go wrong: versions, kernels, Jupyter's folders, settings, the
identity key, the pool's address, connection, token and role, and, where the pool has room, one session, which is given
back. The first thing that does not work is told with what mends it.
"""

EPILOG = """\
examples:
  remote-kernel doctor
  remote-kernel doctor --endpoint https://<pool management endpoint> --json

exit status: 0 everything works; 1 something does not; 2 something given cannot be used; 130 Ctrl-C, 143 SIGTERM
"""

# Where the texts begin, behind status and check.
MARGIN = 23

_COLOURS = {"ok": "\x1b[32m", "note": "\x1b[33m", "failed": "\x1b[31m"}


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "doctor",
        help="check that notebooks can run, and say what to mend",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument("--endpoint", metavar="URL", help="the pool to check (default: as a kernel would choose)")
    parser.add_argument(
        "--timeout", metavar="S", type=parse_seconds, default=DEFAULT_TIMEOUT_SECONDS,
        help="how long the pool may take to answer; a cold pod of a large image takes minutes (default: %(default)g)",
    )  # fmt: skip
    parser.add_argument("--no-session", action="store_true", help="take no session of the pool")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(handler=handle)


def handle(arguments: argparse.Namespace) -> int:
    """Check, say what was found as it is found, and return the exit status."""
    findings, number = run_in_loop(_examine_until_signal(arguments))
    if number:
        return SIGNAL_STATUS + number
    is_good = all(finding.status != "failed" for finding in findings)
    if arguments.json:
        print(json.dumps({"ok": is_good, "checks": [asdict(finding) for finding in findings]}))
    return 0 if is_good else 1


async def _examine_until_signal(arguments: argparse.Namespace) -> "tuple[list[Finding], int]":
    """Return what was found, or the signal that ended the search; what it took is given back then, too."""
    from remote_kernel.cli.signals import watch_signals

    async with watch_signals() as signals:
        try:
            with signals.watch():
                return await _examine(arguments), 0
        except asyncio.CancelledError:
            if not signals.number:
                raise
            return [], signals.number


async def _examine(arguments: argparse.Namespace) -> "list[Finding]":
    from remote_kernel.cli.doctor.machine import check_machine
    from remote_kernel.cli.doctor.pool import check_pool

    environ = dict(arguments.environ)
    if arguments.endpoint is not None:
        environ["REMOTE_KERNEL_ENDPOINT"] = arguments.endpoint
    findings = []
    for finding in check_machine(environ):
        findings.append(finding)
        _show(finding, arguments)
    if findings[-1].status == "failed":
        return findings
    checks = check_pool(environ, timeout_seconds=arguments.timeout, takes_session=not arguments.no_session)
    async for finding in checks:
        findings.append(finding)
        _show(finding, arguments)
    return findings


def _show(finding: "Finding", arguments: argparse.Namespace) -> None:
    if arguments.json:
        return
    status = f"{_COLOURS[finding.status]}{finding.status:<7}{PLAIN}"
    text = one_line(finding.text)
    if sys.stdout.isatty():
        columns = max(shutil.get_terminal_size().columns - 1, MARGIN + 20)
        text = textwrap.fill(
            f"{'':{MARGIN}}{text}", columns, subsequent_indent=" " * MARGIN, break_on_hyphens=False,
            break_long_words=False,
        ).lstrip()  # fmt: skip
    print(f"{status} {finding.check:<14} {text}", flush=True)
