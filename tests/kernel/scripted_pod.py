"""A pod that says what a test wants, when it wants it: one kernel, whose messages the test answers itself."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import BinaryIO

from remote_kernel.core.wire import codec
from remote_kernel.core.wire import frames as wire
from tests.driver import TIMEOUT_SECONDS

HELLO = wire.Hello(epoch="e1", cursor=0, cooldown_seconds=300.0, pod="scripted", is_busy=False, kernel_info={})


@dataclass
class ScriptedPod:
    """Its end of the wire; it has one reader of events."""

    endpoint: str
    _messages: "SimpleQueue[tuple[wire.Message, socket.socket]]" = field(default_factory=SimpleQueue)
    _stream: socket.socket | None = None
    _sequence: int = 0

    @classmethod
    @contextmanager
    def serve(cls) -> Iterator["ScriptedPod"]:
        """Listen until the end of the block."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            pod = cls(f"http://127.0.0.1:{listener.getsockname()[1]}")
            threading.Thread(target=pod._accept, args=(listener,), daemon=True).start()
            yield pod
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._answer, args=(listener.accept()[0],), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection, connection.makefile("rb") as lines:
            while request := _read(lines):
                path, body = request
                if path == wire.EVENTS_PATH:
                    connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                    self._stream = connection
                    self._say(codec.encode(HELLO))
                elif path == wire.MESSAGES_PATH:
                    (message,) = codec.decode_all(body)
                    assert isinstance(message, wire.Message)
                    self._messages.put((message, connection))
                else:
                    _reply(connection, {})

    def accept(self) -> wire.Message:
        """Return the next message, when its sender has been told that it is accepted."""
        message, connection = self._messages.get(timeout=TIMEOUT_SECONDS)
        _reply(connection, {"accepted": 1})
        return message

    def say(self, *said: tuple[wire.Channel, tuple[bytes, ...]]) -> None:
        """Say something in one piece."""
        first = self._sequence + 1
        self._sequence += len(said)
        self._say(codec.encode_all(wire.Message(*each, sequence=number) for number, each in enumerate(said, first)))

    def _say(self, data: bytes) -> None:
        assert self._stream is not None
        self._stream.sendall(b"%x\r\n%b\r\n" % (len(data), data))


def _read(lines: BinaryIO) -> tuple[str, bytes] | None:
    """Return the path and the body of the next request; `None` at the end of the connection."""
    begin = lines.readline()
    if not begin:
        return None
    length = 0
    while (line := lines.readline().strip().lower()) != b"":
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return begin.split()[1].decode().partition("?")[0], lines.read(length)


def _reply(connection: socket.socket, content: dict[str, object]) -> None:
    body = json.dumps(content).encode()
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
