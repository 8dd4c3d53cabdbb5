"""A pod or front door that means harm: a small server on loopback that answers what a test wants, and counts what it
gets rid of."""

import asyncio
import base64
import json
import re
import ssl
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from anyio.from_thread import start_blocking_portal

from remote_kernel.client.access import ConfiguredAccess
from remote_kernel.client.http.pool_client import PoolClient
from remote_kernel.client.http.transport import DEFAULT_TIMINGS, Timings
from remote_kernel.core.identity import Identifier
from remote_kernel.core.wire import frames as wire

# What a server offers that never stops by itself.
ENDLESS_BYTES = 1 << 30

# What the system and the clients hold of what was sent and not asked for, in both directions.
SLACK_BYTES = 24 * 1024 * 1024

KERNEL_INFO = {
    "protocol_version": "5.4",
    "implementation": "ipython",
    "implementation_version": "9",
    "language_info": {"name": "python", "version": "3.14", "mimetype": "text/x-python", "file_extension": ".py"},
    "banner": "",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request."""

    method: str
    path: str
    params: dict[str, str]
    headers: dict[str, str]
    body: bytes = field(repr=False)


# All bytes of an answer, its head included, as they are to be sent.
Answer = Callable[[Asked], AsyncIterator[bytes]]


@dataclass(slots=True)
class Hostile:
    """What has been asked of the server, and how many bytes its clients, or the system for them, have taken."""

    endpoint: str = ""
    asked: list[Asked] = field(default_factory=list)
    taken_bytes: int = 0
    wakeups: asyncio.Event = field(default_factory=asyncio.Event)

    def pool(self, identifier: str = "identifier", timings: Timings = DEFAULT_TIMINGS) -> PoolClient:
        return PoolClient(ConfiguredAccess(self.endpoint, "token"), Identifier(identifier), timings=timings)

    def count(self, path: str) -> int:
        """Return how often something was asked for."""
        return sum(asked.path == path for asked in self.asked)


@asynccontextmanager
async def hostile(answer: Answer, context: ssl.SSLContext | None = None) -> AsyncIterator[Hostile]:
    """Serve until the block ends."""
    server = Hostile()

    talking: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talking.add(task)
        try:
            while True:
                asked = await _read_request(reader)
                server.asked.append(asked)
                server.wakeups.set()
                async for piece in answer(asked):
                    writer.write(piece)
                    await writer.drain()
                    server.taken_bytes += len(piece)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            talking.discard(task)
            writer.transport.abort()

    async with await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context) as listening:
        port = listening.sockets[0].getsockname()[1]
        server.endpoint = f"{'https' if context else 'http'}://127.0.0.1:{port}"
        try:
            yield server
        finally:
            for task in list(talking):
                task.cancel()
            await asyncio.gather(*talking, return_exceptions=True)


@contextmanager
def hostile_beside(answer: Answer) -> Iterator[Hostile]:
    """Serve in a thread of its own, for tests that have no event loop."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(hostile(answer)) as server:
        yield server


async def _read_request(reader: asyncio.StreamReader) -> Asked:
    line, *fields = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    method, target, _ = line.split(" ")
    headers = {name.lower(): value for name, _, value in (text.partition(": ") for text in fields)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    parts = urlsplit(target)
    return Asked(method, parts.path, dict(parse_qsl(parts.query)), headers, body)


def head(status: int = 200, **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


async def whole(body: bytes, status: int = 200, **headers: str) -> AsyncIterator[bytes]:
    """Yield an answer that comes to its end."""
    yield head(status, content_length=str(len(body)), **headers) + body


async def say(value: object, status: int = 200, **headers: str) -> AsyncIterator[bytes]:
    """Yield an answer that is JSON."""
    async for piece in whole(json.dumps(value).encode(), status, **headers):
        yield piece


async def endless(status: int = 200, *, filling: bytes = b" ", **headers: str) -> AsyncIterator[bytes]:
    """Yield an answer that has announced so much, and goes on and on."""
    yield head(status, content_length=str(ENDLESS_BYTES), **headers)
    piece = filling * (256 * 1024 // len(filling))
    for _ in range(ENDLESS_BYTES // len(piece)):
        yield piece


def stream(*frames: bytes, ends: bool = False) -> AsyncIterator[bytes]:
    """Yield a stream of events, which stays open behind these."""

    async def pieces() -> AsyncIterator[bytes]:
        yield head(transfer_encoding="chunked")
        for frame in frames:
            yield b"%x\r\n%b\r\n" % (len(frame), frame)
        if ends:
            yield b"0\r\n\r\n"
        else:
            await asyncio.Event().wait()

    return pieces()


def hello(**fields: object) -> bytes:
    """Return a `Hello` with such fields, which no agent may say."""
    known = {
        "epoch": "e1", "cursor": 0, "cooldown_seconds": 300.0, "pod": "pod", "is_busy": False,
        "kernel_info": KERNEL_INFO, "takes_compressed": True, "last": 0,
    }  # fmt: skip
    return frame_of(wire.FrameType.HELLO, json.dumps(known | fields).encode())


def frame_of(frame_type: wire.FrameType, body: bytes) -> bytes:
    return (len(body) + 1).to_bytes(4, "big") + bytes([frame_type]) + body


def deflated(piece: bytes, times: int, beginning: bytes = b"") -> bytes:
    """Return as little as becomes so much."""
    packer = zlib.compressobj(zlib.Z_BEST_SPEED)
    packed = packer.compress(beginning) + b"".join(packer.compress(piece) for _ in range(times))
    return packed + packer.flush()


def printed_for(asked: Asked, answer: Callable[[dict[str, object]], str]) -> AsyncIterator[bytes]:
    """Answer an execution as an interpreter that prints something else than our code in it does.

    Args:
        answer: returns what to print between the marks, given the argument of the code.
    """
    code = json.loads(asked.body)["code"]
    packed = re.findall(r'"argument": "([^"]*)"', code)[-1]
    argument = json.loads(zlib.decompress(base64.b64decode(packed)))
    stdout = f"{argument['mark']}({answer(argument)}){argument['mark']}\n"
    return say({"id": "x", "status": "Succeeded", "result": {"stdout": stdout, "executionTimeInMilliseconds": 1}})
