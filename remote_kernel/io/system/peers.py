"""Peers of Unix sockets: which user is at the other end."""

import errno
import os
import socket
import struct
import sys


def check_peer(connected: socket.socket) -> None:
    """Return if the same user listens there as runs this process; raises `ConnectionRefusedError` otherwise.

    A path in a folder for everybody, such as `/tmp`, is anybody's once what was there is gone.
    """
    if sys.platform != "win32" and _user_of(connected) != os.geteuid():
        raise ConnectionRefusedError(errno.ECONNREFUSED, "another user listens there")


def _user_of(connected: socket.socket) -> int:
    """Return the user id of the process that listens."""
    if sys.platform == "linux":
        _, user, _ = struct.unpack("iII", connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))  # unix(7)
    else:
        # getsockopt with SOL_LOCAL and LOCAL_PEERCRED: a `struct xucred` (sys/ucred.h of macOS), version first.
        _, user = struct.unpack("II", connected.getsockopt(0, 1, 76)[:8])
    return int(user)
