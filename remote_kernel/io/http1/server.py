"""Additions to uvicorn's HTTP protocol: answers in one write, limits for the heads of requests, and an end for
answers whose client has gone.

An answer's head goes out with the first of its body. Each write is a system call that wakes whoever reads, so a small
answer in two of them costs the reader two turns, and, with Nagle's algorithm on the way, 40 ms. uvicorn writes head and
body one by one.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from email.utils import formatdate
from functools import lru_cache, partial
from typing import Any, ClassVar

from starlette.types import Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from remote_kernel.io.http1.receiving import Receiving
from remote_kernel.io.http1.writing import MAX_JOINED_BYTES, Buffer, write_all
from remote_kernel.io.watchdog import Watchdog

# What is not part of a body, in one piece: a head, or the fields behind a body.
MAX_HEAD_BYTES = 64 * 1024

# Fields of a head; one read may bring far more bytes than a head may have. Clients and proxies send some ten.
MAX_FIELDS = 500

# Requests behind one that is being answered. No client of ours sends any, and each holds memory.
MAX_PIPELINED = 16

# What has not ended when uvicorn's patience with it does is cancelled, which is a traceback in the log. So long before
# that it is cut, as by a client that goes away.
CUT_BEFORE_SECONDS = 0.5

# Connections beyond the limit that are told so, and not just closed.
MAX_SURPLUS = 8

# Where a request's scope has what its application calls when it knows who has sent it.
_VOUCH = "remote_kernel.vouch"

# What an application says with the head of an answer whose body follows at once.
IS_FOLLOWED = "remote_kernel.is_followed"


def vouch(scope: MutableMapping[str, Any]) -> None:
    """Say that whoever has sent this request may use this server, so that the connection is kept before others."""
    say: Callable[[], None] | None = scope.get("extensions", {}).get(_VOUCH)
    if say is not None:
        say()


class OneWriteTransport:
    """A transport that keeps back the head of an answer until something follows, but no longer than the loop's turn."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._is_head = self._is_followed = False
        self._held = b""

    def expect_head(self, *, is_followed: bool = False) -> None:
        """Take what is written next for the head of an answer; `is_followed` where its body is written at once."""
        self._is_head, self._is_followed = True, is_followed

    def write(self, data: bytes) -> None:
        if self._transport.is_closing():
            return  # there is nobody; asyncio would log a warning for each
        is_head, self._is_head = self._is_head, False
        if is_head and not self._held:
            self._held = data
            if not self._is_followed:
                asyncio.get_running_loop().call_soon(self.flush)
        elif self._held and data and len(data) <= MAX_JOINED_BYTES:
            held, self._held = self._held, b""
            self._transport.write(held + data)
        else:
            self.flush()
            self._transport.write(data)

    async def write_all(self, parts: list[Buffer], drain: Callable[[], Awaitable[None]]) -> None:
        """Write what is large; see `writing.write_all`."""
        self.flush()
        self._is_head = False
        await write_all(self._transport, parts, drain)

    def flush(self) -> None:
        """Write what is kept back."""
        if self._held:
            held, self._held = self._held, b""
            self._transport.write(held)

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class ServerProtocol(HttpToolsProtocol, Receiving):
    """uvicorn's protocol over such a transport; heads that are too long, or do not arrive, end the connection.

    A connection beyond the limit takes the place of the oldest one of a stranger, whatever is being answered there: one
    that reads no answer, or sends no body, would stay for ever. Whoever is no stranger shows it before so many others
    have come. Where there is none, its requests are refused.

    Attributes:
        max_connections: the limit; `None` for none.
        open_paths: what is answered beyond it all the same.
        knows_callers: whether the application says, by `vouch`, who is no stranger; else it is who has asked something.
        head_seconds: from the first byte of a request, or of the connection, to the end of its head.
        gathered_bytes: a request's body of so many bytes at most is handed on in one piece, when all of it has come;
            what is larger, or does not say how large it is, piece by piece. uvicorn has its client wait behind each
            64 KB, and copies each piece three times.
    """

    max_connections: ClassVar[int | None] = None
    open_paths: ClassVar[frozenset[str]] = frozenset()
    knows_callers: ClassVar[bool] = False
    head_seconds: ClassVar[float] = 30.0
    gathered_bytes: ClassVar[int] = 0

    _head_timer: asyncio.TimerHandle | None = None
    _is_within_head = True
    _besides = 0  # bytes since the last ones of a body
    _answered: RequestResponseCycle | None = None
    _gathered: list[bytes] | None = None  # of the body that is coming

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._one_write = OneWriteTransport(transport)
        super().connection_made(self._one_write)  # type: ignore[arg-type]
        self._serve, self.app = self.app, self._serve_in_one_write
        self.widen(transport)
        self._start_timer()
        self._idle = Watchdog(self.timeout_keep_alive_handler)
        self._made_at = time.monotonic()
        self._is_known = False
        if self.max_connections is not None and len(self.connections) > self.max_connections:
            self._find_room(self.max_connections)

    def _find_room(self, limit: int) -> None:
        """Close a stranger's connection in favour of this one, or have this one refused."""
        strangers = [other for other in self._others() if not other._is_known]
        is_taken = len(self.connections) - len(strangers) > limit  # and strangers have no part in it
        is_surplus = len(self.connections) > limit + MAX_SURPLUS
        if is_taken:
            self._serve = self._refuse_surplus
        if strangers and (is_surplus or not is_taken):
            _drop(min(strangers, key=lambda other: other._made_at))
        elif is_surplus:
            _drop(self)

    def _others(self) -> "list[ServerProtocol]":
        return [other for other in self.connections if other is not self and isinstance(other, ServerProtocol)]

    def _vouch(self) -> None:
        self._is_known = True

    async def _serve_in_one_write(self, scope: Any, receive: Any, send: Any) -> None:
        cycle: RequestResponseCycle = send.__self__  # uvicorn hands its methods to the application

        async def send_on(message: Any) -> None:
            if message["type"] == "http.response.start":
                self._one_write.expect_head(is_followed=message.get(IS_FOLLOWED, False))
            elif cycle.chunked_encoding and _is_large_piece(message):
                await self._send_as_it_is(cycle, message["body"])
                return
            await send(message)

        await self._serve(scope, partial(_receive_gathered, cycle), send_on)

    async def _send_as_it_is(self, cycle: RequestResponseCycle, piece: Buffer) -> None:
        """Send a piece of an answer as uvicorn does, without copying it."""
        if self.flow.write_paused and not cycle.disconnected:
            await self.flow.drain()
        if not cycle.disconnected:
            await self._one_write.write_all([b"%x\r\n" % len(piece), piece, b"\r\n"], self.flow.drain)

    async def _refuse_surplus(self, scope: Any, receive: Any, send: Any) -> None:
        """Say that there are too many connections, for as long as there are."""
        is_one_too_many = self.max_connections is not None and len(self.connections) > self.max_connections
        if is_one_too_many and scope["path"] not in self.open_paths:
            await _send_too_many(send)
        else:
            await self.config.loaded_app(scope, receive, send)

    def data_received(self, data: memoryview) -> None:  # type: ignore[override]
        self._besides += len(data)
        self._idle.rest()
        HttpToolsProtocol.data_received(self, data)  # type: ignore[arg-type]  # it only parses it
        if self._besides > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse()
        if not self._is_within_head:
            self._stop_timer()
        elif self._head_timer is None:
            self._start_timer()

    def on_message_begin(self) -> None:
        self._is_within_head = True
        super().on_message_begin()
        self.scope["extensions"] = {_VOUCH: self._vouch}  # type: ignore[dict-item]

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.headers) >= MAX_FIELDS:
            raise ValueError("too many fields")  # the parser goes no further
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._is_within_head = False
        self._besides = 0
        if len(self.pipeline) >= MAX_PIPELINED:
            raise ValueError("too many requests behind one")  # the parser goes no further
        if [name for name, _ in self.headers].count(b"host") != 1:
            raise ValueError("a request names its host once (RFC 9112, 3.2)")  # the parser answers with 400
        self._is_known |= not self.knows_callers
        if self.config.date_header:
            self.server_state.default_headers = [_date_header(int(time.time())), *self.config.encoded_headers]
        super().on_headers_complete()
        self._gathered = [] if MAX_JOINED_BYTES < self._announced_bytes <= self.gathered_bytes else None
        if not self.pipeline:
            self._answered = self.cycle
        # uvicorn reads no further behind a request that has to wait. An end of the connection would not be seen either,
        # and a stream goes on for as long as its client is there.
        if self.pipeline:
            self.flow.resume_reading()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request; where another answer is under way, this would be a part of it, or taken for it."""
        if self.cycle is None or self.cycle.response_complete:
            super().send_400_response(msg)
        else:
            self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Run the application as uvicorn does, whose callback at the end of the task takes a turn of the event loop."""

        async def run() -> None:
            try:
                await cycle.run_asgi(app)
            finally:
                self.tasks.discard(task)

        task = self.loop.create_task(run())
        self.tasks.add(task)

    def on_response_complete(self) -> None:
        self._one_write.flush()  # an answer to HEAD has a head alone
        if self.pipeline:
            self._answered, _ = self.pipeline[-1]  # the next one; the newest is the first
            super().on_response_complete()
        elif not self.transport.is_closing():
            # As uvicorn does, but for its timer, which is made and cancelled with each answer.
            self.flow.resume_reading()
            self._idle.feed(self.timeout_keep_alive)

    @property
    def _announced_bytes(self) -> int:
        """The length of the body where the head says it, which the parser has checked."""
        return int(next((value for name, value in self.headers if name == b"content-length"), b"0"))

    def on_body(self, body: bytes) -> None:
        self._besides = 0
        if self._gathered is None:
            super().on_body(body)
        elif not self.cycle.response_complete:
            self._gathered.append(body)  # and nobody is woken by it

    def on_message_complete(self) -> None:
        self._besides = 0
        if self._gathered:
            pieces, self._gathered = self._gathered, None
            # uvicorn hands on whatever it is.
            self.cycle.body = pieces[0] if len(pieces) == 1 else b"".join(pieces)  # type: ignore[assignment]
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._idle.close()
        if self._answered is not None and not self._answered.response_complete:
            # uvicorn tells the last request that has come, and the one that is being answered may be before it.
            self._answered.disconnected = True
            self._answered.message_event.set()
        self.pipeline.clear()  # each has its part in a cycle of references
        super().connection_lost(exc)

    def shutdown(self) -> None:
        super().shutdown()
        patience_seconds = self.config.timeout_graceful_shutdown
        if patience_seconds is not None:
            self.loop.call_later(patience_seconds - CUT_BEFORE_SECONDS, self.transport.abort)

    def _refuse(self) -> None:
        if self._is_within_head:
            self.send_400_response("The head of the request is too long.")
        else:  # behind the body: an answer may be under way
            self.transport.close()

    def _start_timer(self) -> None:
        self._head_timer = self.loop.call_later(self.head_seconds, self.transport.close)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def _drop(protocol: ServerProtocol) -> None:
    protocol.connections.discard(protocol)
    protocol.transport.abort()


