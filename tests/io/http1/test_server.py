"""How many packets an answer is: each read of a client below is one write of the server, as both are in one loop."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from remote_kernel.io.http1.server import (
    IS_FOLLOWED,
    MAX_FIELDS,
    MAX_PIPELINED,
    MAX_SURPLUS,
    OneWriteTransport,
    ServerProtocol,
    vouch,
)
from remote_kernel.io.http1.writing import MAX_JOINED_BYTES

pytestmark = pytest.mark.anyio


class Recorder:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes) -> None:
        if data:
            self.writes.append(data)

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed


HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


async def test_a_head_goes_out_with_what_follows() -> None:
    recorder = Recorder()
    transport = OneWriteTransport(recorder)  # type: ignore[arg-type]
    for _ in range(2):
        transport.expect_head()
        for data in (HEAD, b"ok", b""):
            transport.write(data)
    assert recorder.writes == [HEAD + b"ok"] * 2


async def test_a_head_with_nothing_behind_it_goes_out_by_itself() -> None:
    recorder = Recorder()
    transport = OneWriteTransport(recorder)  # type: ignore[arg-type]
    transport.expect_head()
    transport.write(HEAD)
    assert recorder.writes == []
    await asyncio.sleep(0)
    assert recorder.writes == [HEAD]


async def test_a_head_that_is_followed_waits_for_what_follows() -> None:
    recorder = Recorder()
    transport = OneWriteTransport(recorder)  # type: ignore[arg-type]
    transport.expect_head(is_followed=True)
    transport.write(HEAD)
    await asyncio.sleep(0)
    assert recorder.writes == []
    transport.write(b"ok")
    assert recorder.writes == [HEAD + b"ok"]


async def test_a_head_is_not_lost_when_the_connection_is_closed_behind_it() -> None:
    recorder = Recorder()
    transport = OneWriteTransport(recorder)  # type: ignore[arg-type]
    transport.expect_head()
    transport.write(HEAD)
    transport.close()
    assert recorder.writes == [HEAD]
    assert recorder.is_closed


async def test_what_is_written_when_the_client_has_gone_is_dropped() -> None:
    recorder = Recorder()
    transport = OneWriteTransport(recorder)  # type: ignore[arg-type]
    transport.close()
    transport.expect_head()
    for data in (HEAD, b"ok"):
        transport.write(data)
    await asyncio.sleep(0)
    assert recorder.writes == []


async def test_what_is_large_is_not_copied_for_it() -> None:
    recorder = Recorder()
    transport = OneWriteTransport(recorder)  # type: ignore[arg-type]
    large = bytes(MAX_JOINED_BYTES + 1)
    transport.expect_head()
    transport.write(HEAD)
    transport.write(large)
    assert recorder.writes == [HEAD, large]


App = Callable[[Any, Any, Any], Awaitable[None]]


async def answer(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


class Server(uvicorn.Server):
    def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # type: ignore[override]
        return contextlib.nullcontext()


@asynccontextmanager
async def serving(
    writes: list[bytes],
    options: list[int],
    app: App = answer,
    timeout_keep_alive: float = 5,
    protocol: type[ServerProtocol] = ServerProtocol,
    **attributes: Any,
) -> AsyncIterator[int]:
    class Watched(protocol):  # type: ignore[misc,valid-type]
        def connection_made(self, transport: asyncio.Transport) -> None:
            options.append(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            write = transport.write

            def note(data: bytes) -> None:
                writes.append(data)
                write(data)

            transport.write = note  # type: ignore[method-assign,assignment]
            super().connection_made(transport)

    for name, value in attributes.items():
        setattr(Watched, name, value)
    server = Server(uvicorn.Config(app, port=0, http=Watched, lifespan="off", log_level="error"))
    server.config.timeout_keep_alive = timeout_keep_alive  # type: ignore[assignment]
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await task


@pytest.mark.unix
async def test_uvicorn_s_answer_is_one_write_and_small_packets_are_not_held_back() -> None:
    writes: list[bytes] = []
    options: list[int] = []
    async with serving(writes, options) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    assert answer.endswith(b"\r\n\r\nok")
    assert [write for write in writes if write] == [answer]
    assert options == [1]


KEEP_ALIVE_SECONDS = 0.1

GET = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n"
LARGE_POST = b"POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 1000000\r\n\r\n" + bytes(200_000)


SHORT = GET.replace(b"/ ", b"/short ")


@pytest.mark.parametrize("before", [b"", SHORT * 2], ids=["first", "third"])
@pytest.mark.parametrize("behind", [b"", GET, GET * 3, LARGE_POST], ids=["nothing", "one", "three", "half a body"])
async def test_stream_ends_when_its_client_has_gone_whatever_it_had_sent_behind(before: bytes, behind: bytes) -> None:
    gone = asyncio.Event()

    async def stream(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/short":
            await answer(scope, receive, send)
            return

        async def write() -> None:
            while True:
                await send({"type": "http.response.body", "body": b"piece", "more_body": True})
                await asyncio.sleep(0.01)

        await send({"type": "http.response.start", "status": 200, "headers": []})
        writing = asyncio.create_task(write())
        while (await receive())["type"] != "http.disconnect":
            pass
        writing.cancel()
        gone.set()

    async with serving([], [], stream) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(before + GET + behind)
        await reader.readuntil(b"piece")
        writer.transport.abort()
        async with asyncio.timeout(10):
            await gone.wait()


async def followed(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers, IS_FOLLOWED: True})
    await send({"type": "http.response.body", "body": b"ok"})


async def test_head_without_a_body_is_sent_although_one_was_to_follow() -> None:
    async with serving([], [], followed) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET.replace(b"GET", b"HEAD"))
        async with asyncio.timeout(10):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        writer.write(GET)
        async with asyncio.timeout(10):
            await reader.readuntil(b"\r\n\r\nok")
        writer.close()
        await writer.wait_closed()


async def test_connection_that_is_not_used_is_closed_in_time_and_none_that_is_in_use() -> None:
    async def wait(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/long":
            await asyncio.sleep(3 * KEEP_ALIVE_SECONDS)
        await followed(scope, receive, send)

    async with serving([], [], wait, timeout_keep_alive=KEEP_ALIVE_SECONDS) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in (GET, GET.replace(b"/ ", b"/long ")):
            writer.write(request)
            async with asyncio.timeout(10):
                await reader.readuntil(b"\r\n\r\nok")
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


async def test_requests_that_were_sent_together_are_answered_one_after_the_other() -> None:
    async with serving([], []) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET * 5 + GET.replace(b"host", b"connection: close\r\nhost"))
        assert (await reader.read()).count(b"\r\n\r\nok") == 6
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    "behind", [GET * 1000, b"GET / HTTP/1.1\r\n\r\n", b"no request\r\n\r\n"], ids=["many", "no host", "garbage"]
)
async def test_what_nobody_may_send_behind_a_request_ends_the_connection_and_is_no_part_of_the_answer(
    behind: bytes,
) -> None:
    made: list[Any] = []
    lost: list[ServerProtocol] = []

    class Counting(ServerProtocol):
        def on_headers_complete(self) -> None:
            super().on_headers_complete()
            made.append(self.cycle)

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            lost.append(self)

    async def stream(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"piece", "more_body": True})
        await wait_gone(receive)

    async with serving([], [], stream, protocol=Counting) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        await reader.readuntil(b"piece\r\n")
        writer.write(behind)
        async with asyncio.timeout(10):
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
        writer.close()
        with contextlib.suppress(ConnectionResetError):
            await writer.wait_closed()
    assert len(made) == (1 + MAX_PIPELINED if behind.startswith(GET) else 1)
    assert not lost[0].pipeline


@pytest.mark.parametrize(("fields", "status"), [(MAX_FIELDS - 1, b"200"), (MAX_FIELDS, b"400")])
async def test_a_head_of_more_fields_than_anybody_needs_is_refused(fields: int, status: bytes) -> None:
    async with serving([], []) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET.removesuffix(b"\r\n") + b"a:\r\n" * fields + b"\r\n")
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 " + status)
        writer.close()
        with contextlib.suppress(ConnectionResetError):
            await writer.wait_closed()


async def wait_gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Visits:
    """An application whose strangers are answered for as long as they stay, by the numbers that they give themselves.

    Args:
        answer_bytes: how much each of them is sent.
    """

    def __init__(self, answer_bytes: int = 0) -> None:
        self.begun: asyncio.Queue[bytes] = asyncio.Queue()
        self.ended: asyncio.Queue[bytes] = asyncio.Queue()
        self._answer_bytes = answer_bytes

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/known":
            vouch(scope)
            await answer(scope, receive, send)
            return
        self.begun.put_nowait(scope["query_string"])
        if self._answer_bytes:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": bytes(self._answer_bytes), "more_body": True})
        await wait_gone(receive)
        self.ended.put_nowait(scope["query_string"])


class Callers:
    """Connections to a server, which are closed at the end."""

    def __init__(self, port: int, stack: contextlib.AsyncExitStack) -> None:
        self._port = port
        self._stack = stack

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._stack.callback(writer.close)
        return reader, writer

    async def visit(self, number: int) -> None:
        """Come as a stranger who has announced a body, sends none, and reads nothing."""
        _, writer = await self.open()
        writer.write(b"GET /?%d HTTP/1.1\r\nhost: here\r\ncontent-length: 1\r\n\r\n" % number)


async def ask_known(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(GET.replace(b"/ ", b"/known "))
    assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("answer_bytes", [0, 30_000_000], ids=["no body", "unread answer"])
async def test_strangers_who_are_being_answered_give_way_to_who_comes(answer_bytes: int) -> None:
    visits = Visits(answer_bytes)
    attributes: dict[str, Any] = {"max_connections": 3, "knows_callers": True}
    async with serving([], [], visits, **attributes) as port, contextlib.AsyncExitStack() as stack, asyncio.timeout(20):
        callers = Callers(port, stack)
        for number in range(3):
            await callers.visit(number)
            await visits.begun.get()
        known = await callers.open()
        await ask_known(*known)
        for number in range(3, 6):
            await callers.visit(number)
            await visits.begun.get()
        assert [await visits.ended.get() for _ in range(4)] == [b"0", b"1", b"2", b"3"]
        await ask_known(*known)


async def test_where_those_who_are_known_take_all_places_it_is_told_to_the_last_who_come() -> None:
    visits = Visits()
    attributes: dict[str, Any] = {"max_connections": 1, "knows_callers": True, "open_paths": frozenset({"/"})}
    async with serving([], [], visits, **attributes) as port, contextlib.AsyncExitStack() as stack, asyncio.timeout(20):
        callers = Callers(port, stack)
        known = await callers.open()
        await ask_known(*known)
        for number in range(MAX_SURPLUS):
            await callers.visit(number)
            await visits.begun.get()
        assert visits.ended.empty()
        reader, writer = await callers.open()
        writer.write(GET.replace(b"/ ", b"/known "))
        assert (await reader.readuntil(b"}}")).startswith(b"HTTP/1.1 503")
        assert await visits.ended.get() == b"0"
        await ask_known(*known)


LENGTH = 3_000_000


@pytest.mark.parametrize("gathered_bytes", [0, LENGTH])
@pytest.mark.parametrize("expects", [b"", b"expect: 100-continue\r\n"])
async def test_a_large_body_comes_in_one_piece_up_to_a_limit(gathered_bytes: int, expects: bytes) -> None:
    pieces: list[int] = []

    async def take(scope: Any, receive: Any, send: Any) -> None:
        body, has_more = b"", True
        while has_more:
            message = await receive()
            pieces.append(len(message["body"]))
            body, has_more = body + message["body"], message["more_body"]
        head = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body})

    sent = os.urandom(LENGTH)
    async with serving([], [], take, gathered_bytes=gathered_bytes) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(b"POST / HTTP/1.1\r\nhost: here\r\ncontent-length: %d\r\n%b\r\n" % (LENGTH, expects))
            writer.write(sent)
            if expects:
                await reader.readuntil(b"100 Continue\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(LENGTH) == sent
        writer.close()
        await writer.wait_closed()
    assert (pieces == [LENGTH] * 2) is (gathered_bytes > 0)


@pytest.mark.unix
async def test_a_large_piece_of_an_answer_is_not_copied() -> None:
    writes: list[bytes] = []
    piece = os.urandom(MAX_JOINED_BYTES + 1)

    async def stream(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for body in (b"small", piece, memoryview(piece)):
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async with serving(writes, [], stream) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    assert answer.partition(b"\r\n\r\n")[2] == b"5\r\nsmall\r\n" + b"10001\r\n%b\r\n" % piece * 2 + b"0\r\n\r\n"
    assert sum(map(len, writes)) < len(piece), "the rest was given to the system as it is"


async def test_a_stream_of_large_pieces_ends_when_its_client_has_gone() -> None:
    ended = asyncio.Event()

    async def stream(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        is_over = asyncio.create_task(receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not is_over.done():
            await send({"type": "http.response.body", "body": bytes(10_000_000), "more_body": True})
            await asyncio.sleep(0)
        ended.set()

    async with serving([], [], stream) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        await reader.readexactly(100_000)
        writer.transport.abort()
        async with asyncio.timeout(10):
            await ended.wait()
