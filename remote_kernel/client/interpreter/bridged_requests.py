"""Requests that go to an agent in exchanges, with the pieces of their answers."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus

from remote_kernel.client.http.bounds import limit_of
from remote_kernel.client.http.pool_client import error_words, parse_object
from remote_kernel.core.errors import NoAgent, PoolError, PoolFull, PoolRefused, PoolUnreachable
from remote_kernel.core.limits import REFUSAL, Limit
from remote_kernel.core.wire import batches as exchange
from remote_kernel.core.wire import frames as wire
from remote_kernel.core.wire.batches import Call, Piece

# How the names of the lives of interpreters begin that have no agent; see `remote_kernel.injected.cell`.
PLAIN_EPOCH = "plain-"


class BridgedRequests:
    """A request that was made and has not ended; the `Body` of its answer.

    Args:
        wake: called when all that has come has been read.
    """

    def __init__(self, call: Call, wake: Callable[[], None]) -> None:
        self.call = call
        self.is_sent = False
        self.status = 0
        self.is_busy = False
        self.is_over = False
        self.error: Exception | None = None
        self._wake = wake
        self._unread: deque[bytes] = deque()
        self._taken_bytes = 0
        self._changed = asyncio.Event()

    @property
    def is_stream(self) -> bool:
        return self.call.path == wire.EVENTS_PATH

    @property
    def wants_more(self) -> bool:
        return not (self.is_over or self._unread)

    @property
    def is_urgent(self) -> bool:
        """Return whether there is something to come."""
        return self.is_busy or not self.status or not self.is_stream

    @property
    def limit(self) -> Limit:
        """The bounds of the answer, as far as it is known what it is."""
        return limit_of(self.call.path, self.status, self.call.method)

    def take(self, piece: Piece) -> None:
        """Note a piece of the answer."""
        if piece.status == exchange.GONE:
            self.fail(PoolUnreachable("The session's agent has forgotten this connection."))
            return
        self.status, self.is_busy, self.is_over = piece.status, piece.is_busy, piece.is_last
        self._taken_bytes += len(piece.data)
        if self.limit.bytes is not None and self._taken_bytes > self.limit.bytes:
            self.fail(PoolUnreachable("The session's agent sent more than an answer may have."))
            return
        if piece.data:
            self._unread.append(piece.data)
        self._changed.set()

    def fail(self, error: Exception) -> None:
        self.error, self.is_over = error, True
        self._changed.set()

    async def wait_answer(self) -> None:
        """Return when there is a status; raises what the request failed with."""
        while not self.status:
            if self.error is not None:
                raise self.error
            await self._wait_changed()

    async def _wait_changed(self) -> None:
        self._changed.clear()
        self._wake()
        await self._changed.wait()

    async def chunks(self) -> AsyncIterator[bytes]:
        while True:
            while self._unread:
                yield self._unread.popleft()
            if self.error is not None:
                raise self.error
            if self.is_over:
                return
            await self._wait_changed()

    async def read_all(self) -> bytes:
        return b"".join([piece async for piece in self.chunks()])

    def settle_without_agent(self) -> bool:
        """End the request if it is for an agent which is not there; whether it is one."""
        epoch = self.call.params.get("epoch", "")
        if epoch.startswith(PLAIN_EPOCH):
            self.fail(NoAgent("none could be started before"))
            return True
        if self.call.path == wire.RELEASE_PATH:
            # With an epoch, the agent that knew it is gone with its session, and this one is somebody else's; without,
            # it is one that was asked for by the same process, and has no agent that anybody could use.
            answer = {"stops": not epoch, "others": 0, "kernels": 1 if epoch else 0}
            self.take(Piece(id=self.call.id, status=HTTPStatus.OK, data=json.dumps(answer).encode(), is_last=True))
            return True
        if self.status or epoch:
            self.fail(session_gone())
            return True
        if self.call.path == wire.SESSION_PATH:
            self.take(Piece(id=self.call.id, status=HTTPStatus.OK, data=b'{"kernels": []}', is_last=True))
            return True
        return False


def refusal(status: int, body: bytes) -> PoolError:
    """Return the error that an agent's answer stands for."""
    fields = parse_object(body, REFUSAL).get("error")
    code, message = error_words(fields if isinstance(fields, dict) else {})
    message = message or f"The session's agent answered with status {status}."
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return PoolFull(message)
    return PoolRefused(message, status=status, code=code)


def session_gone() -> PoolRefused:
    """Return what an agent says to who speaks of another session than the one that is there."""
    error = "The session that this request speaks of is gone."
    return PoolRefused(error, status=HTTPStatus.CONFLICT, code=wire.EPOCH_MISMATCH)
