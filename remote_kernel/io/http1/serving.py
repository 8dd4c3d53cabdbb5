"""Running of our servers: uvicorn, without what it does for a program of its own."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from remote_kernel.io.http1.listening import ACCEPTED_AT_ONCE, QUEUE_LENGTH
from remote_kernel.io.http1.server import ServerProtocol

# Longer than any client of ours keeps an idle connection (`client.http.transport` for 110 s), so that none sends on one
# that is just being closed.
KEEP_ALIVE_SECONDS = 120


class Server(uvicorn.Server):
    """A server for an application, on listening sockets or on a Unix socket, that leaves the signals to us.

    It does nothing while nobody asks for anything: uvicorn looks ten times a second whether it is to end.

    Args:
        protocol: attributes of its `ServerProtocol`.
        options: of `uvicorn.Config`, besides those that all servers of ours have.

    Attributes:
        is_listening: is set when it listens.
    """

    def __init__(self, app: ASGIApp, *, uds: str | None = None, protocol: dict[str, Any], **options: Any) -> None:
        config = uvicorn.Config(
            app,
            uds=uds,
            http=type("Protocol", (ServerProtocol,), protocol),
            # The Unix socket is asyncio's own, and behind it is a pool that makes no more connections than it can have.
            backlog=QUEUE_LENGTH if uds else ACCEPTED_AT_ONCE,
            ws="none",
            lifespan="off",
            server_header=False,
            proxy_headers=False,
            access_log=False,
            log_config=None,  # its own would write the texts of errors, and what they were about
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            **options,
        )
        self._end = asyncio.Event()
        super().__init__(config)
        self.is_listening = asyncio.Event()

    @property
    def should_exit(self) -> bool:
        """Return whether it is to end."""
        return self._end.is_set()

    @should_exit.setter
    def should_exit(self, is_to_end: bool) -> None:
        if is_to_end:
            self._end.set()

    async def main_loop(self) -> None:
        """Wait for the end; `ServerProtocol` looks for the date."""
        await self._end.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone: uvicorn would raise them again at its end, and so end the process by signal."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(QUEUE_LENGTH)  # asyncio has set it to as many as it accepts at once
        self.is_listening.set()


def stop_on_signals(stop: Callable[[int], None]) -> None:
    """Call `stop` with the number of each signal that asks this process to end."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup means it
            asyncio.get_running_loop().add_signal_handler(number, stop, number)
