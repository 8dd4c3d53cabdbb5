"""What the front door itself says of sessions, by Azure's paths for it."""

import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from remote_kernel.core.interpreter_api.versions import ApiVersion
from remote_kernel.core.pools.flavor import Flavor
from remote_kernel.core.pools.front_door import GET_SESSION_PATH, LIST_MANAGED_PATH
from remote_kernel.core.wire.frames import STOP_SESSION_PATH
from remote_kernel.pool.front_door.app import read_identifier
from remote_kernel.pool.front_door.session_api import PAGE_SIZES, SessionApi
from remote_kernel.pool.sessions import Limits
from tests.pool.running import RunningServer, run_pool

pytestmark = pytest.mark.anyio

PREFIX = "/subscriptions/a-b/resourceGroups/group/sessionPools/pool"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[RunningServer]:
    async with run_pool(Limits(max_sessions=10, ready=0), flavor=Flavor.INTERPRETER) as server:
        server.client.params = {"api-version": ApiVersion.V2025_10_02}
        yield server


def assert_refused(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.headers["x-ms-error-code"]) == (status, code)
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize("prefix", ["", PREFIX])
async def test_session_is_described(server: RunningServer, prefix: str) -> None:
    await server.pod_of("session-1")
    answer = await server.client.get(f"{prefix}/session", params={"identifier": "session-1"})
    session = answer.raise_for_status().json()
    assert session.pop("identifier") == "session-1"
    assert session.pop("etag")
    created, accessed, expires = (
        datetime.fromisoformat(session.pop(name)) for name in ("createdAt", "lastAccessedAt", "expireAt")
    )
    assert session == {}
    assert created <= accessed
    assert expires - accessed == timedelta(seconds=300)


async def test_looking_at_a_session_neither_makes_nor_keeps_it(server: RunningServer) -> None:
    assert_refused(
        await server.client.get("/session", params={"identifier": "nobody"}), 400, "SessionWithIdentifierNotFound"
    )
    await server.pod_of("session-2")
    first, second = [(await server.client.get("/session", params={"identifier": "session-2"})).json() for _ in range(2)]
    assert first["etag"] == second["etag"]
    calls = [details.status.calls for details in server.pool.sessions() if details.identifier == "session-2"]
    assert calls == [1]


@pytest.mark.parametrize("prefix", ["", PREFIX])
async def test_deleted_session_comes_back_in_another_container(server: RunningServer, prefix: str) -> None:
    params = {"identifier": "session-3"}
    pod = await server.pod_of("session-3")
    etag = (await server.client.get("/session", params=params)).json()["etag"]
    assert (await server.client.delete(f"{prefix}/session", params=params)).status_code == 204
    assert_refused(await server.client.delete(f"{prefix}/session", params=params), 400, "SessionWithIdentifierNotFound")
    assert await server.pod_of("session-3") != pod
    assert (await server.client.get("/session", params=params)).json()["etag"] != etag


async def test_sessions_are_listed_by_page(server: RunningServer) -> None:
    await server.pod_of("session-4")
    listed = (await server.client.get(f"{PREFIX}/listSessions")).json()
    assert "session-4" in [session["identifier"] for session in listed["sessions"]]
    assert "nextLink" not in listed
    skipped = await server.client.get("/listSessions", params={"skip": str(PAGE_SIZES["/listSessions"])})
    assert skipped.json() == {"sessions": []}
    assert_refused(await server.client.get("/listSessions", params={"skip": "x"}), 400, "InvalidSkip")


async def test_metadata_names_what_is_installed(server: RunningServer) -> None:
    metadata = (await server.client.get("/metadata")).json()
    assert metadata["runtimes"][0]["name"] == "python"
    assert "ipykernel" in [package["name"] for package in metadata["preInstalledPackages"]]
    assert metadata["jupyterKernel"].keys() == {"name", "version", "projectUrl", "description"}
    assert metadata.keys() >= {"createdAt", "lastUpdatedAt"}


@pytest.mark.parametrize("path", ["/session", "/listSessions", "/metadata"])
async def test_paths_came_with_a_version(server: RunningServer, path: str) -> None:
    old = {"api-version": ApiVersion.V2024_10_02.value, "identifier": "session-1"}
    assert_refused(await server.client.get(path, params=old), 404, "NotFound")
    unknown = {"api-version": "1999-01-01", "identifier": "session-1"}
    assert_refused(await server.client.get(path, params=unknown), 400, "UnsupportedApiVersionValue")
    async with httpx.AsyncClient(base_url=server.endpoint, headers=server.client.headers) as client:
        assert_refused(await client.get(path), 400, "MissingApiVersionParameter")
    assert_refused(await server.client.put(path), 405, "MethodNotAllowed")


async def test_session_of_an_interpreter_pool_is_not_stopped_as_one_with_an_image(server: RunningServer) -> None:
    pod = await server.pod_of("session-5")
    assert_refused(await server.stop_session("session-5"), 404, "NotFound")
    assert await server.pod_of("session-5") == pod


