"""One connection to a server, for one request at a time."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator
from functools import partial

from remote_kernel.io.arrival import Arrival
from remote_kernel.io.http1.answer import Answer, ConnectionBroke, Headers, NotHttp
from remote_kernel.io.http1.receiving import RECEIVED_AT_ONCE_BYTES, Receiving
from remote_kernel.io.http1.writing import MAX_JOINED_BYTES, Buffer, write_all
from remote_kernel.io.watchdog import Watchdog

Body = bytes | AsyncIterator[bytes]

# Without progress for so long a connection that is written to is dead.
WRITE_SECONDS = 30.0

# What may wait here for its reader before the other side has to: more than a busy cell says between two turns of the
# event loop, and than one of them brings.
MAX_UNREAD_BYTES = RECEIVED_AT_ONCE_BYTES
# How much of it is handed on in one piece, unless it came in a larger one, which is not copied to make another.
MAX_PIECE_BYTES = 256 * 1024

# What would begin another line, or another request.
_NO_TARGET = re.compile(rb"[\x00-\x20\x7f]")
_NO_FIELD = re.compile(rb"[\x00\r\n]")


class Connection(Receiving):
    """See the module.

    Attributes:
        is_closed: whether either side has closed it.
        idle_since: when it was last used, in monotonic seconds.
        allowance_bytes: how much more the server may say before it is taken for none; `None` for any amount.
    """

    def __init__(self) -> None:
        self._answer: Answer | None = None
        self._is_sent = False
        self._failure: ConnectionBroke | None = None
        self._transport: asyncio.Transport | None = None
        self._unread = 0
        self._is_reading = True
        self._arrival: Arrival | None = None
        self._silence = Watchdog(self._fall_silent)
        self._writable = asyncio.Event()
        self._writable.set()
        self.is_closed = False
        self.idle_since = 0.0
        self.allowance_bytes: int | None = None

    # What the transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.widen(transport)

    def data_received(self, data: memoryview) -> None:
        if self._answer is None:
            self.close()  # nobody has asked for anything
            return
        if self.allowance_bytes is not None:
            self.allowance_bytes -= len(data)
            if self.allowance_bytes < 0:
                self._failure = NotHttp("the server says more than it may")
                self.close()
                self._wake()
                return
        try:
            self._answer.feed(data)
        except NotHttp as error:
            self._failure = error
        self._note_unread(self._unread + len(data))
        self._wake()

    def eof_received(self) -> None:
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._silence.close()
        self._writable.set()
        self._end()

    def _end(self) -> None:
        self.is_closed = True
        if self._answer is not None and self._failure is None:
            try:
                self._answer.end()
            except NotHttp as error:
                self._failure = error
        self._wake()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.arrive()

    # What the client does

    @property
    def peer(self) -> tuple[str, int]:
        """IP address and port of the server's end of a TCP connection; raises `ConnectionBroke` when it is lost."""
        name = None if self._transport is None else self._transport.get_extra_info("peername")
        if name is None:
            raise ConnectionBroke("the connection was lost")
        return name[0], name[1]

    async def request(self, method: bytes, target: bytes, headers: Headers, body: Body) -> None:
        """Send a request; an answer that comes before its end may be read, so a broken connection is told there.

        Args:
            headers: with the one that says where the body ends.
        """
        head = _head(method, target, headers)
        self._answer = Answer(method)
        if isinstance(body, bytes):
            await self._write(head, body)
        else:
            await self._write(head)
            await self._send_pieces(body, is_chunked=(b"transfer-encoding", b"chunked") in headers)
        self._is_sent = not self.is_closed

    async def _send_pieces(self, body: AsyncIterator[bytes], *, is_chunked: bool) -> None:
        async for piece in body:
            if self.is_closed:
                return
            await (self._write(b"%x\r\n" % len(piece), piece, b"\r\n") if is_chunked and piece else self._write(piece))
        if is_chunked:
            await self._write(b"0\r\n\r\n")

    async def _write(self, *parts: Buffer) -> None:
        """Write what belongs together: in one piece, and so one packet, or, where it is large, as it is."""
        transport = self._transport
        if transport is None or self.is_closed or not any(parts):
            return
        if sum(map(len, parts)) > MAX_JOINED_BYTES:
            await write_all(transport, list(parts), partial(self._drain, transport))
        else:
            transport.write(b"".join(parts))
            if not self._writable.is_set():
                await self._drain(transport)

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

    async def head(self, read_seconds: float | None) -> Answer:
        """Return the answer when its head is complete, which it has to be within `read_seconds`."""
        assert self._answer is not None
        ends_at = None if read_seconds is None else time.monotonic() + read_seconds
        while not self._answer.status:
            await self._more(None if ends_at is None else max(ends_at - time.monotonic(), 0.001))
        return self._answer

    async def piece(self, read_seconds: float | None) -> bytes:
        """Return what has come of the body, waiting for some; b"" at its end."""
        answer = self._answer
        assert answer is not None
        while not answer.pieces:
            if answer.is_complete:
                return b""
            await self._more(read_seconds)
        pieces = [answer.pieces.popleft()]
        if not answer.pieces:
            self._note_unread(0)
            return pieces[0]
        size = len(pieces[0])
        while answer.pieces and size + len(answer.pieces[0]) <= MAX_PIECE_BYTES:
            pieces.append(answer.pieces.popleft())
            size += len(pieces[-1])
        self._note_unread(self._unread - size if answer.pieces else 0)
        return b"".join(pieces)

    def _note_unread(self, size: int) -> None:
        """Have the other side wait while too much has not been taken."""
        self._unread = size
        if self._transport is None or self._is_reading == (size <= MAX_UNREAD_BYTES):
            return
        self._is_reading = not self._is_reading
        if self._is_reading:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    async def _more(self, read_seconds: float | None) -> None:
        """Wait for something to come; raises `ConnectionBroke` when nothing will."""
        if self._failure is not None:
            raise self._failure
        if self.is_closed:
            raise ConnectionBroke("the connection was lost")
        self._arrival = Arrival()
        if read_seconds is not None:
            self._silence.feed(read_seconds)
        try:
            await self._arrival
        finally:
            self._silence.rest()

    def _fall_silent(self) -> None:
        self._failure = ConnectionBroke("the server has sent nothing for too long")
        self._wake()

    @property
    def is_done(self) -> bool:
        """Return whether request and answer are complete and another request may follow."""
        answer = self._answer
        is_over = answer is not None and answer.allows_another and not answer.pieces
        return is_over and self._is_sent and self._failure is None and not self.is_closed

    def rest(self) -> None:
        """Be ready for another request; call it when `is_done`."""
        self._answer = None
        self._is_sent = False
        self._unread = 0
        self.idle_since = time.monotonic()

    def close(self) -> None:
        """Close at once; what was not sent is dropped."""
        if self._transport is not None:
            self._transport.abort()


def _head(method: bytes, target: bytes, headers: Headers) -> bytes:
    """Return the head of a request; raises `ValueError` for what would be more than that."""
    fields = [b"%b: %b" % field for field in headers]
    if _NO_TARGET.search(method + target) or _NO_FIELD.search(b"".join(fields)):
        raise ValueError("a request's target or headers have characters that HTTP does not allow")
    return b"\r\n".join([b"%b %b HTTP/1.1" % (method, target), *fields, b"", b""])
