"""Who may come in, and which session a request belongs to."""

from collections.abc import AsyncIterator

import httpx
import pytest

from remote_kernel.core.pools.local_pool import SOCKET_PATH, STATUS_PATH, STOP_PATH
from remote_kernel.core.wire.frames import STOP_SESSION_PATH
from remote_kernel.pool.sessions import Limits
from tests.pool.running import TOKEN, RunningServer, run_pool

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def door() -> AsyncIterator[RunningServer]:
    """A pool that the tests of this file give no reason to allocate a session."""
    async with run_pool(Limits(max_sessions=1, ready=0)) as server:
        yield server
        assert server.pool.status().sessions == []


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[RunningServer]:
    async with run_pool(Limits(max_sessions=10, ready=0)) as server:
        yield server


def assert_refused(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.status_code == status
    assert answer.headers["x-ms-error-code"] == code
    assert answer.json()["error"]["code"] == code
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer{TOKEN}"]
)
@pytest.mark.parametrize("path", ["/show", SOCKET_PATH, STATUS_PATH, STOP_PATH, STOP_SESSION_PATH])
async def test_without_the_token_nobody_comes_in(door: RunningServer, path: str, authorization: str) -> None:
    answer = await door.client.post(path, headers={"authorization": authorization})
    assert_refused(answer, 401, "Unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert door.pool.status().sessions == []


async def test_scheme_may_be_in_lower_case(door: RunningServer) -> None:
    answer = await door.client.get(STATUS_PATH, headers={"authorization": f"bearer {TOKEN}"})
    assert answer.status_code == 200


@pytest.mark.parametrize("host", ["attacker.example", "attacker.example:80", "127.0.0.1.attacker.example", "", "[::"])
async def test_other_host_name_is_refused(door: RunningServer, host: str) -> None:
    assert_refused(await door.client.get(STATUS_PATH, headers={"host": host}), 403, "HostNotAllowed")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:9999", "[::1]:80"])
async def test_names_of_loopback_are_accepted(door: RunningServer, host: str) -> None:
    assert (await door.client.get(STATUS_PATH, headers={"host": host})).status_code == 200


@pytest.mark.parametrize("origin", ["https://attacker.example", "null", ""])
async def test_web_page_of_another_site_is_refused(door: RunningServer, origin: str) -> None:
    answer = await door.client.get(STATUS_PATH, headers={"origin": origin})
    assert_refused(answer, 403, "OriginNotAllowed")
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "query",
    ["identifier=", "identifier=a/b", "identifier=a%20b", "identifier=%FF", "identifier=aaaa&identifier=bbbb"],
)
async def test_bad_identifier_is_refused(door: RunningServer, query: str) -> None:
    assert_refused(await door.client.get(f"/show?{query}"), 400, "SessionRequestValidationFailed")
    assert door.pool.status().sessions == []


async def test_identifier_that_is_too_long_is_refused(door: RunningServer) -> None:
    assert_refused(
        await door.client.get("/show", params={"identifier": "x" * 257}), 400, "SessionRequestValidationFailed"
    )


async def test_bad_session_header_is_refused(door: RunningServer) -> None:
    assert_refused(
        await door.client.get("/show", headers={"x-session-id": "a b"}), 400, "SessionRequestValidationFailed"
    )
    assert_refused(
        await door.client.get("/show", headers={b"x-session-id": b"\xff"}), 400, "SessionRequestValidationFailed"
    )


@pytest.mark.parametrize(
    ("query", "headers", "identifier"),
    [
        ({"identifier": "a"}, {}, "a"),
        ({"identifier": "session-1"}, {"X-Session-ID": "session-2"}, "session-1"),
        ({"identifier": "a(b)[c]{d}|<e>;^%$#&-"}, {}, "a(b)[c]{d}|<e>;^%$#&-"),
        ({}, {"X-Session-ID": "session-2"}, "session-2"),
        ({}, {}, "default-session"),
    ],
)
async def test_pod_is_told_the_identifier(
    server: RunningServer, query: dict[str, str], headers: dict[str, str], identifier: str
) -> None:
    shown = (await server.client.get("/show", params=query, headers=headers)).json()
    assert [value for name, value in shown["headers"] if name == "x-session-id"] == [identifier]


async def test_header_and_query_name_the_same_session(server: RunningServer) -> None:
    by_query = await server.pod_of("session-1")
    by_header = (await server.client.get("/show", headers={"x-session-id": "session-1"})).json()["pid"]
    assert by_query == by_header


@pytest.mark.parametrize(("method", "path"), [("POST", STATUS_PATH), ("GET", STOP_PATH), ("GET", STOP_SESSION_PATH)])
async def test_other_method_on_a_path_of_the_pool_is_refused(door: RunningServer, method: str, path: str) -> None:
    params = {"api-version": "2025-10-02-preview"}
    assert_refused(await door.client.request(method, path, params=params), 405, "MethodNotAllowed")


async def test_stop_session_gives_the_pod_back(server: RunningServer) -> None:
    pod = await server.pod_of("session-3")
    answer = await server.stop_session("session-3")
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/plain")
    assert pod not in [session.pid for session in server.pool.status().sessions]
    assert await server.pod_of("session-3") != pod


async def test_stop_session_never_allocates(door: RunningServer) -> None:
    assert_refused(await door.stop_session("session-1"), 400, "SessionWithIdentifierNotFound")
    assert door.pool.status().sessions == []


async def test_status_tells_no_identifier(server: RunningServer) -> None:
    pod = await server.pod_of("session-4")
    await server.pod_of("session-4")
    answer = await server.client.get(STATUS_PATH)
    assert "session-4" not in answer.text
    status = answer.json()
    (session,) = [session for session in status["sessions"] if session["pid"] == pod]
    assert session["calls"] == 2
    assert 0 <= session["idle_seconds"] < session["expires_in_seconds"] <= 300
    assert (status["ready"], status["max_sessions"], status["cooldown_seconds"]) == (0, 10, 300.0)


async def test_target_that_is_no_path_is_refused(door: RunningServer) -> None:
    answer = await door.client.request("OPTIONS", "/", extensions={"target": b"*"})
    assert_refused(answer, 400, "InvalidPath")
