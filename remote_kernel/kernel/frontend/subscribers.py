"""Subscribers that do not read: found among the connections of a publisher, and cut off where they hold others up.

ZeroMQ does not say which subscriber is full, nor does it end a single connection. The system does both: it knows of
each connection how much it could not deliver, and one that is shut down looks as if the subscriber had gone. Windows
does neither: there, whoever does not read holds the others up.
"""

import contextlib
import os
import socket
import struct
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from remote_kernel.kernel.frontend.timings import Timings

# A subscriber that takes so much in the time that it has is slow, and one that takes less does not read. As little as a
# terminal over a bad line takes, and as much as makes it costly to hold others up on purpose.
MIN_TAKEN_BYTES = 256 * 1024

# Where the list of this process's open files is.
_DESCRIPTORS = Path("/dev/fd" if sys.platform == "darwin" else "/proc/self/fd")
_SO_NWRITE = 0x1024  # macOS's <sys/socket.h>
_BYTES_ACKED = (struct.Struct("Q"), 120)  # where Linux's struct tcp_info has tcpi_bytes_acked, since 4.1

Inode = int


class Connection(NamedTuple):
    """State of one connection, as the system knows it.

    Attributes:
        unsent: bytes that the other end has not taken, though they are there.
        taken: bytes that it has taken so far, or, where the system does not count them, a number that changes with it.
        is_counted: which of the two it is.
    """

    unsent: int
    taken: int
    is_counted: bool


class Patience:
    """Decides, while messages are held back, who has taken too little for too long."""

    def __init__(self, timings: Timings) -> None:
        self._timings = timings
        self._since: dict[Inode, tuple[float, int]] = {}
        self._cut_at = float("-inf")

    def reset(self) -> None:
        """Begin anew: nothing is held back any more."""
        self._since.clear()

    def find_stuck(self, connections: Mapping[Inode, Connection], now: float) -> set[Inode]:
        """Return those to be cut off at `now` (monotonic seconds); none where nobody waits for more.

        Who is alone is waited for: it is the front end itself, and what is held back for it is not lost. Another one
        that is connected counts as waiting, also if it has taken nothing, as those have not who have come meanwhile.
        """
        behind = {inode: each for inode, each in connections.items() if each.unsent}
        self._since = {inode: since for inode, since in self._since.items() if inode in behind}
        for inode, each in behind.items():
            _, taken = self._since.setdefault(inode, (now, each.taken))
            if abs(each.taken - taken) >= (MIN_TAKEN_BYTES if each.is_counted else 1):
                self._since[inode] = (now, each.taken)
        if len(behind) == len(connections):
            return set()
        is_again = now - self._cut_at < self._timings.again_seconds
        patience = self._timings.patience_again_seconds if is_again else self._timings.patience_seconds
        stuck = {inode for inode, (since, _) in self._since.items() if now - since >= patience}
        if stuck:
            self._cut_at = now
        return stuck


def look(endpoint: str) -> dict[Inode, Connection]:
    """Return what the system knows of the connections that this process has accepted at a ZeroMQ endpoint."""
    return {inode: known for inode, sock in _accepted(endpoint) if (known := _ask(sock)) is not None}


def cut_off(endpoint: str, inodes: set[Inode]) -> None:
    """Shut connections down."""
    for inode, sock in _accepted(endpoint):
        if inode in inodes:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


def _accepted(endpoint: str) -> Iterator[tuple[Inode, socket.socket]]:
    """Yield the connections that were made to a ZeroMQ endpoint; each is open until the next is asked for.

    They are duplicates, so that what is closed by ZeroMQ's own thread meanwhile, and opened anew, is not taken for it.
    """
    if sys.platform == "win32":
        return
    transport, _, address = endpoint.partition("://")
    try:
        paths = list(_DESCRIPTORS.iterdir())
    except OSError:
        return
    for path in paths:
        with contextlib.ExitStack() as stack:
            try:
                descriptor = os.dup(int(path.name))
                stack.callback(os.close, descriptor)
                sock = socket.socket(fileno=descriptor)
            except (OSError, ValueError):
                continue  # no socket, or gone
            stack.pop_all()
            with sock:
                if _is_accepted_at(sock, transport, address):
                    yield os.fstat(sock.fileno()).st_ino, sock


def _is_accepted_at(sock: socket.socket, transport: str, address: str) -> bool:
    try:
        sock.getpeername()  # a listener has none
        here = sock.getsockname()
    except OSError:
        return False
    if sys.platform != "win32" and transport == "ipc":
        return sock.family == socket.AF_UNIX and here == address
    return sock.family in {socket.AF_INET, socket.AF_INET6} and here[1] == int(address.rpartition(":")[2])


if sys.platform == "win32":

    def _ask(_sock: socket.socket) -> Connection | None:
        return None

else:
    import fcntl
    import termios

    def _ask(sock: socket.socket) -> Connection | None:
        try:
            if sys.platform == "darwin":
                unsent = sock.getsockopt(socket.SOL_SOCKET, _SO_NWRITE)
            else:
                (unsent,) = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))
            if sock.family == socket.AF_UNIX or sys.platform != "linux":
                return Connection(unsent=unsent, taken=-unsent, is_counted=False)
            layout, offset = _BYTES_ACKED
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, offset + layout.size)
            (taken,) = layout.unpack_from(info, offset)
        except (OSError, struct.error):
            return None
        return Connection(unsent=unsent, taken=taken, is_counted=True)
