"""The pool as a running server, from its first pod to its last."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable

from remote_kernel.core.pools.pool_proof import PROOF_PATH
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.io.http1.serving import Server, stop_on_signals
from remote_kernel.io.system.open_files import allow_many_files
from remote_kernel.io.tasks import start
from remote_kernel.pool.front_door.app import PoolApp
from remote_kernel.pool.front_door.callers import Callers
from remote_kernel.pool.options import Options
from remote_kernel.pool.page.recent_log import RecentLog
from remote_kernel.pool.session_pool import SessionPool

# Pods end what they were answering within a second; this is for clients that do not read.
SHUTDOWN_SECONDS = 3

# However few open files are allowed.
MIN_CONNECTIONS = 4

# What the process itself has open, with connections that are about to be closed and pods that are about to start.
OWN_FILES = 48
# Two pipes, the process and how it has ended, a connection that is kept for the next call, and the file of its calls.
FILES_OF_A_POD = 6
# Itself and the one to the pod.
FILES_OF_A_CONNECTION = 2
# One for events, one for messages, and one for what a user asks besides.
CONNECTIONS_OF_A_SESSION = 3

_log = logging.getLogger(__name__)
_pool_logger = logging.getLogger("remote_kernel.pool")

WILDCARD_HOSTS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def connection_limit(files: int, pods: int, most: int) -> int:
    """Return how many connections, `most` or fewer, a process can serve that may have so many open files and pods."""
    left = files - OWN_FILES - pods * FILES_OF_A_POD
    return min(most, max(MIN_CONNECTIONS, left // FILES_OF_A_CONNECTION))


def endpoint_of(listener: socket.socket) -> str:
    """Return the URL by which a client on this machine reaches the listener."""
    host, port = listener.getsockname()[:2]
    host = WILDCARD_HOSTS.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(
    options: Options,
    listener: socket.socket,
    token: str,
    make_pool: Callable[[], SessionPool],
    announce: Callable[[], None],
) -> int:
    """Serve until a signal, a request to stop, or a daemon's time without a session; return the exit status."""
    limits = options.limits
    max_pods = limits.max_sessions + limits.ready
    max_connections = connection_limit(allow_many_files(), max_pods, options.max_connections)
    if max_connections < limits.max_sessions * CONNECTIONS_OF_A_SESSION:
        _log.warning(LogEvent("few open files allowed", max_connections=max_connections))
    stopped: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    stop_on_signals(lambda number: _resolve(stopped, 130 if number == signal.SIGINT else 0))
    pool = make_pool()
    log = RecentLog()
    _pool_logger.addHandler(log)
    callers = _make_callers(options, token)
    app = PoolApp(
        pool, callers, options.flavor, options.request_cap, options.timings.body_seconds,
        stop=lambda: _resolve(stopped, 0), log=log,
    )  # fmt: skip
    server = Server(
        app,
        protocol={
            "max_connections": max_connections,
            "open_paths": frozenset({PROOF_PATH}),
            "knows_callers": True,
            "head_seconds": options.timings.head_seconds,
        },
        date_header=False,  # a pod's own headers pass; the pool adds none to them
        log_level="critical",  # a cut answer is an error to uvicorn; faults of our own are logged by the application
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    serving = start(server.serve(sockets=[listener]), "server")
    waits: set[asyncio.Future[int] | asyncio.Task[None]] = {stopped, serving}
    if options.is_daemon:
        waits.add(start(pool.wait_unused(options.idle_exit_seconds), "idle exit"))
    try:
        pool.start()
        announce()
        done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        has_failed = serving in done or any(not wait.cancelled() and wait.exception() for wait in done)
        if serving in done and (serving.cancelled() or serving.exception() is None):
            _log.error(LogEvent("failed inside", task="server", reason="it has ended by itself"))
    finally:
        server.should_exit = True
        await pool.aclose()
        await asyncio.wait([serving])
        for wait in waits - {stopped}:
            wait.cancel()
        _pool_logger.removeHandler(log)
    return stopped.result() if stopped.done() else int(has_failed)


def _make_callers(options: Options, token: str) -> Callers:
    hosts = frozenset({options.host.lower()})
    if not options.issuer:
        return Callers(token, hosts)
    # Imported late: the cryptography in it takes a tenth of a second, and few pools need it.
    from remote_kernel.pool.front_door.issuer import Issuer

    return Callers(token, hosts, Issuer(options.issuer, options.executors))


def _resolve(stopped: "asyncio.Future[int]", status: int) -> None:
    if not stopped.done():
        stopped.set_result(status)
