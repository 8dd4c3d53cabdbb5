"""The front end's side: five ZeroMQ sockets as a connection file describes them."""

import asyncio
import contextlib
import json
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import zmq

from remote_kernel.core.errors import SettingsError, WireError
from remote_kernel.core.jupyter import Author, Signer
from remote_kernel.core.wire import Channel
from remote_kernel.kernel.outbox import Outbox
from remote_kernel.private_files import write_private
from remote_kernel.zmq_socket import ZmqSocket

_SOCKET_TYPES = {
    Channel.SHELL: zmq.ROUTER,
    Channel.CONTROL: zmq.ROUTER,
    Channel.STDIN: zmq.ROUTER,
    # XPUB hears of subscriptions, and so can welcome a front end: from then on it misses nothing (JEP 65).
    Channel.IOPUB: zmq.XPUB,
}

# Front ends subscribe to everything; the topic is for people who look at the wire.
_TOPIC = b"remote"

# Front ends choose free ports before we bind them; meanwhile a connection of some other program may have taken one.
BIND_SECONDS = 2.0
BIND_AGAIN_SECONDS = 0.05

# Sockets of front ends that were connected to a kernel before us come back within a tenth of a second of each other.
GATHERING_SECONDS = 0.25

_CURVE_KEYS = ("curve_publickey", "curve_secretkey")

Handle = Callable[[Channel, list[bytes], tuple[bytes, ...]], Awaitable[None]]


@dataclass(slots=True)
class Connection:
    """A connection file.

    Attributes:
        path: where it is.
        transport: "tcp" or "ipc".
        ip: address, or for ipc the beginning of the sockets' paths.
        ports: by lower-case channel name, and "hb"; 0 picks a free one.
        curve: public and secret key of CurveZMQ, where the front end wants the transport encrypted.
    """

    path: Path
    transport: str
    ip: str
    key: bytes = field(repr=False)
    ports: dict[str, int]
    curve: tuple[bytes, bytes] | None = field(default=None, repr=False)

    @classmethod
    def read(cls, path: Path) -> "Connection":
        """Read a connection file.

        Raises:
            SettingsError: it is missing, or not one that we can serve.
        """
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            ports = {name: int(fields.get(f"{name}_port", 0)) for name in ("shell", "control", "stdin", "iopub", "hb")}
            key = str(fields.get("key", "")).encode()
            scheme = fields.get("signature_scheme", "hmac-sha256")
            transport, ip = fields.get("transport", "tcp"), fields.get("ip", "127.0.0.1")
            curve_keys = [str(fields[name]).encode() for name in _CURVE_KEYS if fields.get(name)]
        except OSError as error:
            raise SettingsError(f"The connection file {path} cannot be read: {error.strerror}.") from error
        except (ValueError, TypeError, AttributeError) as error:
            raise SettingsError(f"{path} is not a Jupyter connection file.") from error
        if scheme != "hmac-sha256" or transport not in {"tcp", "ipc"}:
            raise SettingsError(f"{path} asks for {transport!r} with {scheme!r}; use tcp or ipc with hmac-sha256.")
        curve = (curve_keys[0], curve_keys[1]) if len(curve_keys) == len(_CURVE_KEYS) else None
        return cls(path=path, transport=transport, ip=ip, key=key, ports=ports, curve=curve)

    def url(self, name: str) -> str:
        """Return the address to bind for a channel."""
        port = self.ports[name]
        if self.transport == "ipc":
            return f"ipc://{self.ip}-{port}"
        return f"tcp://{self.ip}:{port or '*'}"

    def save_ports(self) -> None:
        """Write the ports that were picked back to the file, for the front end to read."""
        fields: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
        fields |= {f"{name}_port": port for name, port in self.ports.items()}
        write_private(self.path, json.dumps(fields, indent=2))


