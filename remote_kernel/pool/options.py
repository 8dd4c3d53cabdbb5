"""The options of the pool's command line."""

import argparse
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from remote_kernel.core.pools.cooldown import DEFAULT_COOLDOWN_SECONDS
from remote_kernel.core.pools.flavor import Flavor, Sandbox
from remote_kernel.core.text.shown_address import is_protected, without_secrets
from remote_kernel.io.http1.listening import parse_port
from remote_kernel.pool.sessions import DEFAULT_MAX_SESSIONS, DEFAULT_READY, Limits
from remote_kernel.pool.timings import DEFAULT_TIMINGS, Timings

N = TypeVar("N", int, float)

# Every kernel has up to three, and Azure's largest pools have 600 sessions.
MAX_CONNECTIONS = 2_000

DEFAULT_HOST = "127.0.0.1"
DEFAULT_IDLE_EXIT_SECONDS = 600.0  # a kernel that comes after that waits a second or two for a new pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options that a pool is started with.

    Attributes:
        port: 0 takes a free one.
        prints_json: whether the line that says that the pool is ready is JSON with endpoint and token.
        is_daemon: whether to go on in the background and to leave when unused.
        idle_exit_seconds: how long a daemon stays without a session.
        request_cap: after how many seconds a request to a pod is cut, as Azure does; `None` for never.
        flavor: what the pods are.
        sandbox: what their code is kept from.
        mounts_data: whether each pod has a `/mnt/data` of its own; `None` for where that costs nothing, and for pods of
            Azure's interpreter wherever the system lets us.
        forks: whether pods are copies of one process that has loaded what they need, where that can be.
        sync_limit: how long a synchronous execution may take, in seconds; `None` for as long as in Azure.
        issuer: whose tokens open the pool's sessions, besides the pool's own token; "" for nobody's.
        executors: object ids that have the role to use sessions; empty for everybody with a token of the issuer.
        max_connections: fewer are taken where few open files are allowed.
    """

    host: str
    port: int
    limits: Limits
    prints_json: bool
    is_daemon: bool
    idle_exit_seconds: float
    request_cap: float | None = None
    flavor: Flavor = Flavor.CUSTOM
    sandbox: Sandbox = Sandbox.NONE
    mounts_data: bool | None = None
    forks: bool = True
    sync_limit: float | None = None
    issuer: str = ""
    executors: frozenset[str] = frozenset()
    max_connections: int = MAX_CONNECTIONS
    timings: Timings = DEFAULT_TIMINGS


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--host", default=DEFAULT_HOST, help="address to listen on (default: %(default)s)")
    add("--port", type=parse_port, default=0, help="port to listen on; 0 takes a free one (default: %(default)s)")
    add(
        "--max-sessions", type=parse_count(1), default=DEFAULT_MAX_SESSIONS, metavar="N",
        help="how many sessions may be alive; one more gets status 429 (default: %(default)s)",
    )  # fmt: skip
    add(
        "--cooldown", type=parse_seconds, default=DEFAULT_COOLDOWN_SECONDS, metavar="SECONDS",
        help="how long a session is kept after its last call (default: %(default)g)",
    )  # fmt: skip
    add(
        "--ready", type=parse_count(0), default=DEFAULT_READY, metavar="N",
        help="how many pods wait for new sessions (default: %(default)s)",
    )  # fmt: skip
    add(
        "--request-cap", type=parse_seconds, metavar="SECONDS",
        help="cut requests that take longer, as Azure does after about 1800 (default: never)",
    )  # fmt: skip
    add(
        "--issuer", type=_issuer, metavar="URL",
        help="accept the tokens of this OpenID issuer for sessions, as Azure does those of Microsoft Entra ID",
    )  # fmt: skip
    add(
        "--executor", action="append", default=[], metavar="OBJECT_ID",
        help="with --issuer: who has the role to use sessions, again for each; others get status 403 "
        "(default: everybody with a token)",
    )  # fmt: skip
    add(
        "--flavor", choices=[flavor.value for flavor in Flavor], default=Flavor.CUSTOM.value,
        help="'interpreter': pods that know only Azure's interpreter API, as those of its built-in Python pools "
        "(default: %(default)s)",
    )  # fmt: skip
    add(
        "--sandbox", choices=[sandbox.value for sandbox in Sandbox], default=Sandbox.NONE.value,
        help="'strict': the code in the pods can neither write files nor start programs (default: %(default)s)",
    )  # fmt: skip
    add(
        "--mount-data", action=argparse.BooleanOptionalAction,
        help="give each pod a /mnt/data of its own, where Azure's pods have their files, or give it none "
        "(default: where that costs nothing, for root on a machine with nothing in /mnt)",
    )  # fmt: skip
    add("--no-fork", action="store_true", help="start each pod from nothing, not as a copy of one process (Linux)")
    # For tests, which have no 220 s.
    add("--sync-limit", type=parse_seconds, metavar="SECONDS", help=argparse.SUPPRESS)
    add("--json", action="store_true", help="print one line of JSON with endpoint and token when ready")
    add("--daemon", action="store_true", help="go to the background, and leave when unused for a while")
    add(
        "--idle-exit", type=parse_seconds, default=DEFAULT_IDLE_EXIT_SECONDS, metavar="SECONDS",
        help="how long a daemon stays without a session (default: %(default)g)",
    )  # fmt: skip


def options_from(arguments: argparse.Namespace) -> Options:
    """Return the options of a parsed command line."""
    return Options(
        host=arguments.host,
        port=arguments.port,
        limits=Limits(max_sessions=arguments.max_sessions, cooldown_seconds=arguments.cooldown, ready=arguments.ready),
        prints_json=arguments.json,
        is_daemon=arguments.daemon,
        idle_exit_seconds=arguments.idle_exit,
        request_cap=arguments.request_cap,
        flavor=Flavor(arguments.flavor),
        sandbox=Sandbox(arguments.sandbox),
        mounts_data=arguments.mount_data,
        forks=not arguments.no_fork,
        sync_limit=arguments.sync_limit,
        issuer=arguments.issuer or "",
        executors=frozenset(arguments.executor),
    )


def parse_count(least: int) -> Callable[[str], int]:
    """Return what reads a whole number; raises `argparse.ArgumentTypeError` for one below `least`."""
    return lambda text: _number(text, int, f"a whole number of {least} or more", lambda count: count >= least)


def parse_seconds(text: str) -> float:
    """Read a number of seconds; raises `argparse.ArgumentTypeError`."""
    return _number(text, float, "a number of seconds over 0", lambda seconds: 0 < seconds < float("inf"))


def _issuer(text: str) -> str:
    if "@" in text:
        raise argparse.ArgumentTypeError("it holds a password: leave it out of the URL")
    if not is_protected(text):  # whoever can change the keys on their way can make tokens
        raise argparse.ArgumentTypeError(
            f"{without_secrets(text)!r} is not an https:// address, nor an http:// one of this machine"
        )
    return text


def _number(text: str, kind: type[N], wanted: str, is_wanted: Callable[[N], bool]) -> N:
    with contextlib.suppress(ValueError):
        if is_wanted(number := kind(text)):
            return number
    raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
