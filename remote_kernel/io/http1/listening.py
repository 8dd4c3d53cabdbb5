"""Listening sockets of our servers, and the reason when one cannot be had."""

import argparse
import os
import socket

# How many connections wait in the system's queue.
QUEUE_LENGTH = 1024

# How many connections are accepted in one turn of the event loop. They have to be made before one too many is closed,
# and until then each has a descriptor; asyncio accepts as many as may wait in the queue.
ACCEPTED_AT_ONCE = 4


def parse_port(text: str) -> int:
    """Read the value of an option; raises `ArgumentTypeError`."""
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return int(text)


def open_listener(host: str, port: int) -> socket.socket:
    """Bind and listen; raises `OSError` when the address cannot be had or does not exist."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # asyncio turns Nagle's algorithm off only for sockets that name TCP; those of `socket.create_server` do not.
        # What is accepted inherits it from here. With it every small answer would wait 40 ms for an acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(QUEUE_LENGTH)
    except BaseException:
        listener.close()
        raise
    return listener


def reason(error: OSError) -> str:
    """Return why listening failed: the text of a failed bind holds the address once more, the number of a failed
    look-up is not an errno, and a path that is too long has a text alone."""
    if isinstance(error, socket.gaierror) or not error.errno:
        return error.strerror or str(error)
    return os.strerror(error.errno)
