"""One request whose client may go away at any time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from starlette.types import Receive

RequestBody = AsyncIterator[bytes]

# A client that sends nothing for so long within a body has gone, or means harm.
BODY_SECONDS = 60.0


class BodyStalled(Exception):
    """The client stopped sending within its request."""


async def serve_while_connected(receive: Receive, serve: Callable[[RequestBody], Awaitable[None]]) -> None:
    """Run `serve` with the request's body, and cancel it when the client closes the connection.

    A body is read ahead by one piece only, so that a client that sends faster than the pod reads has to wait; within a
    body that nobody reads a lost client is therefore not noticed.
    """
    pieces: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=1)
    serving = asyncio.ensure_future(serve(_iterate(pieces)))
    watching = asyncio.create_task(_watch(receive, pieces))
    try:
        await asyncio.wait({serving, watching}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
    finally:
        serving.cancel()
        watching.cancel()
        await asyncio.gather(serving, watching, return_exceptions=True)


async def _watch(receive: Receive, pieces: asyncio.Queue[bytes | None]) -> None:
    """Pass on the body, then return when the client has gone."""
    more_body = True
    while (message := await receive())["type"] == "http.request":
        if not more_body:
            continue
        more_body = message.get("more_body", False)
        if piece := message.get("body", b""):
            await pieces.put(piece)
        if not more_body:
            await pieces.put(None)


async def _iterate(pieces: asyncio.Queue[bytes | None]) -> RequestBody:
    while True:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                piece = await pieces.get()
        except TimeoutError:
            raise BodyStalled from None
        if piece is None:
            return
        yield piece
