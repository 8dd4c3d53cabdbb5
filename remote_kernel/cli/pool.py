"""`remote-kernel pool`: run a local session pool, look at the running one, stop it."""

import argparse
import asyncio
import json
import sys
import webbrowser
from collections.abc import Mapping
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

from remote_kernel.core.errors import UsageError
from remote_kernel.core.pools.local_pool import NOT_ON_WINDOWS, OPENER_FILE
from remote_kernel.io.local_pools import folder_of, this_environment
from remote_kernel.io.private_files import write_private
from remote_kernel.io.system.event_loop import run_in_loop
from remote_kernel.pool.options import add_options, options_from

NO_POOL = (
    "No local pool of this environment is running. "
    "A kernel without an endpoint starts one; so does 'remote-kernel pool'."
)
NO_POOL_AT_ALL = "No local pool of yours is running."


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command `pool` with its own commands `status` and `stop`."""
    parser = subparsers.add_parser(
        "pool",
        help="run a session pool on this machine",
        description="Run a session pool on this machine, in the foreground: an Azure-like front door whose pods are "
        "processes.",
        epilog="examples:\n  remote-kernel pool --max-sessions 20\n  remote-kernel pool --flavor interpreter --json\n\n"
        "exit status: 0 it was stopped; 1 it cannot listen, or cannot write its log, or, with --daemon, one "
        "of this environment is running already; 130 Ctrl-C",
    )
    add_options(parser)
    parser.set_defaults(handler=_run)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    no_pool = "exit status: 0 done; 1 there is no pool of this environment"
    status = commands.add_parser(
        "status",
        help="show the sessions of your running pools",
        description="Show the sessions of your running pools: their pods, how long they have been idle, and when they "
        "expire. Each environment has a pool of its own; this environment's comes first, and with --json the others "
        "are in 'others'. Sessions are shown by labels, as their identifiers are secrets.",
        epilog=f"example: remote-kernel pool status --open\n\n{no_pool}",
    )
    # `pool --json status` means the same: what stands before the command is not to be forgotten.
    status.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="print JSON, with endpoint and token"
    )
    status.add_argument(
        "--open", action="store_true", help="open the pool's page in a browser, by a link that works once"
    )
    status.set_defaults(handler=_status)
    stop = commands.add_parser(
        "stop",
        help="stop your running pool and its sessions",
        description="Stop the running pool of this environment and its sessions, whose variables and files are lost.",
        epilog=f"example: remote-kernel pool stop --all\n\n{no_pool}",
    )
    stop.add_argument("--all", action="store_true", help="the pools of all environments")
    stop.set_defaults(handler=_stop)


def _run(arguments: argparse.Namespace) -> int:
    if sys.platform == "win32":
        raise UsageError(NOT_ON_WINDOWS)
    from remote_kernel.pool.program import run

    return run(options_from(arguments), arguments.environ)


def _refuse_options(arguments: argparse.Namespace) -> None:
    """Raise `UsageError` where options of a pool stand before another command, which has no use for them."""
    defaults = argparse.ArgumentParser()
    add_options(defaults)
    given = options_from(arguments)
    if given != replace(options_from(defaults.parse_args([])), prints_json=given.prints_json):
        raise UsageError("the options of 'remote-kernel pool' are for a pool that it starts: leave them out here")


def _status(arguments: argparse.Namespace) -> int:
    from remote_kernel.client.local_pool import LocalPool

    _refuse_options(arguments)
    status = run_in_loop(LocalPool().status())
    others = run_in_loop(_other_statuses())
    link = run_in_loop(LocalPool().make_page_link()) if arguments.open else ""
    if link and status is not None:
        status["page"] = link
    if arguments.json:
        if status is not None or others:
            print(json.dumps((status or {}) | {"others": others}))
    elif shown := [pool for pool in (status, *others) if pool is not None]:
        print("\n\n".join(map(describe_status, shown)))
    if status is None or link is None:
        print(NO_POOL, file=sys.stderr)
        return 1
    if link:
        _open(link, arguments.environ)
    return 0


async def _other_statuses() -> list[dict[str, Any]]:
    """Return what the running pools of other environments say of themselves."""
    from remote_kernel.client.local_pool import LocalPool

    others = [pool for pool in LocalPool.of_all_environments() if not pool.is_own]
    return [status for status in await asyncio.gather(*(pool.status() for pool in others)) if status is not None]


def _stop(arguments: argparse.Namespace) -> int:
    from remote_kernel.client.local_pool import LocalPool

    _refuse_options(arguments)
    if arguments.all:
        return _stop_all()
    if not run_in_loop(LocalPool().stop()):
        print(NO_POOL, file=sys.stderr)
        return 1
    print("The local pool has stopped.")
    return 0


def _stop_all() -> int:
    from remote_kernel.client.local_pool import LocalPool

    count = sum(run_in_loop(pool.stop()) for pool in LocalPool.of_all_environments())
    if not count:
        print(NO_POOL_AT_ALL, file=sys.stderr)
        return 1
    print("The local pool has stopped." if count == 1 else f"{count} local pools have stopped.")
    return 0


def _open(link: str, environ: Mapping[str, str]) -> None:
    """Open the page in a browser, if this machine has one that is not a program in the terminal."""
    if sys.platform == "darwin" or any(environ.get(name) for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")):
        # By a file of the user's own: every user of the machine sees what a browser is started with.
        webbrowser.open(write_opener(link).as_uri())


def write_opener(link: str) -> Path:
    """Write the private file that leads a browser to `link`, and return its path."""
    path = folder_of(this_environment().name) / OPENER_FILE
    write_private(path, f'<!doctype html><meta http-equiv="refresh" content="0; url={escape(link)}">\n')
    return path


def describe_status(status: dict[str, Any]) -> str:
    """Return the running pool's status as text for people."""
    sessions = status["sessions"]
    lines = [
        f"Session pool at {status['endpoint']}, process {status['pid']}: "
        f"{len(sessions)} of {status['max_sessions']} sessions, {status['ready']} ready.",
        f"Environment: {status['python']}, version {status['version']}.",
    ]
    if sessions:
        lines.append(f"{'SESSION':<10}{'POD PROCESS':>12}{'CALLS':>8}{'IDLE':>8}{'EXPIRES IN':>12}")
    lines += [_describe_session(session) for session in sessions]
    if "page" in status:
        lines.append(f"Its page, by a link that works once and within two minutes:\n{status['page']}")
    return "\n".join(lines)


def _describe_session(session: dict[str, Any]) -> str:
    pid = session["pid"] or "starting"
    expires = session["expires_in_seconds"]
    left = "-" if expires is None else f"{expires:.0f} s"
    return f"{session['label']:<10}{pid:>12}{session['calls']:>8}{session['idle_seconds']:>6.0f} s{left:>12}"
