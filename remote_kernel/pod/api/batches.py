"""The pod's API by exchanges: requests that are called once and then read in pieces, however few come through."""

import asyncio
import base64
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Sequence

from remote_kernel.core.errors import WireError
from remote_kernel.core.limits import BATCH_OF_REQUESTS
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.core.wire import batches as exchange
from remote_kernel.core.wire.batches import Exchange, Piece
from remote_kernel.io.tasks import start
from remote_kernel.pod.api.api import Api
from remote_kernel.pod.api.calls import MAX_BODY_BYTES, Answer, BadRequest, BodyTooLarge, Call
from remote_kernel.pod.api.refusals import answer, explain

_log = logging.getLogger(__name__)

# What an answer may be ahead of those who read it; the journal keeps the rest.
AHEAD_BYTES = exchange.MAX_PIECE_BYTES

# A cell that prints is shown this often, or as seldom: each time takes an execution.
GATHER_SECONDS = 0.25
# What a kernel says at the end of a request comes in several messages.
QUIET_SECONDS = 0.02

# The shortest time after which a reader is forgotten, where a pool's cooldown is very short.
MIN_LEASE_SECONDS = 15.0


class Request:
    """One request and its answer, as far as it has been given and read."""

    def __init__(self, api: Api, call: exchange.Call) -> None:
        self.id = call.id
        self.used_at = time.monotonic()
        self.status = 0
        self.unread = bytearray()
        self.is_complete = False
        self.is_held = False
        self.changed = asyncio.Event()
        self._answer: Answer | None = None
        self._has_room = asyncio.Event()
        self._task = start(self._run(api, call), "request")

    @property
    def is_busy(self) -> bool:
        return self._answer is not None and self._answer.is_busy()

    @property
    def is_over(self) -> bool:
        """Return whether all of the answer has been read."""
        return self.is_complete and not self.unread

    async def _run(self, api: Api, call: exchange.Call) -> None:
        try:
            self._answer = answer = await _answer(api, call)
            self.status = answer.status
            if isinstance(answer.body, bytes):
                self.unread += answer.body
            else:
                await self._take(answer.body)
        except Exception:
            _log.exception(LogEvent("failed inside"))  # the end tells who reads
        finally:
            self.is_complete = True
            self.changed.set()

    async def _take(self, body: AsyncIterator[bytes | memoryview]) -> None:
        self.changed.set()
        async for data in body:
            self.unread += data
            self.changed.set()
            while len(self.unread) >= AHEAD_BYTES:
                self.is_held = True
                self._has_room.clear()
                await self._has_room.wait()
            self.is_held = False

    def consume(self, size: int) -> None:
        """Say that so many bytes have been read."""
        del self.unread[:size]
        self._has_room.set()

    async def aclose(self) -> None:
        """End the request, whatever it is about to answer."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if self._answer is not None and not isinstance(self._answer.body, bytes):
            await self._answer.body.aclose()  # type: ignore[attr-defined]


async def _answer(api: Api, call: exchange.Call) -> Answer:
    async def read_body() -> bytes:
        if len(call.content) > MAX_BODY_BYTES:
            raise BodyTooLarge
        return call.content

    handler = api.handlers.get((call.method, call.path))
    if handler is None:
        return explain(BadRequest("The pod's agent does not know this request."))
    return await answer(handler, Call(call.params, read_body))


def lease_seconds(cooldown_seconds: float) -> float:
    """Return when a reader that was killed is forgotten: others call at least every third of the pool's cooldown, as
    long as they want the pod."""
    return max(cooldown_seconds / 2, MIN_LEASE_SECONDS)


class Exchanges:
    """Answers exchanges; the same agent serves any number of kernels.

    Args:
        lease_seconds: how long a request is kept that nobody reads.
    """

    def __init__(self, api: Api, lease_seconds: float) -> None:
        self._api = api
        self._lease_seconds = lease_seconds
        self._requests: dict[str, Request] = {}

    async def answer(self, asked: Exchange, max_chars: int) -> bytes:
        """Return the packed pieces for one exchange, in base64 of so many characters at most."""
        await self._close([*asked.closes, *self._forgotten(asked.reads)])
        for call in asked.calls:
            if call.id not in self._requests:
                self._requests[call.id] = Request(self._api, call)
        named = [*(call.id for call in asked.calls), *asked.reads]
        requests = [self._requests[id_] for id_ in named if id_ in self._requests]
        await _wait(requests, asked)
        answer = self._collect(named, max_chars)
        await self._close([request.id for request in requests if request.is_over])
        return answer

    def _forgotten(self, reads: Sequence[str]) -> list[str]:
        since = time.monotonic() - self._lease_seconds
        return [id_ for id_, request in self._requests.items() if request.used_at < since and id_ not in reads]

    async def _close(self, ids: Sequence[str]) -> None:
        for id_ in ids:
            if request := self._requests.pop(id_, None):
                await request.aclose()

    def _collect(self, named: Sequence[str], max_chars: int) -> bytes:
        """Take as much as fits; how well it packs is found out by trying."""
        size = AHEAD_BYTES
        while True:
            pieces = [self._look(id_, size) for id_ in named]
            packed = base64.b64encode(exchange.pack_pieces(pieces))
            if len(packed) <= max_chars or size == 1:
                break
            size = max(1, min(size // 2, max(len(piece.data) for piece in pieces) * max_chars // len(packed)))
        for piece in pieces:
            if request := self._requests.get(piece.id):
                request.consume(len(piece.data))
                request.used_at = time.monotonic()
        return packed

    def _look(self, id_: str, size: int) -> Piece:
        request = self._requests.get(id_)
        if request is None:
            return Piece(id=id_, status=exchange.GONE, is_last=True)
        return Piece(
            id=id_,
            status=request.status,
            data=bytes(request.unread[:size]),
            is_last=request.is_complete and len(request.unread) <= size,
            is_busy=request.is_busy or request.is_held or len(request.unread) > size,
        )

    async def aclose(self) -> None:
        """End every request."""
        await self._close(list(self._requests))


async def _wait(requests: Sequence[Request], asked: Exchange) -> None:
    """Wait for what the exchange asks for, and for what is on its way with it."""
    started = time.monotonic()
    while requests:
        for request in requests:
            request.changed.clear()
        passed = time.monotonic() - started
        seconds = _seconds_to_wait(requests, asked, passed)
        if seconds <= 0:
            return
        changes = [asyncio.create_task(request.changed.wait()) for request in requests]
        try:
            done, _ = await asyncio.wait(changes, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for change in changes:
                change.cancel()
        if not done and seconds <= QUIET_SECONDS:
            return


def _seconds_to_wait(requests: Sequence[Request], asked: Exchange, passed: float) -> float:
    """Return how long to wait for a change before the exchange is over as it stands."""
    if any(not request.status for request in requests):
        return asked.call_seconds - passed
    if any(len(request.unread) >= AHEAD_BYTES for request in requests):
        return 0.0
    streams = [request for request in requests if not request.is_complete]
    if not streams:
        return 0.0
    if not any(stream.unread for stream in streams):
        return asked.news_seconds - passed
    if any(stream.is_busy for stream in streams):
        return min(GATHER_SECONDS, asked.news_seconds) - passed
    return min(QUIET_SECONDS, asked.news_seconds - passed)


async def _read(reader: asyncio.StreamReader) -> bytes:
    """Return what is sent until its end; raises `WireError` where it is more than a batch may have."""
    try:
        await reader.readexactly((BATCH_OF_REQUESTS.bytes or 0) + 1)
    except asyncio.IncompleteReadError as error:
        return error.partial
    raise WireError("a batch that is too large")


async def serve(exchanges: Exchanges, path: str) -> asyncio.Server:
    """Listen on a Unix socket: a line with the most characters of the answer and the bytes of one exchange in, their
    end; its answer out, the end."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, WireError), contextlib.closing(writer):
            max_chars, _, packed = (await _read(reader)).partition(b"\n")
            writer.write(await exchanges.answer(Exchange.unpack(packed), int(max_chars)))
            await writer.drain()

    return await asyncio.start_unix_server(accept, path)
