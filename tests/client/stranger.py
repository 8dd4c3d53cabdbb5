"""A program of somebody else that listens where the user's pool was, and writes down every byte that it is sent."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Self

from tests.driver import wait_until

# From what has come so far to what is sent; b"" waits for more.
Answer = Callable[[bytes], bytes]


def answer(body: bytes) -> bytes:
    """Return an answer that a client reads to its end."""
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def say(text: bytes) -> Answer:
    """Answer each request with this."""
    return lambda received: text if b"\r\n\r\n" in received else b""


class Stranger:
    """Answers on one port until it is left.

    Args:
        port: 0 takes a free one.
        does: what is answered, once for each piece that comes on a connection.
    """

    def __init__(self, does: Answer, port: int = 0) -> None:
        self._does = does
        self._listener = _listen(port)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._connections: list[tuple[socket.socket, threading.Thread]] = []
        self.received = b""
        self.has_come = threading.Event()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for connection, thread in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join()
            connection.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                connection, _ = self._listener.accept()
                thread = threading.Thread(target=self._talk, args=(connection,))
                self._connections.append((connection, thread))
                thread.start()

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            said = b""
            for piece in _pieces(connection):
                self.received += piece
                said += piece
                self.has_come.set()
                if text := self._does(said):
                    connection.sendall(text)
                    said = b""


def _listen(port: int) -> socket.socket:
    """Listen, also on the port of a pool that is just ending with a child that was about to begin."""
    opened: list[socket.socket] = []

    def can_listen() -> bool:
        with contextlib.suppress(OSError):
            opened.append(socket.create_server(("127.0.0.1", port)))
        return bool(opened)

    wait_until(can_listen)
    return opened[0]


def _pieces(connection: socket.socket) -> Iterator[bytes]:
    while piece := connection.recv(65536):
        yield piece
