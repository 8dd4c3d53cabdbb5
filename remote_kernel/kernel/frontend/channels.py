"""The front end's side: five ZeroMQ sockets as a connection file describes them."""

import asyncio
import contextlib
import logging
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import zmq

from remote_kernel.core.errors import SettingsError, WireError
from remote_kernel.core.jupyter.messages import Author, Signer, with_version
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.core.text.tally import Tally
from remote_kernel.core.wire.frames import Channel
from remote_kernel.io.tasks import go_on, is_cancelled
from remote_kernel.io.zmq_socket import ZmqSocket
from remote_kernel.kernel.frontend.connection_file import Connection
from remote_kernel.kernel.frontend.iopub_queue import IopubQueue
from remote_kernel.kernel.frontend.prompts import Prompts
from remote_kernel.kernel.frontend.timings import Timings

_log = logging.getLogger(__name__)

DEFAULT_TIMINGS = Timings()

_SOCKET_TYPES = {
    Channel.SHELL: zmq.ROUTER,
    Channel.CONTROL: zmq.ROUTER,
    Channel.STDIN: zmq.ROUTER,
    # XPUB hears of subscriptions, and so can welcome a front end: from then on it misses nothing (JEP 65).
    Channel.IOPUB: zmq.XPUB,
}

# Front ends subscribe to everything; the topic is for people who look at the wire.
_TOPIC = b"remote"

BIND_AGAIN_SECONDS = 0.05

# Whoever can connect to a port may announce a message of any size, for which ZeroMQ makes room before anybody has seen
# its signature. Front ends send less than this: what is larger than 256 MB is refused with a sentence, and a page
# cannot have a string of more than 512 MB. A heartbeat has four bytes.
MAX_FRAME_BYTES = 1024 * 1024 * 1024
MAX_HEARTBEAT_BYTES = 4 * 1024

# Sockets of front ends that were connected to a kernel before us come back within a tenth of a second of each other.
GATHERING_SECONDS = 0.25

Handle = Callable[[Channel, list[bytes], tuple[bytes, ...]], Awaitable[None]]


