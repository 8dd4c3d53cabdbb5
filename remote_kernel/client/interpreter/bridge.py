"""Route through a built-in interpreter to our own agent, brought along and spoken to by short executions.

All requests of one session share one pump, which sends them in exchanges, one after another, as the pool runs them.
While a cell runs, an exchange waits in the pod for news, but never for long, as what is sent meanwhile has to wait for
it. When nothing runs, the pump looks a few more times for late words, ever less often, and then no more until there is
something to say.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from remote_kernel.client.http.pool_client import PoolClient, parse_object
from remote_kernel.client.interpreter.bridged_requests import BridgedRequests, refusal
from remote_kernel.client.interpreter.brought_agent import BroughtAgent, TooMuch
from remote_kernel.client.interpreter.executions import NOTHING_TO_RELEASE, check_session, has_session, stop_session
from remote_kernel.core.errors import PoolRefused, PoolUnreachable, RemoteKernelError, WireError
from remote_kernel.core.pools.front_door import GET_SESSION_PATH
from remote_kernel.core.wire import frames as wire
from remote_kernel.core.wire.batches import Call, Exchange, Piece, unpack_pieces
from remote_kernel.io.tasks import go_on, start

# How long an exchange may wait in the pod; an interrupt that comes meanwhile waits as long.
NEWS_SECONDS = 0.75
CALL_SECONDS = 2.0

# After the last sign of life, when to look for late words.
LOOK_AGAIN_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0)

CLOSED = "The connection to the session was closed."

# The last words of a process that ends.
FAREWELL_SECONDS = 0.5


class Bridge:
    """A `Route` over the executions of `pool`.

    Raises, beside what `Route` says, `NoAgent` where a pod can have none.

    Args:
        pauses: after the last sign of life, how long to wait before each look for late words, in seconds.
    """

    stale_seconds = None
    piece_bytes = 512 * 1024
    should_compress = False  # an exchange is compressed as a whole

    def __init__(self, pool: PoolClient, pauses: Sequence[float] = LOOK_AGAIN_SECONDS) -> None:
        self._pool = pool
        self._pauses = pauses
        self._brought_agent = BroughtAgent(pool)
        self._opened: dict[str, BridgedRequests] = {}
        self._closes: list[str] = []
        self._looks = iter(self._pauses)
        self._look_at = float("inf")
        self._work = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self._is_attached = False
        self._is_closed = False

    async def request(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, content: bytes = b"",
        read_seconds: float = 0.0,
    ) -> dict[str, Any]:  # fmt: skip
        if path == wire.STOP_SESSION_PATH:
            self._is_attached = False
            await stop_session(self._pool)
            return {}
        if path == GET_SESSION_PATH:
            return await check_session(self._pool)
        if path == wire.RELEASE_PATH and not await has_session(self._pool):
            return dict(NOTHING_TO_RELEASE)
        async with self.stream(method, path, params=params, content=content) as opened:
            return parse_object(await opened.read_all(), opened.limit)

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, content: bytes = b"",
        read_seconds: float = 0.0,
    ) -> AsyncIterator[BridgedRequests]:  # fmt: skip
        if self._is_closed:
            raise PoolUnreachable(CLOSED)
        asked = dict(params or {})
        asked.pop(wire.COMPRESS_PARAM, None)  # from before it was known that this is the way
        call = Call(id=secrets.token_hex(8), method=method, path=path, params=asked, content=content)
        opened = self._opened[call.id] = BridgedRequests(call, self._work.set)
        if self._pump is None:
            self._pump = start(go_on(self._run()), "bridge", on_failure=self._end_pump)
        try:
            await opened.wait_answer()
            if opened.status >= HTTPStatus.BAD_REQUEST:
                raise refusal(opened.status, await opened.read_all())
            yield opened
        finally:
            del self._opened[call.id]
            if opened.is_sent and (opened.error or not opened.is_over):
                self._closes.append(call.id)

    def drop_idle(self) -> None:
        self._pool.drop_idle()

    async def aclose(self) -> None:
        """End every request, and let the agent know, unless that might take a session, or wait as the last exchange
        does. The pool's client is its owner's."""
        self._is_closed = True
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)
        if self._closes and self._is_attached:
            with contextlib.suppress(RemoteKernelError, TimeoutError):
                async with asyncio.timeout(FAREWELL_SECONDS):
                    await self._brought_agent.carry(Exchange(closes=self._closes))
        self._fail(list(self._opened.values()), PoolUnreachable(CLOSED))

    # The pump

    async def _run(self) -> None:
        while True:
            await self._wait_due()
            opened = [each for each in self._opened.values() if each.wants_more]
            try:
                await self._exchange(opened)
            except WireError as error:
                self._fail(opened, PoolUnreachable(f"The session's agent sent something unreadable: {error}."))
            except Exception as error:
                self._fail(opened, error)  # whatever it is, those who wait are the ones to be told

    def _end_pump(self, error: Exception) -> None:
        """Let those who wait know that nothing comes any more; the next request begins anew."""
        self._pump = None
        self._fail(
            list(self._opened.values()),
            PoolUnreachable(f"The way to the session has failed inside: {type(error).__name__}."),
        )

    def _fail(self, opened: Sequence[BridgedRequests], error: Exception) -> None:
        self._is_attached = False
        for each in opened:
            each.fail(error)

    async def _wait_due(self) -> None:
        """Return when there is something to say, or it is time to look for news."""
        while True:
            self._work.clear()
            wanting = [each for each in self._opened.values() if each.wants_more]
            if any(each.is_urgent for each in wanting):
                return
            seconds = self._look_at - time.monotonic() if wanting else float("inf")
            if seconds <= 0:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds if seconds < float("inf") else None):
                    await self._work.wait()

    async def _exchange(self, opened: Sequence[BridgedRequests]) -> None:
        """Say what is to be said, in one exchange if there is an agent, and hand on what comes back."""
        self._is_attached = False  # until it answers
        asked = self._compose(opened)
        new = [each for each in opened if not each.is_sent]
        for each in new:
            each.is_sent = True
        try:
            answer = await self._brought_agent.carry(asked)
        except TooMuch as error:
            take_back(new, error)
            return
        if answer is None:
            await self._exchange_anew([each for each in opened if not each.settle_without_agent()])
        else:
            self._note(asked, unpack_pieces(answer, asked.count))

    async def _exchange_anew(self, opened: Sequence[BridgedRequests]) -> None:
        """Start an agent, and say everything to it that is meant for any."""
        if not opened:
            return
        await self._brought_agent.start()
        asked = Exchange(calls=[each.call for each in opened], call_seconds=CALL_SECONDS)
        answer = await self._brought_agent.carry(asked)
        if answer is None:
            raise PoolUnreachable("The session's agent ended at once.")
        self._note(asked, unpack_pieces(answer, asked.count))

    def _compose(self, opened: Sequence[BridgedRequests]) -> Exchange:
        calls = [each.call for each in opened if not each.is_sent]
        awaits_news = any(each.is_busy for each in opened) or any(call.method == "POST" for call in calls)
        return Exchange(
            calls=calls,
            reads=[each.call.id for each in opened if each.is_sent],
            closes=list(self._closes),
            call_seconds=CALL_SECONDS,
            news_seconds=NEWS_SECONDS if awaits_news else 0.0,
        )

    def _note(self, asked: Exchange, pieces: Sequence[Piece]) -> None:
        self._is_attached = True
        del self._closes[: len(asked.closes)]
        for piece in pieces:
            if opened := self._opened.get(piece.id):
                opened.take(piece)
            elif not piece.is_last:
                self._closes.append(piece.id)
        if asked.calls or any(piece.data for piece in pieces):
            self._looks = iter(self._pauses)
        self._look_at = time.monotonic() + next(self._looks, float("inf"))


def take_back(new: Sequence[BridgedRequests], error: PoolRefused) -> None:
    """Let the others of an exchange that was too much be sent again, without the requests that made it so."""
    for each in new:
        each.is_sent = False
        if each.call.content:
            each.fail(error)
