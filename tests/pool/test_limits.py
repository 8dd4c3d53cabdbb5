"""What a client may not do to the pool: take for ever, send for ever, or send what is no request."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import pytest

from remote_kernel.io.http1 import proves
from remote_kernel.pool.sessions import Limits
from remote_kernel.pool.timings import Timings
from tests.pool.running import TOKEN, RunningServer, run_pool

pytestmark = pytest.mark.anyio

SHORT_SECONDS = 0.2


@pytest.fixture
async def server() -> AsyncIterator[RunningServer]:
    async with run_pool(Limits(ready=1)) as running:
        yield running


@pytest.fixture
async def impatient() -> AsyncIterator[RunningServer]:
    """A pool whose clients have little time."""
    timings = Timings(head_seconds=SHORT_SECONDS, body_seconds=SHORT_SECONDS)
    async with run_pool(Limits(ready=1), timings=timings) as running:
        yield running


async def send_raw(server: RunningServer, data: bytes) -> bytes:
    """Send bytes and return all that comes until the pool closes the connection; "" where it did not read them all."""
    parts = urlsplit(server.endpoint)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(data)
        async with asyncio.timeout(20):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def test_a_request_that_takes_too_long_is_cut_before_its_answer() -> None:
    async with run_pool(Limits(ready=1), request_cap=SHORT_SECONDS) as server:
        pod = await server.pod_of("a-session")
        answer = await server.client.get("/hang/silently", params={"identifier": "a-session"})
        assert answer.status_code == 504
        assert answer.json()["error"]["code"] == "RequestTimeout"
        assert await server.pod_of("a-session") == pod


async def test_an_answer_that_takes_too_long_is_cut_within() -> None:
    async with run_pool(Limits(ready=1), request_cap=SHORT_SECONDS) as server:
        pod = await server.pod_of("a-session")
        async with server.client.stream("GET", "/two_pieces", params={"identifier": "a-session"}) as answer:
            pieces = answer.aiter_raw()
            assert await anext(pieces) == b"first"
            with pytest.raises(httpx.RemoteProtocolError):
                await anext(pieces)
        assert await server.pod_of("a-session") == pod


async def test_a_connection_too_many_is_refused_until_others_have_ended() -> None:
    async with run_pool(Limits(ready=1), max_connections=3) as server, contextlib.AsyncExitStack() as stack:
        assert (await server.client.get("/.local/status")).status_code == 200
        host, port = address_of(server)
        for _ in range(2):
            await stack.enter_async_context(known_connection(host, port))
        request = b"GET /.local/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        refused = await send_raw(server, request)
        assert refused.startswith(b"HTTP/1.1 503")
        assert b"\r\nretry-after: 1\r\n" in refused
        assert b"as many connections as it can serve" in refused
        assert await proves(host, port, TOKEN)  # so that no client takes it for gone
        await stack.aclose()  # two connections end, and there is room again
        async with asyncio.timeout(20):
            while not (await send_raw(server, request)).startswith(b"HTTP/1.1 401"):
                pass


ANNOUNCING = b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n"


@pytest.mark.parametrize("request_", [b"", ANNOUNCING], ids=["silent", "no body"])
async def test_connections_of_strangers_give_way_to_others(request_: bytes) -> None:
    async with run_pool(Limits(ready=1), max_connections=4) as server, contextlib.AsyncExitStack() as stack:
        host, port = address_of(server)
        ours = [await stack.enter_async_context(known_connection(host, port)) for _ in range(2)]
        strangers = []
        for _ in range(8):
            reader, writer = await asyncio.open_connection(host, port)
            stack.callback(writer.close)
            writer.write(request_)
            strangers.append(reader)
        async with asyncio.timeout(20):
            for reader in strangers[:6]:
                with contextlib.suppress(ConnectionResetError):
                    await reader.read()
        assert (await server.client.get("/.local/status")).status_code == 200
        for reader, writer in ours:
            await ask_status(reader, writer)


def address_of(server: RunningServer) -> tuple[str, int]:
    parts = urlsplit(server.endpoint)
    return parts.hostname or "", parts.port or 0


@contextlib.asynccontextmanager
async def known_connection(host: str, port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Give a connection on which a token was sent."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        await ask_status(reader, writer)
        yield reader, writer
    finally:
        writer.close()


async def ask_status(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"GET /.local/status HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\n\r\n" % TOKEN.encode())
    async with asyncio.timeout(20):
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("beginning", [b"", b"GET / HTTP/1.1\r\nHost: loc"])
async def test_a_request_head_that_does_not_arrive_ends_the_connection(
    impatient: RunningServer, beginning: bytes
) -> None:
    assert await send_raw(impatient, beginning) == b""


async def test_the_head_of_a_second_request_has_a_limit_too(impatient: RunningServer) -> None:
    parts = urlsplit(impatient.endpoint)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(b"GET /.local/status HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (await reader.readuntil(b"}}")).startswith(b"HTTP/1.1 401")
    writer.write(b"GET /.local/status HTTP/1.1\r\nHo")
    async with asyncio.timeout(20):
        assert await reader.read() == b""
    writer.close()


async def test_a_slow_answer_is_no_slow_request(impatient: RunningServer) -> None:
    params = {"identifier": "slow-answer"}
    async with impatient.client.stream("GET", "/two_pieces", params=params) as answer:
        pieces = answer.aiter_raw()
        assert await anext(pieces) == b"first"
        await asyncio.sleep(2 * SHORT_SECONDS)  # longer than any head may take
        await impatient.client.get("/release", params=params)
        assert await anext(pieces) == b"second"


async def test_a_body_that_stops_arriving_is_given_up(impatient: RunningServer) -> None:
    head = (
        f"POST /show?identifier=stalled HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        "Content-Length: 100\r\nConnection: close\r\n\r\nsome"
    )
    assert (await send_raw(impatient, head.encode())).startswith(b"HTTP/1.1 408")


async def test_no_body_of_a_stranger_is_waited_for(impatient: RunningServer) -> None:
    reader, writer = await asyncio.open_connection(*address_of(impatient))
    writer.write(ANNOUNCING)
    async with asyncio.timeout(20):
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 401")
    writer.close()


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100_000,
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"x" * 1_000_000,
    ],
    ids=["tls", "no-host", "version", "long-head", "huge", "negative", "chunks", "hosts", "lengths", "long-trailer"],
)
async def test_what_is_no_request_is_refused_and_the_pool_lives(server: RunningServer, data: bytes) -> None:
    end = b"" if data.endswith(b"x") else b"Connection: close\r\n\r\n"
    answer = await send_raw(server, data.removesuffix(b"\r\n") + end if b"Host" in data else data)
    assert answer[:10] in {b"HTTP/1.1 4", b""}
    await server.pod_of("alive")


@pytest.mark.parametrize(
    "query",
    ["identifier=" + "a" * 50_000, "identifier=a&identifier=b", "identifier=%00", "identifier=../x", "identifier="],
    ids=["long", "two", "nul", "path", "empty"],
)
async def test_an_identifier_that_is_none_is_refused(server: RunningServer, query: str) -> None:
    answer = await server.client.get(f"/show?{query}")
    assert 400 <= answer.status_code < 500
    assert len(list(server.pool.status().sessions)) == 0


async def test_a_full_pool_says_how_full_it_is_and_when_to_come_back() -> None:
    async with run_pool(Limits(max_sessions=1, ready=0)) as server:
        await server.pod_of("the-one")
        answer = await server.client.get("/show", params={"identifier": "another"})
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")
        assert answer.json()["error"]["details"] == [{"code": "SessionsInUse", "message": "1 of 1"}]
