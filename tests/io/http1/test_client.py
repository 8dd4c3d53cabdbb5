"""The HTTP client against servers that do what servers do on bad days."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from remote_kernel.io.http1 import Client, ConnectionBroke, NoConnection, NotHttp
from remote_kernel.io.http1.connection import MAX_UNREAD_BYTES, Connection

pytestmark = pytest.mark.anyio

HOST = [(b"host", b"here")]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Counts its connections and keeps what each has received."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self.connections = 0
        self.port = 0

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self._serve(reader, writer)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def running(serve: Serve, keepalive_seconds: float = 60.0) -> AsyncIterator[tuple[Server, Client]]:
    counted = Server(serve)
    async with await asyncio.start_server(counted.accept, "127.0.0.1", 0) as server:
        counted.port = server.sockets[0].getsockname()[1]
        client = Client.tcp("127.0.0.1", counted.port, keepalive_seconds=keepalive_seconds)
        try:
            yield counted, client
        finally:
            await client.aclose()


async def read_head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


async def answer_in_drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_head(reader)
    for byte in b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 1000:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.01)


async def test_a_head_that_comes_in_drips_is_given_up() -> None:
    async with running(answer_in_drips) as (_, client):
        with pytest.raises(ConnectionBroke, match="too long"):
            await client.send(b"GET", b"/", HOST, read_seconds=0.2)


async def answer_ok(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nX-Kind: good\r\n\r\nok")


def answer_with(answer: bytes, *, stays: bool = False) -> Serve:
    """Return what answers the first request on a connection so, and closes it, or leaves that to the client."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(answer)
        if stays:
            await reader.read()

    return serve


async def get(client: Client) -> bytes:
    response = await client.send(b"GET", b"/", HOST)
    try:
        return await response.read()
    finally:
        response.close()


async def test_requests_one_after_the_other_use_one_connection() -> None:
    async with running(answer_ok) as (server, client):
        assert [await get(client) for _ in range(3)] == [b"ok"] * 3
        assert server.connections == 1


async def test_requests_at_the_same_time_use_several() -> None:
    async with running(answer_ok) as (server, client):
        first, second = [await client.send(b"GET", b"/", HOST) for _ in range(2)]
        assert server.connections == 2
        assert first.header(b"x-kind") == "good"
        assert first.header(b"x-other") == ""
        for response in (first, second):
            assert await response.read() == b"ok"
            response.close()


async def test_an_unused_connection_is_not_used_after_its_time() -> None:
    async with running(answer_ok, keepalive_seconds=0.0) as (server, client):
        assert [await get(client) for _ in range(2)] == [b"ok"] * 2
        assert server.connections == 2


async def test_a_connection_that_the_server_has_closed_is_not_used_again() -> None:
    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        writer.write_eof()
        assert await reader.read() == b""  # the client has seen it and closes, too
        seen.set()

    seen = asyncio.Event()
    async with running(answer_once) as (server, client):
        assert await get(client) == b"ok"
        await seen.wait()
        assert await get(client) == b"ok"
        assert server.connections == 2


async def test_connections_made_ahead_are_used() -> None:
    async with running(answer_ok) as (server, client):
        await client.warm_up(2)
        assert [await get(client) for _ in range(2)] == [b"ok"] * 2
        assert server.connections == 2
        client.drop_idle()
        assert await get(client) == b"ok"
        assert server.connections == 3


async def test_an_answer_that_was_not_read_to_its_end_costs_the_connection() -> None:
    async with running(answer_ok) as (server, client):
        (await client.send(b"GET", b"/", HOST)).close()
        assert await get(client) == b"ok"
        assert server.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfour",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nfour\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nno number\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    ],
)
async def test_an_answer_that_is_cut_or_none_is_an_error(answer: bytes) -> None:
    async with running(answer_with(answer)) as (_, client):
        with pytest.raises(ConnectionBroke):
            await get(client)


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH_9.6\r\n", b"220 mail ESMTP\r\n", b"\x15\x03", b"HTML"])
async def test_a_server_of_something_else_is_told_without_waiting_for_more(greeting: bytes) -> None:
    async def greet_and_listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        await reader.read()

    async with running(greet_and_listen) as (_, client):
        with pytest.raises(NotHttp):
            await get(client)


async def test_an_answer_that_comes_byte_by_byte_is_one() -> None:
    async def answer_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok":
            writer.write(bytes([byte]))
            await asyncio.sleep(0)

    async with running(answer_slowly) as (_, client):
        assert await get(client) == b"ok"


