"""HTTP/1.1 to a server on this machine, over TCP or a Unix socket: no TLS, no proxies, no redirects.

Every cell passes here twice, as a request of the local kernel and as one of the pool to a pod. A general client costs
a millisecond of processor time for each; this is httptools (the protocol) on an asyncio transport (the bytes), and
nothing between them.
"""

import asyncio
import errno
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial

from remote_kernel.core.limits import ANSWER
from remote_kernel.io.http1.answer import ConnectionBroke, Headers
from remote_kernel.io.http1.connection import Body, Connection
from remote_kernel.io.system.peers import check_peer

CONNECT_SECONDS = 10.0

# What `Response.read` takes where nobody says what may be.
MAX_READ_BYTES = ANSWER.bytes or 0

Connect = Callable[[], Awaitable[Connection]]
Introduce = Callable[[Connection], Awaitable[None]]


# What the system says where nobody listens. Anything else, such as too many open files here, too many who wait there,
# or no answer in time, says nothing of whether the server lives.
_ABSENT = frozenset({errno.ECONNREFUSED, errno.ENOENT})


class NoConnection(Exception):
    """There is no connection, and nothing was sent; the text says why.

    Attributes:
        is_absent: whether nobody listens there.
    """

    def __init__(self, reason: str, *, is_absent: bool = False) -> None:
        super().__init__(reason)
        self.is_absent = is_absent


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

    def piece(self) -> Awaitable[bytes]:
        """Return what has come of the body, waiting for some; b"" at its end. Raises `ConnectionBroke`."""
        return self._connection.piece(self._read_seconds)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes; raises `ConnectionBroke`."""
        while piece := await self.piece():
            yield piece

    async def read(self, max_bytes: int = MAX_READ_BYTES) -> bytes:
        """Return the whole body; raises `ConnectionBroke`, also as soon as there is more than `max_bytes`."""
        pieces, size = [], 0
        while piece := await self.piece():
            size += len(piece)
            if size > max_bytes:
                raise ConnectionBroke(f"the answer has more than {max_bytes:,} bytes")
            pieces.append(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """Let the connection go: to the next request, or, where the answer was not read to its end, for good."""
        self._give_back(self._connection)


class Client:
    """Sends requests to one server, over as many connections as there are requests at the same time.

    Args:
        keepalive_seconds: how long an unused connection is kept; less than the server keeps it, since a request on a
            connection that is just being closed is lost.
        introduce: what happens on each new connection before any request is sent on it; raises `NoConnection` where
            none may be sent.
    """

    def __init__(self, connect: Connect, *, keepalive_seconds: float, introduce: Introduce | None = None) -> None:
        self._connect = connect
        self._introduce = introduce
        self._keepalive_seconds = keepalive_seconds
        self._idle: list[Connection] = []
        self._in_use: set[Connection] = set()
        self._opening = 0

    @classmethod
    def tcp(cls, host: str, port: int, *, keepalive_seconds: float, introduce: Introduce | None = None) -> "Client":
        connect = partial(_connect_tcp, host, port)
        return cls(connect, keepalive_seconds=keepalive_seconds, introduce=introduce)

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
            answer = await connection.head(read_seconds)
        except BaseException:
            self._give_back(connection)
            raise
        return Response(answer.status, answer.headers, connection, read_seconds, self._give_back)

    async def warm_up(self, count: int) -> None:
        """Have so many connections open, for requests to come; those that cannot be had are left to the requests."""
        missing = count - len(self._idle) - len(self._in_use) - self._opening
        await asyncio.gather(*(self._add_idle() for _ in range(missing)), return_exceptions=True)

    async def can_connect(self) -> bool:
        """Return whether a connection can be had, which is kept for the next request."""
        try:
            await self._add_idle()
        except NoConnection:
            return False
        return True

    async def _add_idle(self) -> None:
        connection = await self._open()
        connection.idle_since = time.monotonic()
        self._idle.append(connection)

    async def _open(self) -> Connection:
        self._opening += 1
        try:
            connection = await self._connect()
            if self._introduce is not None:
                try:
                    await self._introduce(connection)
                except BaseException:
                    connection.close()
                    raise
            return connection
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
    return await _connected(_open_unix(path))


async def _open_unix(path: str) -> tuple[object, Connection]:
    """Connect at once, as Unix sockets do.

    asyncio would take a server where too many wait (EAGAIN) for one that has accepted.
    """
    if sys.platform == "win32":  # only the local pool speaks to its pods so
        raise NotImplementedError
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        opened.setblocking(False)
        opened.connect(path)
        check_peer(opened)
        return await asyncio.get_running_loop().create_unix_connection(Connection, sock=opened)
    except BaseException:
        opened.close()
        raise


async def _connected(connecting: Awaitable[tuple[object, Connection]]) -> Connection:
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, connection = await connecting
    except TimeoutError:
        raise NoConnection("it does not answer") from None
    except OSError as error:
        raise NoConnection(_reason(error), is_absent=error.errno in _ABSENT) from error
    return connection


def _reason(error: OSError) -> str:
    """Say why without the address, which asyncio puts into its texts; the number of a failed look-up is no errno."""
    if isinstance(error, socket.gaierror):
        return error.strerror or "the name is not known"
    return os.strerror(error.errno) if error.errno else "no address of it answers"
