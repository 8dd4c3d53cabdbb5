"""What a message of 1 MB takes on a hop, counted: the reads and writes of both ends, and what of it is copied.

Both ends are in one loop, so that what one has written is there when the other one reads.
"""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from remote_kernel.io.http1 import Client
from remote_kernel.io.http1.receiving import SEND_BUFFER_BYTES, Receiving
from remote_kernel.io.http1.serving import Server

pytestmark = [pytest.mark.anyio, pytest.mark.unix]

MOST = Path("/proc/sys/net/core/wmem_max")
MESSAGE = os.urandom(1_000_000)


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Reads and writes of more than a head; patched, as nobody else sees them."""
    found: Counter[str] = Counter()
    transport: Any = vars(asyncio.selector_events)["_SelectorSocketTransport"]
    writev, updated, write = os.writev, Receiving.buffer_updated, transport.write

    def note_writev(descriptor: int, parts: list[memoryview]) -> int:
        found["writes"] += 1
        return writev(descriptor, parts)

    def note_read(self: Receiving, size: int) -> None:
        found["reads"] += size > 1000
        updated(self, size)

    def note_write(self: Any, data: bytes) -> None:
        found["bytes that asyncio may copy"] += len(data) if len(data) > 1000 else 0
        write(self, data)

    monkeypatch.setattr(os, "writev", note_writev)
    monkeypatch.setattr(Receiving, "buffer_updated", note_read)
    monkeypatch.setattr(transport, "write", note_write)
    return found


@asynccontextmanager
async def serving(folder: Path, pieces: list[int]) -> AsyncIterator[Client]:
    """Give a client of a server that answers with a stream of the body that it was sent."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        body, has_more = b"", True
        while has_more:
            message = await receive()
            pieces.append(len(message["body"]))
            body, has_more = body or message["body"], message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    path = str(folder / "s")
    server = Server(answer, uds=path, protocol={"gathered_bytes": 10 * len(MESSAGE)}, log_level="warning")
    serving = asyncio.create_task(server.serve())
    await server.is_listening.wait()
    client = Client.unix(path, keepalive_seconds=10)
    yield client
    await client.aclose()
    server.should_exit = True
    await serving


@pytest.mark.skipif(
    not MOST.exists() or int(MOST.read_text()) < SEND_BUFFER_BYTES, reason="the system takes less at once"
)
async def test_a_message_of_1_mb_is_one_write_and_one_read_there_and_back(counts: Counter[str], tmp_path: Path) -> None:
    pieces: list[int] = []
    async with serving(tmp_path, pieces) as client:
        for _ in range(2):
            counts.clear()  # the buffer that is read into grows with the first
            response = await client.send(b"POST", b"/", [(b"host", b"pod")], MESSAGE)
            received = [piece async for piece in response.chunks()]
            response.close()
    assert received == [MESSAGE]
    assert pieces == [len(MESSAGE)] * 2
    assert +counts == {"writes": 2, "reads": 2}
