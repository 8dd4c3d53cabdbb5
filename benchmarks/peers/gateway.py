"""Jupyter Server's way to a Kernel Gateway: what a user of JupyterLab has who started it with `--gateway-url`.

The front end stands where Jupyter Server stands, as it does for the other kernels, and uses what Jupyter Server uses:
`GatewayKernelManager` to start, interrupt and end a kernel, and `GatewayWebSocketConnection` for the messages. What
lies before that, a page and its WebSocket, is the same for every kernel, and is not measured.
"""

import asyncio
import contextlib
import json
import logging
import queue
from collections.abc import Callable, Coroutine, Iterator, Sequence
from threading import Thread
from typing import Any, TypeVar

from jupyter_client.jsonutil import json_default
from jupyter_client.session import Session
from jupyter_server.gateway.connections import GatewayWebSocketConnection
from jupyter_server.gateway.gateway_client import GatewayClient
from jupyter_server.gateway.managers import GatewayKernelManager
from jupyter_server.services.kernels.connection.base import deserialize_binary_message, serialize_binary_message
from tornado.web import HTTPError

from benchmarks.front_end import TIMEOUT_SECONDS, ConnectionLost, Message
from benchmarks.peers.servers import Server

T = TypeVar("T")

# Jupyter Server reports a connection that is lost, then tries again; here its end is what is reported.
_quiet = logging.getLogger("benchmarks.peers.gateway")
_quiet.addHandler(logging.NullHandler())
_quiet.propagate = False


class ServerLoop:
    """Jupyter Server's event loop, which answers pings, too, while the front end waits."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()

    @classmethod
    @contextlib.contextmanager
    def run(cls) -> Iterator["ServerLoop"]:
        self = cls()
        thread = Thread(target=self._loop.run_forever)
        thread.start()
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()

    def result_of(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run it to its end; raises `ConnectionLost` where Jupyter Server would show an HTTP error."""
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(TIMEOUT_SECONDS)
        except HTTPError as error:
            raise ConnectionLost(str(error)) from error

    def begin(self, coroutine: Coroutine[Any, Any, object]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        self._loop.call_soon_threadsafe(function, *arguments)


class _WebSocket(GatewayWebSocketConnection):
    """Hands on to a queue what Jupyter Server writes to the page; `None` when the connection to the gateway is lost."""

    def __init__(self, manager: GatewayKernelManager) -> None:
        super().__init__(parent=manager, log=_quiet)
        self.arrived: queue.SimpleQueue[str | bytes | None] = queue.SimpleQueue()
        self.observe(lambda _change: self.arrived.put(None), "retry")

    async def connect(self) -> None:
        """Connect, but not again once this kernel has been given up."""
        if not self.disconnected:
            await super().connect()

    def handle_outgoing_message(self, incoming_msg: str | bytes, *_arguments: object) -> None:
        self.arrived.put(incoming_msg)


class GatewayConnection:
    """A kernel in a Kernel Gateway."""

    pid = None

    def __init__(self, loop: ServerLoop, manager: GatewayKernelManager, web_socket: _WebSocket) -> None:
        self._loop = loop
        self._manager = manager
        self._web_socket = web_socket
        self._session = Session()

    @classmethod
    def start(cls, loop: ServerLoop, gateway: Server) -> "GatewayConnection":
        """Start a kernel; raises `ConnectionLost` where the gateway does not."""
        return loop.result_of(cls._start(loop, gateway))

    @classmethod
    async def _start(cls, loop: ServerLoop, gateway: Server) -> "GatewayConnection":
        # Jupyter Server has one gateway, and here are two: it asks for the address when a kernel starts, and later only
        # for the token, which is the same for both.
        GatewayClient.clear_instance()
        GatewayClient.instance(url=gateway.url, auth_token=gateway.token)
        manager = GatewayKernelManager(log=_quiet)
        await manager.start_kernel(kernel_name="python3")
        web_socket = _WebSocket(manager)
        await web_socket.connect()
        return cls(loop, manager, web_socket)

    def send(self, channel: str, msg_type: str, content: Message, buffers: Sequence[bytes] = ()) -> str:
        message = {**self._session.msg(msg_type, content), "channel": channel, "buffers": list(buffers)}
        # As JupyterLab writes it where the server offers no subprotocol, which with a gateway it does not.
        text = serialize_binary_message(message) if buffers else json.dumps(message, default=json_default)
        self._loop.call(self._web_socket.handle_incoming_message, text)
        return str(message["header"]["msg_id"])

    def receive(self, timeout_seconds: float) -> Sequence[tuple[str, Message]]:
        try:
            raw = self._web_socket.arrived.get(timeout=timeout_seconds)
        except queue.Empty:
            return []
        if raw is None:
            raise ConnectionLost("connection lost")
        message = json.loads(raw) if isinstance(raw, str) else deserialize_binary_message(raw)
        return [(message["channel"], message)]

    def interrupt(self) -> None:
        self._loop.begin(self._manager.interrupt_kernel())

    def close(self) -> None:
        self._loop.call(self._web_socket.disconnect)
        with contextlib.suppress(ConnectionLost, TimeoutError):  # then it ends with the gateway
            self._loop.result_of(self._manager.shutdown_kernel())
