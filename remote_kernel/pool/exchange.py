"""One request whose client may go away at any time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Self

from starlette.types import Receive

# A client that sends nothing for so long within a body has gone, or means harm.
BODY_SECONDS = 60.0

# A body that is no larger comes within a moment, and costs no memory worth counting.
MAX_GATHERED_BYTES = 64 * 1024


class BodyStalled(Exception):
    """The client stopped sending within its request."""


class ClientGone(Exception):
    """The client closed the connection within its request."""


class RequestBody(AsyncIterator[bytes]):
    """The body of a request, piece by piece; reading raises `BodyStalled` and `ClientGone`.

    Attributes:
        is_read: is set when all of it has been read.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._gathered = b""
        self.is_read = asyncio.Event()

    async def gather(self) -> None:
        """Read all of it now, so that it is there in one piece."""
        self._gathered = b"".join([piece async for piece in self])

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._gathered:
            gathered, self._gathered = self._gathered, b""
            return gathered
        while not self.is_read.is_set():
            if piece := await self._next_piece():
                return piece
        raise StopAsyncIteration

    async def _next_piece(self) -> bytes:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                message = await self._receive()
        except TimeoutError:
            raise BodyStalled from None
        if message["type"] != "http.request":
            raise ClientGone
        if not message.get("more_body", False):
            self.is_read.set()
        return bytes(message.get("body", b""))


async def serve_while_connected(
    receive: Receive, length: int | None, serve: Callable[[RequestBody], Awaitable[None]]
) -> None:
    """Run `serve` with the request's body, and cancel it when the client closes the connection.

    A small body is read before. A larger one is read as `serve` asks for it, so that a client that sends faster than
    the pod reads has to wait; within a body that nobody reads a lost client is therefore not noticed.

    Args:
        length: of the body; `None` where only its end will tell.
    """
    body = RequestBody(receive)
    try:
        if length is not None and length <= MAX_GATHERED_BYTES:
            await body.gather()
        watching = asyncio.create_task(_cancel_when_gone(receive, body, _current_task()))
        try:
            await serve(body)
        except asyncio.CancelledError:
            if not watching.done() or _current_task().uncancel():
                raise
        finally:
            watching.cancel()
    except ClientGone:
        pass  # there is nobody to answer


async def _cancel_when_gone(receive: Receive, body: RequestBody, serving: asyncio.Task[None]) -> None:
    await body.is_read.wait()
    while (await receive())["type"] == "http.request":
        pass
    serving.cancel()


def _current_task() -> "asyncio.Task[None]":
    task = asyncio.current_task()
    assert task is not None
    return task
