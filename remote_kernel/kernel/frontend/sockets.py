"""The five ZeroMQ sockets of a kernel, bound.

A front end tries to connect as soon as it has started the process. So this loads next to nothing but ZeroMQ, not even
asyncio, which takes longer than that.
"""

import time
from typing import Any, NamedTuple

import zmq

from remote_kernel.core.errors import SettingsError
from remote_kernel.kernel.frontend.connection_file import Connection

# How long ports are tried for, all five together. Front ends choose free ones before we bind them; meanwhile a
# connection of some other program may have taken one.
BIND_SECONDS = 2.0
BIND_AGAIN_SECONDS = 0.05

# Whoever can connect to a port may announce a message of any size, for which ZeroMQ makes room before anybody has seen
# its signature. Front ends send less than this: what is larger than 256 MB is refused with a sentence, and a page
# cannot have a string of more than 512 MB. A heartbeat has four bytes, and a topic of ours a few.
MAX_FRAME_BYTES = 1024 * 1024 * 1024
MAX_HEARTBEAT_BYTES = MAX_SUBSCRIPTION_BYTES = 4 * 1024

# Messages that ZeroMQ holds for the slowest subscriber; see `iopub_queue`.
MAX_MESSAGES = 2_000

# Requests that ZeroMQ keeps of each connection until they are read: more wait where they come from, and none is lost.
MAX_REQUESTS = 1_000
# Heartbeats likewise, and echoes: a front end sends its next one behind the echo, and the echoes of those who take none
# are dropped.
MAX_HEARTBEATS = 10


class Sockets(NamedTuple):
    """Bound sockets.

    Attributes:
        by_channel: all but the heartbeat's, by lower-case channel name.
        heartbeat: has a context of its own, and so a thread of ZeroMQ's.
    """

    context: "zmq.Context[zmq.Socket[bytes]]"
    by_channel: "dict[str, zmq.Socket[bytes]]"
    heartbeat_context: "zmq.Context[zmq.Socket[bytes]]"
    heartbeat: "zmq.Socket[bytes]"

    @classmethod
    def bind(cls, connection: Connection, within_seconds: float = BIND_SECONDS) -> "Sockets":
        """Bind all five; ports that are picked are written into the connection file.

        Raises:
            SettingsError: an address is in use, and was so for all that time, or not ours.
        """
        was_picked = 0 in connection.ports.values()
        gives_up_at = time.monotonic() + within_seconds
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        sockets = cls(zmq.Context(), {}, context, context.socket(zmq.ROUTER))
        try:
            for name in ("shell", "control", "stdin"):
                sockets.by_channel[name] = socket = sockets.context.socket(zmq.ROUTER)
                _limit_router(socket, MAX_FRAME_BYTES)
                socket.rcvhwm = MAX_REQUESTS
                socket.sndhwm = 0  # replies are as many as requests
                _bind(socket, connection, name, gives_up_at)
            sockets.by_channel["iopub"] = socket = sockets.context.socket(zmq.XPUB)
            _limit_publisher(socket)
            _bind(socket, connection, "iopub", gives_up_at)
            _limit_router(sockets.heartbeat, MAX_HEARTBEAT_BYTES)
            sockets.heartbeat.set_hwm(MAX_HEARTBEATS)
            _bind(sockets.heartbeat, connection, "hb", gives_up_at)
        except BaseException:
            sockets.close()
            raise
        if was_picked:
            connection.save_ports()
        return sockets

    def close(self) -> None:
        """Close them at once."""
        for socket in (*self.by_channel.values(), self.heartbeat):
            socket.close(linger=0)
        self.context.term()
        self.heartbeat_context.term()


def _limit_router(socket: "zmq.Socket[bytes]", max_bytes: int) -> None:
    # A front end that comes back under its name may be here before its old connection has ended.
    socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
    socket.setsockopt(zmq.MAXMSGSIZE, max_bytes)


def _limit_publisher(socket: "zmq.Socket[bytes]") -> None:
    """Set an XPUB socket, which hears of subscriptions, and so can welcome a front end: from then on it misses nothing
    (JEP 65)."""
    socket.rcvhwm = 0
    socket.sndhwm = MAX_MESSAGES
    socket.setsockopt(zmq.XPUB_NODROP, 1)
    # A subscription has an effect when we say so, and not before we have heard of it.
    socket.setsockopt(zmq.XPUB_MANUAL, 1)
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_SUBSCRIPTION_BYTES)


def _bind(socket: "zmq.Socket[Any]", connection: Connection, name: str, gives_up_at: float) -> None:
    if connection.transport == "ipc" and not connection.ports[name]:
        connection.pick_path(name)
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