class Channels:
    """The bound sockets, and the messages that we author ourselves on them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._signer = Signer(connection.key)
        self._author = Author(secrets.token_hex(16))
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._sockets: dict[Channel, ZmqSocket] = {}
        self._heartbeat_context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._outbox: Outbox | None = None
        self._is_heard = asyncio.Event()

    def bind(self) -> None:
        """Bind all five sockets and start the heartbeat.

        Raises:
            SettingsError: an address is in use or not ours.
        """
        was_picked = 0 in self._connection.ports.values()
        try:
            for channel, socket_type in _SOCKET_TYPES.items():
                socket = self._context.socket(socket_type)
                socket.set_hwm(0)  # replies are as many as requests; iopub has a limit of its own
                # Long enough for the last replies, short enough to go when the front end is gone.
                socket.linger = 500
                self._sockets[channel] = ZmqSocket(socket)
                if channel is Channel.IOPUB:
                    socket.setsockopt(zmq.XPUB_VERBOSE, 1)
                    self._outbox = Outbox(self._sockets[channel])
                self._bind(socket, channel.name.lower())
            self._start_heartbeat()
        except zmq.ZMQError as error:
            raise SettingsError(
                f"The addresses in {self._connection.path} cannot be used: {error.strerror}."
            ) from error
        if was_picked:
            self._connection.save_ports()

    def _bind(self, socket: "zmq.Socket[Any]", name: str) -> None:
        connection = self._connection
        if connection.transport == "ipc" and not connection.ports[name]:
            taken = {*connection.ports.values()}
            connection.ports[name] = next(
                port for port in range(1, 65536) if port not in taken and not Path(f"{connection.ip}-{port}").exists()
            )
        if connection.curve is not None:
            socket.curve_publickey, socket.curve_secretkey = connection.curve
            socket.curve_server = True
        _bind_patiently(socket, connection.url(name))
        if not connection.ports[name]:
            endpoint = bytes(socket.getsockopt(zmq.LAST_ENDPOINT))
            connection.ports[name] = int(endpoint.rstrip(b"\0").rsplit(b":", 1)[1])

    def _start_heartbeat(self) -> None:
        """Echo in a thread of its own, in C: it answers whatever the event loop does."""
        socket = self._heartbeat_context.socket(zmq.ROUTER)
        socket.linger = 0
        self._bind(socket, "hb")

        def echo() -> None:
            try:
                zmq.proxy(socket, socket)
            except zmq.ContextTerminated:
                socket.close()

        threading.Thread(target=echo, daemon=True, name="heartbeat").start()

    async def serve(self, handle: Handle) -> None:
        """Hand each message of a front end to `handle`, in order on each channel, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._welcome())
            for channel in (Channel.SHELL, Channel.CONTROL, Channel.STDIN):
                tasks.create_task(self._receive(channel, handle))

    async def _receive(self, channel: Channel, handle: Handle) -> None:
        socket = self._sockets[channel]
        while True:
            frames = await socket.receive()
            try:
                prefixes, parts = self._signer.from_zmq(frames)
                await handle(channel, prefixes, parts)
            except WireError:
                continue  # not from our front end, or not a message: there is nobody to tell

    async def _welcome(self) -> None:
        socket = self._sockets[Channel.IOPUB]
        while True:
            (event,) = await socket.receive()
            if event[:1] == b"\x01":
                topic = event[1:].decode(errors="replace")
                parts = self._author.write("iopub_welcome", {"subscription": topic}, date=datetime.now(UTC))
                self._send_out(self._signer.to_zmq(parts, [event[1:]]))
                self._is_heard.set()

    async def wait_heard(self, patience_seconds: float) -> None:
        """Return when front ends listen on iopub, or nobody has come for so long.

        What is published before is heard by nobody: sockets of front ends that were connected to the process before us
        need a moment to come back.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_seconds):
                await self._is_heard.wait()
            await asyncio.sleep(GATHERING_SECONDS)

    async def send(self, channel: Channel, prefixes: list[bytes], parts: tuple[bytes, ...]) -> None:
        """Send a message that exists already to the front end that `prefixes` names."""
        self._sockets[channel].send(self._signer.to_zmq(parts, prefixes))

    async def room(self) -> None:
        """Return when the front ends have taken enough of what was published for more to come."""
        assert self._outbox is not None
        await self._outbox.room()

    def publish(self, parts: tuple[bytes, ...]) -> None:
        """Send a message that exists already to every front end; who has many of them waits for `room` before each."""
        self._send_out(self._signer.to_zmq(parts, [_TOPIC]))

    def _send_out(self, frames: list[bytes]) -> None:
        assert self._outbox is not None
        self._outbox.put(frames)

    async def reply(
        self, channel: Channel, prefixes: list[bytes], msg_type: str, content: Mapping[str, Any], parent: bytes
    ) -> None:
        """Answer a request ourselves; `parent` is its header part."""
        await self.send(channel, prefixes, self._author.write(msg_type, content, parent=parent, date=datetime.now(UTC)))

    def say(self, msg_type: str, content: Mapping[str, Any], parent: bytes = b"{}") -> None:
        """Publish a message of our own on iopub."""
        self.publish(self._author.write(msg_type, content, parent=parent, date=datetime.now(UTC)))

    def close(self) -> None:
        """Close the sockets after their last messages have gone, or half a second."""
        if self._outbox is not None:
            self._outbox.close()
        for socket in self._sockets.values():
            socket.close()
        self._context.term()
        self._heartbeat_context.term()


def _bind_patiently(socket: "zmq.Socket[Any]", url: str) -> None:
    """Bind, and wait a little for an address that is in use; raises `zmq.ZMQError`."""
    gives_up_at = time.monotonic() + BIND_SECONDS
    while True:
        try:
            socket.bind(url)
        except zmq.ZMQError as error:
            if error.errno != zmq.EADDRINUSE or time.monotonic() > gives_up_at:
                raise
            time.sleep(BIND_AGAIN_SECONDS)  # nothing else is to be done before the sockets are there
        else:
            return