class Channels:
    """The bound sockets, and the messages that we author ourselves on them."""

    def __init__(self, connection: Connection, timings: Timings = DEFAULT_TIMINGS) -> None:
        self._connection = connection
        self._timings = timings
        self._signer = Signer(connection.key, connection.hash_name)
        self._author = Author(secrets.token_hex(16))
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._sockets: dict[Channel, ZmqSocket] = {}
        self._heartbeat_context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._heartbeat_end: asyncio.Future[None] | None = None
        self._iopub_queue: IopubQueue | None = None
        self._prompts: Prompts | None = None
        self._refused = Tally()

    def bind(self) -> None:
        """Bind all five sockets and start the heartbeat.

        Raises:
            SettingsError: an address is in use, and was so for `Timings.bind_seconds`, or not ours.
        """
        was_picked = 0 in self._connection.ports.values()
        gives_up_at = time.monotonic() + self._timings.bind_seconds
        for channel, socket_type in _SOCKET_TYPES.items():
            socket = self._context.socket(socket_type)
            socket.set_hwm(0)  # replies are as many as requests; iopub has a limit of its own
            # Long enough for the last replies, short enough to go when the front end is gone.
            socket.linger = 500
            self._sockets[channel] = ZmqSocket(socket)
            if channel is Channel.IOPUB:
                self._iopub_queue = IopubQueue(self._sockets[channel], self._write_welcome, self._timings)
            else:
                # A front end that comes back under its name may be here before its old connection has ended.
                socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
                socket.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_BYTES)
            if channel is Channel.STDIN:
                self._prompts = Prompts(self._sockets[channel], self._timings.prompt_seconds)
            self._bind(socket, channel.name.lower(), gives_up_at)
        self._start_heartbeat(gives_up_at)
        if was_picked:
            self._connection.save_ports()

    def _bind(self, socket: "zmq.Socket[Any]", name: str, gives_up_at: float) -> None:
        connection = self._connection
        if connection.transport == "ipc" and not connection.ports[name]:
            taken = {*connection.ports.values()}
            connection.ports[name] = next(
                port for port in range(1, 65536) if port not in taken and not Path(f"{connection.ip}-{port}").exists()
            )
        if connection.curve is not None:
            socket.curve_publickey, socket.curve_secretkey = connection.curve
            socket.curve_server = True
        try:
            _bind_patiently(socket, connection.url(name), gives_up_at)
        except zmq.ZMQError as error:
            raise SettingsError(_describe_refusal(connection, name, error)) from error
        if not connection.ports[name]:
            endpoint = bytes(socket.getsockopt(zmq.LAST_ENDPOINT))
            connection.ports[name] = int(endpoint.rstrip(b"\0").rsplit(b":", 1)[1])

    def _start_heartbeat(self, gives_up_at: float) -> None:
        """Echo in a thread of its own, in C: it answers whatever the event loop does."""
        socket = self._heartbeat_context.socket(zmq.ROUTER)
        socket.linger = 0
        socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_HEARTBEAT_BYTES)
        try:
            self._bind(socket, "hb", gives_up_at)
        except SettingsError:
            socket.close()
            raise

        loop = asyncio.get_running_loop()
        self._heartbeat_end = ended = loop.create_future()

        def echo() -> None:
            try:
                zmq.proxy(socket, socket)
            except zmq.ContextTerminated:
                pass
            except zmq.ZMQError as error:
                with contextlib.suppress(RuntimeError):  # the loop may be closed already
                    loop.call_soon_threadsafe(ended.set_exception, error)
            finally:
                socket.close()  # `close` would wait for it

        threading.Thread(target=echo, daemon=True, name="heartbeat").start()

    @property
    def ports(self) -> dict[str, int]:
        """The ports, as a `connect_reply` names them."""
        return {f"{name}_port": port for name, port in self._connection.ports.items()}

    async def serve(self, handle: Handle) -> None:
        """Hand each message of a front end to `handle`, in order on each channel, until cancelled.

        A message that cannot be handled costs that message. Whatever else goes wrong is raised: of a kernel that has
        ended a front end takes notice, and not of one that is deaf on a channel.
        """
        assert self._iopub_queue is not None
        assert self._prompts is not None
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(go_on(self._iopub_queue.serve()))
            tasks.create_task(go_on(self._prompts.serve()))
            tasks.create_task(go_on(self._wait_heartbeat_end()))
            for channel in (Channel.SHELL, Channel.CONTROL, Channel.STDIN):
                tasks.create_task(go_on(self._receive(channel, handle)))

    async def _wait_heartbeat_end(self) -> None:
        assert self._heartbeat_end is not None
        await self._heartbeat_end

    async def _receive(self, channel: Channel, handle: Handle) -> None:
        socket = self._sockets[channel]
        while True:
            frames = await socket.receive()
            try:
                prefixes, parts = self._signer.from_zmq(frames)
                del frames
                await handle(channel, prefixes, with_version(parts))
                del parts  # the next message may be long in coming, and this one large
            except WireError as error:  # not from our front end, or not a message: there is nobody to tell
                if self._refused.add():
                    reason = str(error)
                    _log.warning(
                        LogEvent(
                            "message refused", channel=channel.name.lower(), reason=reason, count=self._refused.count
                        )
                    )
                await asyncio.sleep(0)  # others have a turn, however many of these come
            except asyncio.CancelledError:
                if is_cancelled():
                    raise
                _log.error(LogEvent("failed inside"), exc_info=True)
            except Exception:
                _log.error(LogEvent("failed inside"), exc_info=True)

    def _write_welcome(self, topic: bytes) -> list[bytes]:
        content = {"subscription": topic.decode(errors="replace")}
        parts = self._author.write("iopub_welcome", content, date=datetime.now(UTC))
        return self._signer.to_zmq(parts, [topic])

    def admit(self) -> None:
        """Let those hear what is published from now on who have subscribed by now; `serve` does so all the time."""
        assert self._iopub_queue is not None
        self._iopub_queue.admit()

    async def wait_heard(self, patience_seconds: float) -> None:
        """Return when front ends listen on iopub, or nobody has come for so long.

        What is published before is heard by nobody: sockets of front ends that were connected to the process before us
        need a moment to come back.
        """
        assert self._iopub_queue is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_seconds):
                await self._iopub_queue.is_heard.wait()
            await asyncio.sleep(GATHERING_SECONDS)

    def send(self, channel: Channel, prefixes: list[bytes], parts: tuple[bytes, ...]) -> None:
        """Send a message that exists already to the front end that `prefixes` names; none, where nobody has asked."""
        if not prefixes:
            return
        frames = self._signer.to_zmq(parts, prefixes)
        if channel is Channel.STDIN:
            assert self._prompts is not None
            self._prompts.send(frames)
        else:
            self._sockets[channel].send(frames)

    @property
    def has_room(self) -> bool:
        """Return whether `room` returns at once."""
        assert self._iopub_queue is not None
        return self._iopub_queue.has_room

    async def room(self) -> None:
        """Return when the front ends have taken enough of what was published for more to come."""
        assert self._iopub_queue is not None
        await self._iopub_queue.room()

    def publish(self, parts: tuple[bytes, ...]) -> None:
        """Send a message that exists already to every front end; who has many of them waits for `room` before each."""
        assert self._iopub_queue is not None
        self._iopub_queue.put(self._signer.to_zmq(parts, [_TOPIC]))

    def reply(
        self, channel: Channel, prefixes: list[bytes], msg_type: str, content: Mapping[str, Any], parent: bytes
    ) -> None:
        """Answer a request ourselves; `parent` is its header part."""
        self.send(channel, prefixes, self._author.write(msg_type, content, parent=parent, date=datetime.now(UTC)))

    def say(self, msg_type: str, content: Mapping[str, Any], parent: bytes = b"{}") -> None:
        """Publish a message of our own on iopub."""
        self.publish(self._author.write(msg_type, content, parent=parent, date=datetime.now(UTC)))

    def close(self) -> None:
        """Close the sockets after their last messages have gone, or half a second."""
        if self._iopub_queue is not None:
            self._iopub_queue.close()
        for socket in self._sockets.values():
            socket.close()
        self._context.term()
        self._heartbeat_context.term()


def _describe_refusal(connection: Connection, name: str, error: zmq.ZMQError) -> str:
    channel = "heartbeat" if name == "hb" else name
    if error.errno == zmq.EADDRINUSE:
        return (
            f"Another program has {connection.place(name)}, which {connection.path} gives to the kernel's {channel} "
            "channel: start the kernel once more, and the front end chooses other ports."
        )
    return (
        f"The kernel's {channel} channel cannot have {connection.place(name)}, which {connection.path} gives to it: "
        f"{error.strerror}."
    )


def _bind_patiently(socket: "zmq.Socket[Any]", url: str, gives_up_at: float) -> None:
    """Bind, and wait for an address that is in use; raises `zmq.ZMQError`."""
    while True:
        try:
            socket.bind(url)
        except zmq.ZMQError as error:
            if error.errno != zmq.EADDRINUSE or time.monotonic() > gives_up_at:
                raise
            time.sleep(BIND_AGAIN_SECONDS)  # nothing else is to be done before the sockets are there
        else:
            return
