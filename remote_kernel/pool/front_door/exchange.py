"""One request whose client may go away at any time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Self

from starlette.types import Receive

from remote_kernel.io.tasks import start

# A request that is not over by then is worth a look at whether its client is still there.
WATCH_AFTER_SECONDS = 0.1

# A body that is no larger comes within a moment, and costs no memory worth counting.
MAX_GATHERED_BYTES = 64 * 1024


class BodyStalled(Exception):
    """The client stopped sending within its request."""


class ClientGone(Exception):
    """The client closed the connection within its request."""


class RequestBody(AsyncIterator[bytes]):
    """The body of a request, piece by piece; reading raises `BodyStalled` and `ClientGone`.

    Args:
        seconds: how long the client may send nothing.

    Attributes:
        is_read: is set when all of it has been read.
    """

    def __init__(self, receive: Receive, seconds: float) -> None:
        self._receive = receive
        self._seconds = seconds
        self._gathered = b""
        self.is_read = asyncio.Event()

    async def gather(self) -> None:
        """Read all of it now, so that it is there in one piece; who calls this sees to the time that it takes."""
        pieces = []
        while not self.is_read.is_set():
            pieces.append(await self._next_piece())
        self._gathered = b"".join(pieces)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._gathered:
            gathered, self._gathered = self._gathered, b""
            return gathered
        while not self.is_read.is_set():
            try:
                async with asyncio.timeout(self._seconds):
                    piece = await self._next_piece()
            except TimeoutError:
                raise BodyStalled from None
            if piece:
                return piece
        raise StopAsyncIteration

    async def _next_piece(self) -> bytes:
        message = await self._receive()
        if message["type"] != "http.request":
            raise ClientGone
        if not message.get("more_body", False):
            self.is_read.set()
        return bytes(message.get("body", b""))


async def serve_while_connected(
    receive: Receive, length: int | None, body_seconds: float, serve: Callable[[RequestBody], Awaitable[None]]
) -> None:
    """Run `serve` with the request's body, and cancel it when the client closes the connection.

    A small body is read before. A larger one is read as `serve` asks for it, so that a client that sends faster than
    the pod reads has to wait; within a body that nobody reads a lost client is therefore not noticed.

    Args:
        length: of the body; `None` where only its end will tell, or nothing is to be read before `serve` asks for it.
        body_seconds: how long the client may send nothing within it.

    Raises:
        BodyStalled: the rest of the body has not come.
    """
    body = RequestBody(receive, body_seconds)
    is_small = length is not None and length <= MAX_GATHERED_BYTES
    with contextlib.suppress(ClientGone), _Watch(receive, body, body_seconds if is_small else None):
        if is_small:
            await body.gather()
        await serve(body)


class _Watch:
    """Cancels what is done within when the client has gone, or does not send what it has announced.

    Most requests are over before it is worth looking.
    """

    def __init__(self, receive: Receive, body: RequestBody, gather_seconds: float | None) -> None:
        self._receive = receive
        self._body = body
        self._gather_seconds = gather_seconds
        self._serving = _current_task()
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER_SECONDS, self._begin)
        self._watching: asyncio.Task[bool] | None = None

    def __enter__(self) -> None:
        pass

    def _begin(self) -> None:
        self._watching = start(self._watch(), "watch")

    async def _watch(self) -> bool:
        """Cancel the request when it has no client; return whether its body has come."""
        is_complete = await self._wait_read()
        while is_complete and (await self._receive())["type"] == "http.request":
            pass
        self._serving.cancel()
        return is_complete

    async def _wait_read(self) -> bool:
        try:
            async with asyncio.timeout(self._gather_seconds):
                await self._body.is_read.wait()
        except TimeoutError:
            return False
        return True

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> bool:
        self._timer.cancel()
        if self._watching is None:
            return False
        is_ours = self._watching.done() and isinstance(error, asyncio.CancelledError) and not self._serving.uncancel()
        if is_ours and not self._watching.result():
            raise BodyStalled from None
        self._watching.cancel()
        return is_ours


def _current_task() -> "asyncio.Task[None]":
    task = asyncio.current_task()
    assert task is not None
    return task
