"""ZeroMQ channels between the agent and one Jupyter kernel."""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import zmq
from jupyter_client.manager import AsyncKernelManager

from remote_kernel.core.errors import WireError
from remote_kernel.core.jupyter.messages import Signer
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.core.text.tally import Tally
from remote_kernel.core.wire.frames import Channel
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

Gathering = Callable[[], contextlib.AbstractContextManager[object]]

# Called with the name of a channel.
Hold = Callable[[str, bool], None]


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


class Reading:
    """Reading of one channel: hands on what has come, and holds a process that talks faster than that.

    ZeroMQ would keep all of it, or, with a limit, drop some.
    """

    def __init__(
        self, name: str, socket: ZmqSocket, hand_on: Callable[[list[bytes | memoryview]], None], hold: Hold
    ) -> None:
        self._name = name
        self._socket = socket
        self._hand_on = hand_on
        self._hold = hold
        self._behind_since: float | None = None
        self._is_held = False

    def read(self) -> None:
        """Hand on what is there; where that takes long, the rest of it when others have had their turn."""
        began = time.monotonic()
        if self._behind_since is None:
            self._behind_since = began
        while (frames := self._socket.take()) is not None:
            self._hand_on(frames)
            now = time.monotonic()
            if now - self._behind_since > BEHIND_SECONDS:
                self._set_held(True)
            if now - began > TURN_SECONDS:
                self._socket.read_again()
                return
        self._behind_since = None
        self._set_held(False)

    def _set_held(self, is_held: bool) -> None:
        if is_held != self._is_held:
            self._is_held = is_held
            self._hold(self._name, is_held)


class Channels:
    """The channels of one kernel.

    They are read where the event loop hears of news, by no task: those that wait for what comes go on at once then.

    Args:
        hold: called with the name of a channel and `True` when the kernel talks faster than that one can be read, and
            with `False` when it may go on.
        on_deaf: called when a channel is read no longer, by a fault of ours.

    Attributes:
        receive: is given every message, as it comes, in order on each channel.
        gathering: gives the context in which all is received that has come at once.
    """

    def __init__(self, signer: Signer, *, hold: Hold, on_deaf: Callable[[], None]) -> None:
        self.receive: Receive = lambda _channel, _parts: None
        self.gathering: Gathering = contextlib.nullcontext
        self._signer = signer
        self._hold = hold
        self._on_deaf = on_deaf
        self._received = 0
        self._unreadable = Tally()
        self._sockets: dict[Channel, ZmqSocket] = {}

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
            self._sockets[channel] = here = ZmqSocket(socket)
            reading = Reading(name, here, partial(self._hand_on, name, channel), self._hold)
            here.watch(partial(self._read, name, reading))

    def _read(self, name: str, reading: Reading) -> None:
        try:
            with self.gathering():
                reading.read()
        except Exception:
            _log.exception(LogEvent("failed inside", channel=name))
            self._on_deaf()

    def _hand_on(self, name: str, channel: Channel, frames: list[bytes | memoryview]) -> None:
        """Hand on one message; one that cannot be read, or dealt with, costs that message."""
        try:
            _, parts = self._signer.from_zmq(frames)
            self._received += 1
            self.receive(channel, parts)
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

    def close(self) -> None:
        """Read no longer, and close the sockets."""
        for socket in self._sockets.values():
            socket.close()
