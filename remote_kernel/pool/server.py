"""The pool as a running server, from its first pod to its last."""

import asyncio
import contextlib
import logging
import resource
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn

from remote_kernel.http1.server import ServerProtocol
from remote_kernel.pool.app import PoolApp
from remote_kernel.pool.callers import Callers
from remote_kernel.pool.options import Options
from remote_kernel.pool.page.recent_log import RecentLog
from remote_kernel.pool.session_pool import SessionPool

# Longer than any client keeps an idle connection, so that no client sends on one that the pool is just closing.
KEEPALIVE_SECONDS = 75

# Pods end what they were answering within a second; this is for clients that do not read.
SHUTDOWN_SECONDS = 3

# Every kernel has up to three, and Azure's largest pools have 600 sessions; one more gets status 503.
MAX_CONNECTIONS = 2_000
# Each session takes about seven: two pipes and a process, two connections to the pod, two or three to clients.
MAX_FILES = 8 * 1024

_pool_logger = logging.getLogger("remote_kernel.pool")

WILDCARD_HOSTS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def allow_many_files() -> None:
    """Raise this process's own limit of open files as far as the system lets it; many begin with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


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
    allow_many_files()
    stopped: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    _stop_on_signals(stopped)
    pool = make_pool()
    log = RecentLog()
    _pool_logger.addHandler(log)
    callers = _make_callers(options, token)
    app = PoolApp(pool, callers, options.flavor, options.request_cap, stop=lambda: _resolve(stopped, 0), log=log)
    server = _Server(_server_config(app))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    waits: set[asyncio.Future[int] | asyncio.Task[None]] = {stopped, serving}
    if options.is_daemon:
        waits.add(asyncio.create_task(pool.wait_unused(options.idle_exit_seconds)))
    try:
        pool.start()
        announce()
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        server.should_exit = True
        await pool.aclose()
        await serving
        for wait in waits - {stopped}:
            wait.cancel()
        _pool_logger.removeHandler(log)
    return stopped.result() if stopped.done() else 0


def _make_callers(options: Options, token: str) -> Callers:
    hosts = frozenset({options.host.lower()})
    if not options.issuer:
        return Callers(token, hosts)
    # Imported late: the cryptography in it takes a tenth of a second, and few pools need it.
    from remote_kernel.pool.issuer import Issuer

    return Callers(token, hosts, Issuer(options.issuer, options.executors))


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to us: uvicorn would raise them again at its end, and so end the process by signal."""
        yield


def _server_config(app: PoolApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=ServerProtocol,
        limit_concurrency=MAX_CONNECTIONS,
        ws="none",
        lifespan="off",
        # A pod's own headers pass; the pool adds none to them.
        server_header=False,
        date_header=False,
        proxy_headers=False,
        access_log=False,
        log_config=None,
        # A cut answer is an error to uvicorn; faults of our own are logged by the application.
        log_level="critical",
        timeout_keep_alive=KEEPALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


def _stop_on_signals(stopped: "asyncio.Future[int]") -> None:
    loop = asyncio.get_running_loop()
    for number, status in ((signal.SIGTERM, 0), (signal.SIGHUP, 0), (signal.SIGINT, 130)):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup means it
            loop.add_signal_handler(number, _resolve, stopped, status)


def _resolve(stopped: "asyncio.Future[int]", status: int) -> None:
    if not stopped.done():
        stopped.set_result(status)