# Below /.management/


@pytest.fixture(scope="module", params=list(Flavor))
async def managed(request: pytest.FixtureRequest) -> AsyncIterator[RunningServer]:
    async with run_pool(Limits(max_sessions=3, ready=0), flavor=request.param) as server:
        server.client.params = {"api-version": ApiVersion.V2025_10_02}
        yield server


async def test_session_is_described_without_being_made_or_kept(managed: RunningServer) -> None:
    params = {"identifier": "session-1"}
    before = managed.pool.status().sessions
    assert_refused(await managed.client.post(GET_SESSION_PATH, params=params), 400, "SessionWithIdentifierNotFound")
    assert managed.pool.status().sessions == before
    await managed.pod_of("session-1")
    first, second = [(await managed.client.post(GET_SESSION_PATH, params=params)).json() for _ in range(2)]
    assert first.keys() == {"identifier", "etag", "createdAt", "lastAccessedAt", "expiresAt"}
    assert (first["identifier"], first["etag"]) == ("session-1", second["etag"])
    assert [session.calls for session in managed.pool.status().sessions] == [1]


@pytest.mark.parametrize("identifier", ["a/b", "x" * 257, ""])
async def test_no_session_can_have_such_an_identifier(managed: RunningServer, identifier: str) -> None:
    answer = await managed.client.post(GET_SESSION_PATH, params={"identifier": identifier})
    assert_refused(answer, 400, "SessionRequestValidationFailed")


@pytest.mark.parametrize("path", [GET_SESSION_PATH, LIST_MANAGED_PATH, STOP_SESSION_PATH])
async def test_managing_wants_a_version_and_a_post(managed: RunningServer, path: str) -> None:
    async with httpx.AsyncClient(base_url=managed.endpoint, headers=managed.client.headers) as client:
        assert_refused(await client.post(path), 400, "MissingApiVersionParameter")
    assert_refused(await managed.client.get(path), 405, "MethodNotAllowed")


async def test_a_page_says_where_the_next_is() -> None:
    assert PAGE_SIZES[LIST_MANAGED_PATH] == 300
    async with run_pool(Limits(max_sessions=3, ready=0)) as server:
        for number in range(3):
            await server.pod_of(f"session-{number}")
        api = SessionApi(server.pool, Flavor.CUSTOM, read_identifier, page_sizes={LIST_MANAGED_PATH: 2})
        first, last = (list_sessions(api, skip) for skip in (0, 2))
    assert [session["identifier"] for page in (first, last) for session in page["value"]] == [
        "session-0", "session-1", "session-2",
    ]  # fmt: skip
    assert (first["count"], last["count"], last["nextLink"]) == (2, 1, None)
    assert first["nextLink"] == f"http://pool.invalid{LIST_MANAGED_PATH}?skip=2"


def list_sessions(api: SessionApi, skip: int) -> dict[str, Any]:
    query = f"api-version={ApiVersion.V2025_10_02}&skip={skip}".encode()
    headers = [(b"host", b"pool.invalid")]
    scope = {"path": LIST_MANAGED_PATH, "method": "POST", "scheme": "http", "query_string": query, "headers": headers}
    page: dict[str, Any] = json.loads(bytes(api.answer(scope).body))
    return page


@pytest.mark.parametrize("path", ["/session", "/listSessions", "/metadata"])
async def test_what_is_the_front_door_s_of_built_in_pools_is_the_container_s_of_others(path: str) -> None:
    async with run_pool(Limits(max_sessions=1, ready=0)) as server:
        shown = await server.client.request("DELETE", path, params={"identifier": "session-1"})
        assert (shown.status_code, shown.json()["method"]) == (200, "DELETE")
        assert len(server.pool.status().sessions) == 1


@pytest.mark.parametrize("prefix", [PREFIX, PREFIX.lower(), PREFIX.replace("a-b", "%C3%A9%20b")])
async def test_pod_never_sees_the_pools_path(server: RunningServer, prefix: str) -> None:
    shown = (await server.client.get(f"{prefix}/show/a%2Fb?identifier=session-1")).json()
    assert shown["target"].startswith("/show/a%2Fb?")
    assert ["x-forwarded-prefix", prefix] in shown["headers"]


async def test_client_cannot_say_what_the_pools_path_was(server: RunningServer) -> None:
    headers = {"x-forwarded-prefix": "/elsewhere"}
    shown = (await server.client.get("/show", params={"identifier": "session-1"}, headers=headers)).json()
    assert "x-forwarded-prefix" not in dict(shown["headers"])


async def test_pools_path_alone_is_its_root(server: RunningServer) -> None:
    shown = (await server.client.get(f"{PREFIX}?identifier=session-1")).json()
    assert shown["target"].startswith("/?")