def _is_large_piece(message: Any) -> bool:
    """Return whether an application's message is a large piece of a body, behind which more comes."""
    is_piece = message["type"] == "http.response.body" and message.get("more_body", False)
    return is_piece and len(message.get("body", b"")) > MAX_JOINED_BYTES


async def _receive_gathered(cycle: RequestResponseCycle) -> Any:
    """Return the next piece of a request's body; one that was gathered is handed on as it is, and not copied."""
    if cycle.more_body and not cycle.waiting_for_100_continue:
        cycle.flow.resume_reading()
        await cycle.message_event.wait()
    is_over = cycle.more_body or cycle.disconnected or cycle.response_complete
    if is_over or not isinstance(cycle.body, bytes):  # uvicorn's is a bytearray
        return await cycle.receive()
    cycle.message_event.clear()
    body, cycle.body = cycle.body, bytearray()
    return {"type": "http.request", "body": body, "more_body": False}


@lru_cache(maxsize=1)
def _date_header(second: int) -> tuple[bytes, bytes]:
    return b"date", formatdate(second, usegmt=True).encode()


async def _send_too_many(send: Send) -> None:
    message = "The server has as many connections as it can serve; nothing was run. Try again in a moment."
    body = json.dumps({"error": {"code": "TooManyConnections", "message": message}}).encode()
    headers = [
        (b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), (b"retry-after", b"1"),
        (b"connection", b"close"),
    ]  # fmt: skip
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})
