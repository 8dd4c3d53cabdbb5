"""HTTP/1.1 to a server on this machine, over TCP or a Unix socket: no TLS, no proxies, no redirects.

Every cell passes here twice, as a request of the local kernel and as one of the pool to a pod. A general client costs
a millisecond of processor time for each; this is h11 (the protocol) on an asyncio transport (the bytes), and nothing
between them.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial

import h11

Headers = list[tuple[bytes, bytes]]
Body = bytes | AsyncIterator[bytes]

CONNECT_SECONDS = 10.0
# Without progress for so long a connection that is written to is dead.
WRITE_SECONDS = 30.0

# What may wait here for its reader before the other side has to: less than one large message, more than a busy cell
# says between two turns of the event loop.
MAX_UNREAD_BYTES = 1024 * 1024
# How much of it is handed on in one piece.
MAX_PIECE_BYTES = 256 * 1024

# How every answer begins (RFC 9112, 4).
STATUS_LINE_BEGIN = b"HTTP/"

Connect = Callable[[], Awaitable["Connection"]]


class NoConnection(Exception):
    """There is no connection, and nothing was sent; the text says why."""


class ConnectionBroke(Exception):
    """The connection broke or fell silent; the request may have been received."""


class NotHttp(ConnectionBroke):
    """What came is not HTTP, or ends where it must not."""


class Connection(asyncio.Protocol):
    """One connection, for one request at a time."""

    def __init__(self) -> None:
        self._http = h11.Connection(h11.CLIENT)
        self._transport: asyncio.Transport | None = None
        self._unread = 0
        self._is_reading = True
        self._arrival: asyncio.Future[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self.is_closed = False
        self.idle_since = 0.0

    # What the transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._http.receive_data(data)
        self._unread += len(data)
        if self._unread > MAX_UNREAD_BYTES and self._is_reading and self._transport is not None:
            self._is_reading = False
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        self.is_closed = True
        self._http.receive_data(b"")
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        self._transport = None
        self._writable.set()
        self._wake()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    # What the client does

    async def request(self, method: bytes, target: bytes, headers: Headers, body: Body) -> None:
        """Send a request; an answer that comes before its end may be read, so a broken connection is told there."""
        head = self._http.send(h11.Request(method=method, target=target, headers=headers))
        assert head is not None
        if isinstance(body, bytes):
            data = self._http.send(h11.Data(data=body)) if body else b""
            end = self._http.send(h11.EndOfMessage())
            await self._write(b"".join((head, data or b"", end or b"")))  # one write, and so one packet
            return
        await self._write(head)
        async for piece in body:
            if self.is_closed:
                return
            await self._write(self._http.send(h11.Data(data=piece)))
        await self._write(self._http.send(h11.EndOfMessage()))

    async def _write(self, data: bytes | None) -> None:
        if data and self._transport is not None and not self.is_closed:
            self._transport.write(data)
            if not self._writable.is_set():
                await self._drain(self._transport)

    async def _drain(self, transport: asyncio.Transport) -> None:
        """Wait until the system has taken what was written; raises `ConnectionBroke` when it takes none for long."""
        left = transport.get_write_buffer_size()
        while not self._writable.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WRITE_SECONDS):
                    await self._writable.wait()
                    return
            before, left = left, transport.get_write_buffer_size()
            if left >= before:
                raise ConnectionBroke("nothing could be sent for too long")

    async def response(self, read_seconds: float | None) -> h11.Response:
        """Return the head of the answer."""
        while True:
            event = await self._event(read_seconds)
            if isinstance(event, h11.Response):
                return event
            if not isinstance(event, h11.InformationalResponse):
                raise ConnectionBroke("the server closed the connection without an answer")

    async def piece(self, read_seconds: float | None) -> bytes:
        """Return what has come of the body, waiting for some; b"" at its end."""
        pieces: list[bytes] = []
        size = 0
        event = await self._event(read_seconds) if self._http.their_state is h11.SEND_BODY else None
        while isinstance(event, h11.Data):
            pieces.append(event.data)  # a bytearray, which nobody else has
            size += len(event.data)
            event = self._next_event() if size < MAX_PIECE_BYTES else None
        return b"".join(pieces)

    def _next_event(self) -> object:
        try:
            return self._http.next_event()
        except h11.RemoteProtocolError as error:
            raise NotHttp(str(error)) from error

    async def _event(self, read_seconds: float | None) -> object:
        while (event := self._next_event()) is h11.NEED_DATA:
            if self._http.their_state is h11.SEND_RESPONSE:
                self._check_greeting()
            await self._more(read_seconds)
        return event

    def _check_greeting(self) -> None:
        """Raise `NotHttp` for what cannot become the head of an answer, such as the greeting of an SSH server.

        h11 would wait for an empty line, which may never come.
        """
        begin = self._http.trailing_data[0].lstrip(b"\r\n")[: len(STATUS_LINE_BEGIN)]
        if not STATUS_LINE_BEGIN.startswith(begin):
            raise NotHttp("the server does not speak HTTP")

    async def _more(self, read_seconds: float | None) -> None:
        if self.is_closed:
            raise ConnectionBroke("the connection was lost")
        self._unread = 0
        if not self._is_reading and self._transport is not None:
            self._is_reading = True
            self._transport.resume_reading()
        self._arrival = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(read_seconds):
                await self._arrival
        except TimeoutError:
            raise ConnectionBroke("the server has sent nothing for too long") from None

    @property
    def is_done(self) -> bool:
        """Whether request and answer are complete and another request may follow."""
        states = {self._http.our_state, self._http.their_state}
        return states == {h11.DONE} and not self.is_closed and not self._http.trailing_data[0]

    def rest(self) -> None:
        """Be ready for another request; call it when `is_done`."""
        self._http.start_next_cycle()
        self.idle_since = time.monotonic()

    def close(self) -> None:
        """Close at once; what was not sent is dropped."""
        if self._transport is not None:
            self._transport.abort()


@dataclass(slots=True)
class Response:
    """An answer whose body is still to be read.

    Attributes:
        headers: names are in lower case.
    """

    status: int
    headers: Headers
    _connection: Connection
    _read_seconds: float | None
    _give_back: Callable[[Connection], None]

    def header(self, name: bytes) -> str:
        """Return a header's value, or ""."""
        return next((value.decode("latin-1") for key, value in self.headers if key == name), "")

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes; raises `ConnectionBroke`."""
        while piece := await self._connection.piece(self._read_seconds):
            yield piece

    async def read(self) -> bytes:
        """Return the whole body; raises `ConnectionBroke`."""
        return b"".join([piece async for piece in self.chunks()])

    def close(self) -> None:
        """Let the connection go: to the next request, or, where the answer was not read to its end, for good."""
        self._give_back(self._connection)


class Client:
    """Sends requests to one server, over as many connections as there are requests at the same time.

    Args:
        keepalive_seconds: how long an unused connection is kept; less than the server keeps it, since a request on a
            connection that is just being closed is lost.
    """

    def __init__(self, connect: Connect, *, keepalive_seconds: float) -> None:
        self._connect = connect
        self._keepalive_seconds = keepalive_seconds
        self._idle: list[Connection] = []
        self._in_use: set[Connection] = set()
        self._opening = 0

    @classmethod
    def tcp(cls, host: str, port: int, *, keepalive_seconds: float) -> "Client":
        return cls(partial(_connect_tcp, host, port), keepalive_seconds=keepalive_seconds)

    @classmethod
    def unix(cls, path: str, *, keepalive_seconds: float) -> "Client":
        return cls(partial(_connect_unix, path), keepalive_seconds=keepalive_seconds)

    async def send(
        self, method: bytes, target: bytes, headers: Iterable[tuple[bytes, bytes]], body: Body = b"",
        *, read_seconds: float | None = None,
    ) -> Response:  # fmt: skip
        """Send a request and return the answer, which must be closed; `headers` are in lower case and name the host.

        Args:
            read_seconds: how long the server may be silent, before the head and within the body.

        Raises:
            NoConnection: nothing was sent.
            ConnectionBroke: it may have been received.
        """
        connection = self._take_idle() or await self._open()
        self._in_use.add(connection)
        try:
            await connection.request(method, target, _framed(method, list(headers), body), body)
            head = await connection.response(read_seconds)
        except BaseException:
            self._give_back(connection)
            raise
        return Response(head.status_code, list(head.headers), connection, read_seconds, self._give_back)

    async def warm_up(self, count: int) -> None:
        """Have so many connections open, for requests to come; those that cannot be had are left to the requests."""
        missing = count - len(self._idle) - len(self._in_use) - self._opening
        await asyncio.gather(*(self._add_idle() for _ in range(missing)), return_exceptions=True)

    async def _add_idle(self) -> None:
        connection = await self._open()
        connection.idle_since = time.monotonic()
        self._idle.append(connection)

    async def _open(self) -> Connection:
        self._opening += 1
        try:
            return await self._connect()
        finally:
            self._opening -= 1

    def drop_idle(self) -> None:
        """Close the connections that no request uses, as when the way to the server has changed."""
        while self._idle:
            self._idle.pop().close()

    async def aclose(self) -> None:
        """Close every connection."""
        self.drop_idle()
        for connection in list(self._in_use):
            connection.close()
        await asyncio.sleep(0)  # the sockets themselves are closed in the event loop's next turn

    def _take_idle(self) -> Connection | None:
        oldest = time.monotonic() - self._keepalive_seconds
        while self._idle:
            connection = self._idle.pop()  # the one that was used last; the others may expire
            if not connection.is_closed and connection.idle_since > oldest:
                return connection
            connection.close()
        return None

    def _give_back(self, connection: Connection) -> None:
        if connection not in self._in_use:
            return
        self._in_use.remove(connection)
        if connection.is_done:
            connection.rest()
            self._idle.append(connection)
        else:
            connection.close()


def _framed(method: bytes, headers: Headers, body: Body) -> Headers:
    """Return the headers with the one that says where the body ends (RFC 9112, 6.3)."""
    if any(name == b"content-length" for name, _ in headers):
        return headers
    if not isinstance(body, bytes):
        return [*headers, (b"transfer-encoding", b"chunked")]
    if body or method in {b"POST", b"PUT", b"PATCH"}:
        return [*headers, (b"content-length", str(len(body)).encode())]
    return headers


async def _connect_tcp(host: str, port: int) -> Connection:
    # asyncio turns Nagle's algorithm off on what it connects.
    return await _connected(asyncio.get_running_loop().create_connection(Connection, host, port))


async def _connect_unix(path: str) -> Connection:
    return await _connected(asyncio.get_running_loop().create_unix_connection(Connection, path))


async def _connected(connecting: Awaitable[tuple[object, Connection]]) -> Connection:
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, connection = await connecting
    except TimeoutError:
        raise NoConnection("it does not answer") from None
    except OSError as error:
        raise NoConnection(_reason(error)) from error
    return connection


def _reason(error: OSError) -> str:
    """Say why without the address, which asyncio puts into its texts; the number of a failed look-up is no errno."""
    if isinstance(error, socket.gaierror):
        return error.strerror or "the name is not known"
    return os.strerror(error.errno) if error.errno else "no address of it answers"
