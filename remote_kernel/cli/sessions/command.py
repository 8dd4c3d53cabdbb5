"""`remote-kernel sessions`: which notebook has which session; `sessions stop` gives sessions back."""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from remote_kernel.core.errors import RemoteKernelError, UsageError
from remote_kernel.core.text.human_numbers import count_of, format_seconds
from remote_kernel.core.text.human_times import format_moment
from remote_kernel.core.text.terminal_text import aligned, one_line
from remote_kernel.io.system.event_loop import run_in_loop

if TYPE_CHECKING:
    from remote_kernel.cli.sessions.session_list import Row

DESCRIPTION = """\
List the sessions of your notebooks: whether the kernel is alive, what the pool says of the session, how long it has
been idle, and when the notebook's variables were saved last. Where a pool does not answer, or does not tell, the state
is not known. Sessions are shown by labels, as their identifiers are secrets.
"""

EPILOG = """\
examples:
  remote-kernel sessions --json
  remote-kernel sessions stop report.ipynb

exit status: 0, also when there are none; 2 settings cannot be used
"""

STOP_EPILOG = """\
examples:
  remote-kernel sessions stop 3f9a02c1
  remote-kernel sessions stop --all

exit status: 0 stopped; 1 a pool did not do it; 2 there is no such session
"""

STOP_SECONDS = 10.0


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command `sessions` with its own command `stop`."""
    parser = subparsers.add_parser(
        "sessions", help="list the sessions of your notebooks, stop them", description=DESCRIPTION, epilog=EPILOG,
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(handler=show)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    stop = commands.add_parser(
        "stop",
        help="give sessions back to their pools",
        description="Give sessions back, with their variables and files. A kernel that is alive takes a new one with "
        "its next cell, and says so.",
        epilog=STOP_EPILOG,
    )
    stop.add_argument("sessions", metavar="LABEL|NOTEBOOK", nargs="*", help="label, or path of the notebook")
    stop.add_argument("--all", action="store_true", help="every session in the list")
    stop.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="print what became of each as JSON"
    )
    stop.set_defaults(handler=stop_sessions)


def show(arguments: argparse.Namespace) -> int:
    from remote_kernel.cli.sessions.session_list import list_sessions, with_saves

    rows = with_saves(run_in_loop(list_sessions(arguments.environ)), arguments.environ)
    if arguments.json:
        print(json.dumps([row.to_json() for row in rows]))
    elif rows:
        print(table(rows))
    else:
        print("No notebook of yours has a session. The first cell of a notebook takes one.")
    return 0


def table(rows: "Sequence[Row]") -> str:
    from remote_kernel.io.local_pools import this_environment

    own = this_environment().endpoint
    lines: list[Sequence[str]] = [("SESSION", "KERNEL", "STATE", "IDLE", "KEPT FOR", "SAVED", "POOL", "NOTEBOOK")]
    for row in rows:
        kept = "-" if row.expires_in_seconds is None else format_seconds(row.expires_in_seconds)
        idle = format_seconds(row.idle_seconds)
        is_elsewhere = row.environment and row.endpoint != own
        pool = f"{row.pool} ({row.environment})" if is_elsewhere else row.pool
        saved = "-" if row.saved_at is None else format_moment(row.saved_at, time.time())
        cells = (row.label, row.kernel or "-", row.state, idle, kept, saved, pool, row.notebook or "-")
        lines.append([one_line(cell) for cell in cells])
    return "\n".join(aligned(lines))


def stop_sessions(arguments: argparse.Namespace) -> int:
    """Handle `sessions stop`; raises `UsageError` where nothing is to be stopped."""
    if bool(arguments.sessions) == arguments.all:
        raise UsageError("name sessions by label or notebook, or give --all: see 'remote-kernel sessions'")
    return run_in_loop(_stop_sessions(arguments))


async def _stop_sessions(arguments: argparse.Namespace) -> int:
    from remote_kernel.cli.sessions.session_list import list_sessions

    rows = await list_sessions(arguments.environ)
    chosen = rows if arguments.all else _choose(rows, arguments.sessions)
    outcomes = []
    # A session of several kernels is stopped once.
    for row in {(row.endpoint, row.identifier): row for row in reversed(chosen)}.values():
        users = [kernel for other in rows if _is_of_one_session(other, row) for kernel in other.known]
        alive = sum(kernel.is_alive for kernel in users)
        reason = await _try_to_stop(row, chosen, arguments.environ)
        outcomes.append({"label": row.label, "notebook": row.notebook, "stopped": not reason, "reason": reason})
        if not arguments.json:
            _tell(row, reason, alive)
    if arguments.json:
        print(json.dumps(outcomes))
    elif not outcomes:
        print("There is no session to stop.")
    return 0 if all(outcome["stopped"] for outcome in outcomes) else 1


async def _try_to_stop(row: "Row", chosen: "Sequence[Row]", environ: Mapping[str, str]) -> str:
    """Stop a session and forget the kernels in `chosen` that it had and that are gone; return why not, or ""."""
    from remote_kernel.cli.sessions.session_list import GONE

    try:
        if row.state != GONE:
            await _stop(row, environ)
    except (RemoteKernelError, TimeoutError) as error:
        return str(error) or "its pool does not answer"
    for kernel in (kernel for other in chosen if _is_of_one_session(other, row) for kernel in other.known):
        if not kernel.is_alive:
            kernel.forget()
    return ""


def _is_of_one_session(row: "Row", other: "Row") -> bool:
    return (row.endpoint, row.identifier) == (other.endpoint, other.identifier)


def _tell(row: "Row", reason: str, alive: int) -> None:
    if reason:
        print(f"remote-kernel: the session {row.label} was not stopped: {reason}", file=sys.stderr)
    else:
        of_notebook = f" of {one_line(row.notebook)}" if row.notebook else ""
        used = f" {count_of(alive, 'kernel')} that used it will say so in the next cell." if alive else ""
        print(f"Stopped the session {row.label}{of_notebook}.{used}")


def _choose(rows: "Sequence[Row]", wanted: Sequence[str]) -> "list[Row]":
    from remote_kernel.kernel.identity.notebook_path import canonical

    chosen = []
    for name in wanted:
        found = [row for row in rows if row.label == name]
        if not found:
            path = str(canonical(name))
            found = [row for row in rows if row.notebook == path]
        if not found:
            raise UsageError(f"there is no session {name!r}: see 'remote-kernel sessions'")
        chosen += found
    return chosen


async def _stop(row: "Row", environ: Mapping[str, str]) -> None:
    from remote_kernel.cli.sessions.session_list import choose_pool
    from remote_kernel.client.http.pool_client import PoolClient
    from remote_kernel.client.interpreter.executions import stop_session
    from remote_kernel.client.routes.pool_kind import PoolKind, PoolKindStore
    from remote_kernel.core.pools.local_pool import is_local
    from remote_kernel.kernel.folders import Folders
    from remote_kernel.kernel.session.releases import stop_pod

    pool = PoolClient(choose_pool(row.endpoint, environ), row.identifier)
    try:
        async with asyncio.timeout(STOP_SECONDS):
            # The local pool may be of either kind, and knows both requests.
            kind = PoolKindStore(Folders.of_user().runtime, row.endpoint).kind
            if is_local(row.endpoint) or kind is PoolKind.INTERPRETER:
                await stop_session(pool)
            else:
                await stop_pod(pool)
    finally:
        await pool.aclose()
