"""ZeroMQ channels between the agent and one Jupyter kernel."""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable
from pathlib import Path

import zmq
from jupyter_client.manager import AsyncKernelManager

from remote_kernel.core.errors import WireError
from remote_kernel.core.jupyter.messages import Signer
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.core.text.tally import Tally
from remote_kernel.core.wire.frames import Channel
from remote_kernel.io.tasks import go_on, start
from remote_kernel.io.zmq_socket import ZmqSocket

_log = logging.getLogger(__name__)

# How long a reader may be at it without a pause before the others have a turn, and before the process has to wait.
TURN_SECONDS = 0.005
BEHIND_SECONDS = 0.05

# What a process wrote before its end is on its way through ZeroMQ's own thread for less than this.
QUIET_SECONDS = 0.05

_SOCKET_TYPES = {
    Channel.SHELL: zmq.DEALER,
    Channel.CONTROL: zmq.DEALER,
    Channel.STDIN: zmq.DEALER,
    Channel.IOPUB: zmq.SUB,
}

Receive = Callable[[Channel, tuple[bytes, ...]], None]


def choose_transport(manager: AsyncKernelManager, sockets: Path, *, is_python: bool) -> Signer:
    """Have the kernel listen on Unix sockets below the path `sockets` where it can; return what signs its messages.

    IPython's kernel can. Others promise TCP only, and some, such as Deno's, end when they are asked for anything
    else; on loopback their messages are signed with a key of this kernel's own.
    """
    if not is_python:
        return Signer(manager.session.key)
    manager.transport, manager.ip = "ipc", str(sockets)
    # The sockets are in a folder that only we can enter: signing everything twice would only cost time.
    manager.session.key = b""
    return Signer(b"")


def _url(manager: AsyncKernelManager, name: str) -> str:
    """Return the address of a channel, as in a connection file; `name` is in lower case."""
    port = getattr(manager, f"{name}_port")
    return f"ipc://{manager.ip}-{port}" if manager.transport == "ipc" else f"tcp://{manager.ip}:{port}"


class Channels:
    """The channels of one kernel, each with a task that reads it.

    Args:
        receive: is given every message, as it comes, in order on each channel.
        hold: called with the name of a channel and `True` when the kernel talks faster than that one can be read, and
            with `False` when it may go on.
        on_deaf: called when a channel is read no longer, by a fault of ours.
    """

    def __init__(
        self, signer: Signer, *, receive: Receive, hold: Callable[[str, bool], None], on_deaf: Callable[[], None]
    ) -> None:
        self._signer = signer
        self._receive = receive
        self._hold = hold
        self._on_deaf = on_deaf
        self._received = 0
        self._unreadable = Tally()
        self._sockets: dict[Channel, ZmqSocket] = {}
        self._readers: list[asyncio.Task[None]] = []

    def connect(self, manager: AsyncKernelManager) -> None:
        """Connect to the addresses of a kernel that was started; raises `zmq.ZMQError`."""
        identity = secrets.token_bytes(8)
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        for channel, socket_type in _SOCKET_TYPES.items():
            name = channel.name.lower()
            socket = context.socket(socket_type)
            socket.linger = 0
            # At the default limit of 1,000 messages ZeroMQ drops what a busy cell prints.
            socket.set_hwm(0)
            if socket_type == zmq.SUB:
                socket.subscribe(b"")
            else:
                # One identity on all channels, or the kernel does not know where to send an input_request.
                socket.identity = identity
            if channel is Channel.STDIN:
                socket.setsockopt(zmq.IMMEDIATE, 1)  # only so it can be seen whether it is connected
            socket.connect(_url(manager, name))
            self._sockets[channel] = ZmqSocket(socket)
            reading = go_on(self._read(name, channel, self._sockets[channel]))
            self._readers.append(start(reading, f"reader of {name}", on_failure=lambda _: self._on_deaf()))

    async def _read(self, name: str, channel: Channel, socket: ZmqSocket) -> None:
        """Hand on what comes on one channel; a process that talks faster than this is held for a moment.

        ZeroMQ would keep all of it, or, with a limit, drop some.
        """
        caught_up_at = turn_at = time.monotonic()
        while True:
            frames = socket.take()
            if frames is None:
                self._hold(name, False)
                frames = await socket.receive()
                caught_up_at = turn_at = time.monotonic()
            else:  # was there already, so that nobody else had a turn
                now = time.monotonic()
                if now - caught_up_at > BEHIND_SECONDS:
                    self._hold(name, True)
                if now - turn_at > TURN_SECONDS:
                    await asyncio.sleep(0)
                    turn_at = time.monotonic()
            try:
                _, parts = self._signer.from_zmq(frames)
                del frames
                self._received += 1
                self._receive(channel, parts)
                del parts  # the next message may be long in coming, and this one large
            except WireError as error:  # whatever code in the kernel has sent in its place
                if self._unreadable.add():
                    count = self._unreadable.count
                    _log.warning(LogEvent("message refused", channel=name, reason=str(error), count=count))
            except Exception:
                _log.exception(LogEvent("failed inside", channel=name))

    def send(self, channel: Channel, parts: tuple[bytes, ...]) -> None:
        """Send one message to the kernel, signed with its key."""
        with contextlib.suppress(zmq.Again):  # an answer on stdin to a process that has ended
            self._sockets[channel].send(self._signer.to_zmq(parts))

    async def wait_stdin(self) -> None:
        """Return when the stdin channel is connected."""
        await self._sockets[Channel.STDIN].wait_connected()

    async def drain(self) -> None:
        """Return when the last words of a process that has ended have been read."""
        last = -1
        while last != self._received:
            last = self._received
            await asyncio.sleep(QUIET_SECONDS)

    async def aclose(self) -> None:
        """Read no longer, and close the sockets."""
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        for socket in self._sockets.values():
            socket.close()
