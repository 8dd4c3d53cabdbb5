"""`remote-kernel pool`: run a local session pool, look at the running one, stop it."""

import argparse
import asyncio
import json
import sys
from typing import Any

from remote_kernel.pool.options import add_options, options_from

NO_POOL = "No local pool of yours is running. A kernel without an endpoint starts one; so does 'remote-kernel pool'."


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command `pool` with its own commands `status` and `stop`."""
    parser = subparsers.add_parser(
        "pool",
        help="run a session pool on this machine",
        description="Run a session pool on this machine, in the foreground: an Azure-like front door whose pods are "
        "processes.",
    )
    add_options(parser)
    parser.set_defaults(handler=_run)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    status = commands.add_parser("status", help="show the sessions of your running pool")
    status.add_argument("--json", action="store_true", help="print JSON, with endpoint and token")
    status.set_defaults(handler=_status)
    stop = commands.add_parser("stop", help="stop your running pool and its sessions")
    stop.set_defaults(handler=_stop)


def _run(arguments: argparse.Namespace) -> int:
    from remote_kernel.pool.program import run

    return run(options_from(arguments))


def _status(arguments: argparse.Namespace) -> int:
    from remote_kernel.client.local_pool import LocalPool

    status = asyncio.run(LocalPool().status())
    if status is None:
        print(NO_POOL, file=sys.stderr)
        return 1
    print(json.dumps(status) if arguments.json else describe_status(status))
    return 0


def _stop(_arguments: argparse.Namespace) -> int:
    from remote_kernel.client.local_pool import LocalPool

    if not asyncio.run(LocalPool().stop()):
        print(NO_POOL, file=sys.stderr)
        return 1
    print("The local pool has stopped.")
    return 0


def describe_status(status: dict[str, Any]) -> str:
    """Return the running pool's status as text for people."""
    sessions = status["sessions"]
    lines = [
        f"Session pool at {status['endpoint']}, process {status['pid']}: "
        f"{len(sessions)} of {status['max_sessions']} sessions, {status['ready']} ready."
    ]
    if sessions:
        lines.append(f"{'SESSION':<10}{'POD PROCESS':>12}{'CALLS':>8}{'IDLE':>8}{'EXPIRES IN':>12}")
    lines += [_describe_session(session) for session in sessions]
    return "\n".join(lines)


def _describe_session(session: dict[str, Any]) -> str:
    pid = session["pid"] or "starting"
    expires = session["expires_in_seconds"]
    left = "-" if expires is None else f"{expires:.0f} s"
    return f"{session['label']:<10}{pid:>12}{session['calls']:>8}{session['idle_seconds']:>6.0f} s{left:>12}"