async def test_an_answer_whose_end_is_the_end_of_the_connection_is_whole() -> None:
    async with running(answer_with(b"HTTP/1.1 200 OK\r\n\r\nall of it")) as (_, client):
        assert await get(client) == b"all of it"


async def test_an_answer_that_has_no_body_ends_with_its_head() -> None:
    async def answer_without(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")
        await read_head(reader)
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await reader.read()

    async with running(answer_without) as (server, client):
        for method in (b"HEAD", b"DELETE"):
            response = await client.send(method, b"/", HOST)
            assert await response.read() == b""
            response.close()
        assert server.connections == 1


async def test_what_comes_before_the_answer_is_passed_over() -> None:
    answer = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    async with running(answer_with(answer)) as (_, client):
        response = await client.send(b"GET", b"/", HOST)
        assert (response.status, response.headers) == (200, [(b"content-length", b"2")])
        assert await response.read() == b"ok"
        response.close()


@pytest.mark.parametrize("more", [b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b"more"])
async def test_a_connection_on_which_more_came_than_was_asked_for_is_not_used_again(more: bytes) -> None:
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok" + more
    async with running(answer_with(answer, stays=True)) as (server, client):
        assert [await get(client) for _ in range(2)] == [b"ok"] * 2
        assert server.connections == 2


async def test_what_arrives_before_a_fault_is_read_first() -> None:
    answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nfour\r\nno number\r\n"
    async with running(answer_with(answer, stays=True)) as (_, client):
        response = await client.send(b"GET", b"/", HOST)
        chunks = response.chunks()
        assert await anext(chunks) == b"four"
        with pytest.raises(NotHttp):
            await anext(chunks)
        response.close()


@pytest.mark.parametrize(
    ("target", "headers"), [(b"/ HTTP/1.1\r\nx: y", HOST), (b"/", [(b"x", b"y\r\nz: 1")]), (b"/", [(b"x\n", b"y")])]
)
async def test_a_request_cannot_hold_another(target: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    async with running(answer_ok) as (_, client):
        with pytest.raises(ValueError, match="does not allow"):
            await client.send(b"GET", target, headers)


async def test_a_refusal_that_comes_before_the_body_was_sent_is_read() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        writer.write_eof()
        await reader.read()

    async with running(refuse) as (_, client):
        response = await client.send(b"POST", b"/", HOST, b"x" * 5_000_000)
        assert response.status == 413
        response.close()


async def test_a_server_that_falls_silent_is_given_up() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with running(say_nothing) as (_, client):
        with pytest.raises(ConnectionBroke, match="nothing for too long"):
            await client.send(b"GET", b"/", HOST, read_seconds=0.01)


async def test_a_server_that_is_not_there_is_said_to_be() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        client = Client.tcp("127.0.0.1", unused.getsockname()[1], keepalive_seconds=60)
        with pytest.raises(NoConnection, match="refused"):
            await client.send(b"GET", b"/", HOST)


async def test_a_reader_that_is_slow_holds_up_the_server() -> None:
    size = 50 * MAX_UNREAD_BYTES
    written = 0
    is_stuck = asyncio.Event()

    async def answer_large(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await read_head(reader)
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n".encode())
        while written < size:
            writer.write(bytes(64 * 1024))
            written += 64 * 1024
            drained = asyncio.create_task(writer.drain())
            done, _ = await asyncio.wait({drained}, timeout=0.2)
            if not done:
                is_stuck.set()
            await drained

    async with running(answer_large) as (_, client):
        response = await client.send(b"GET", b"/", HOST)
        await is_stuck.wait()
        assert written < size / 2
        assert len(await response.read(size)) == size
        response.close()


async def test_a_request_is_one_write_and_small_packets_are_not_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nagle's algorithm makes whoever writes twice wait 40 ms for an acknowledgement."""
    writes: list[bytes] = []
    options: list[int] = []
    made = Connection.connection_made

    class Watched:
        """A transport that is looked at."""

        def __init__(self, transport: asyncio.Transport) -> None:
            self._transport = transport

        def write(self, data: bytes) -> None:
            writes.append(data)
            self._transport.write(data)

        def __getattr__(self, name: str) -> object:
            return getattr(self._transport, name)

    def connection_made(self: Connection, transport: asyncio.Transport) -> None:
        made(self, transport)
        options.append(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        self._transport = Watched(transport)  # type: ignore[assignment]

    monkeypatch.setattr(Connection, "connection_made", connection_made)
    async with running(answer_ok) as (_, client):
        (await client.send(b"POST", b"/", HOST, b"body")).close()
    assert len(writes) == 1
    assert writes[0].endswith(b"\r\n\r\nbody")
    assert options == [1]
