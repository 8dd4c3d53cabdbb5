"""What passes between client and pod, in which pieces, and how a break shows."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import httpx
import pytest

from remote_kernel.pool.front_door.app import DEFAULT_IDENTIFIER
from remote_kernel.pool.sessions import Limits
from tests.pool.running import RunningServer, run_pool

pytestmark = pytest.mark.anyio

SIZES = [0, 1, 65_535, 65_536, 65_537, 1_000_000, 20_000_000]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def shared_server() -> AsyncIterator[RunningServer]:
    async with run_pool(Limits(max_sessions=3, ready=1)) as server:
        yield server


@pytest.fixture
async def server(shared_server: RunningServer) -> RunningServer:
    """A pool whose `default-session` is new."""
    await shared_server.stop_session(DEFAULT_IDENTIFIER)
    return shared_server


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"])
async def test_any_method_passes(shared_server: RunningServer, method: str) -> None:
    assert (await shared_server.client.request(method, "/show")).json()["method"] == method


async def test_head_has_headers_and_no_body(shared_server: RunningServer) -> None:
    answer = await shared_server.client.head("/show")
    assert answer.headers["x-shown"] == "yes"
    assert answer.content == b""


@pytest.mark.parametrize(
    "target",
    [
        "/a%2Fb/../c/%C3%A4?x=%20+&identifier=session-1&x=a%2Fb",
        "//double//slash?identifier=session-1",
        "/%7Etilde/~tilde?identifier=session-1&empty=&=",
        "/question?identifier=session-1&a=b?c",
    ],
)
async def test_target_passes_byte_for_byte(shared_server: RunningServer, target: str) -> None:
    answer = await shared_server.client.get("/", extensions={"target": target.encode()})
    assert answer.json()["target"] == target


async def test_headers_pass_but_for_those_of_the_connection(shared_server: RunningServer) -> None:
    headers = {"x-own": "kept", "te": "trailers", "x-private": "1", "connection": "keep-alive, X-Private"}
    answer = await shared_server.client.post("/show", headers=headers, content=b"body")
    names = {name for name, _ in answer.json()["headers"]}
    assert {"x-own", "host", "user-agent", "content-length"} <= names
    assert names.isdisjoint({"authorization", "te", "x-private", "connection", "transfer-encoding"})
    assert answer.headers["x-shown"] == "yes"
    assert "keep-alive" not in answer.headers
    assert len(answer.headers.get_list("date")) == 1


@pytest.mark.parametrize("size", SIZES)
async def test_answer_of_any_size_is_whole(shared_server: RunningServer, size: int) -> None:
    answer = await shared_server.client.get(f"/data/{size}")
    assert answer.content == b"x" * size


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("has_length", [True, False])
async def test_body_of_any_size_is_whole(shared_server: RunningServer, size: int, has_length: bool) -> None:
    body = b"0123456789abcdef" * (size // 16 + 1)
    body = body[:size]

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, size, 100_000):
            yield body[start : start + 100_000]

    answer = await shared_server.client.post("/show", content=body if has_length else pieces())
    assert answer.json()["size"] == size
    assert answer.json()["digest"] == hashlib.sha256(body).hexdigest()


async def test_answer_arrives_while_it_is_written(server: RunningServer) -> None:
    async with server.client.stream("GET", "/two_pieces") as answer:
        pieces = answer.aiter_raw()
        assert await anext(pieces) == b"first"
        await server.client.get("/release")
        assert await anext(pieces) == b"second"


async def test_body_arrives_while_it_is_sent(server: RunningServer) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"x" * 1000
        assert (await server.client.get("/wait_uploaded/1000")).text == "1000"
        yield b"x" * 234

    await server.client.post("/upload", content=pieces())
    assert (await server.client.get("/wait_uploaded/1234")).text == "1234"


@pytest.mark.parametrize("path", ["/hang", "/hang/silently"])
async def test_client_that_goes_away_ends_the_request_in_the_pod(server: RunningServer, path: str) -> None:
    async with httpx.AsyncClient(base_url=server.endpoint, headers=server.client.headers) as client:
        request = asyncio.create_task(client.post(path, content=b"body", timeout=None))
        await server.client.get("/wait_hanging")
        request.cancel()
    assert (await server.client.get("/wait_disconnected")).status_code == 200


@pytest.mark.parametrize("path", ["/die", "/die/sized"])
async def test_answer_of_a_pod_that_dies_is_cut_not_ended(server: RunningServer, path: str) -> None:
    async with server.client.stream("GET", path) as answer:
        pieces = answer.aiter_raw()
        received = await anext(pieces)
        with pytest.raises(httpx.RemoteProtocolError):
            await anext(pieces)
    assert answer.status_code == 200
    assert received == b"begun"


async def test_pod_that_dies_before_it_answers_is_told_apart(server: RunningServer) -> None:
    answer = await server.client.get("/die/silently")
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "SessionBroken"


async def test_pod_that_cannot_be_reached_is_given_up_and_nothing_runs_elsewhere(server: RunningServer) -> None:
    pod = await server.pod_of("default-session")
    await server.client.get("/refuse_connections", headers={"connection": "close"})
    # A kept connection still works; a second one at the same time needs the socket.
    async with server.client.stream("GET", "/two_pieces"):
        answer = await server.client.get("/show")
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "SessionUnavailable"
    assert await server.pod_of("default-session") != pod
