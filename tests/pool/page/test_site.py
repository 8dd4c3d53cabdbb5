"""Who may see the page, what it answers, and that everything else is as it was."""

import contextlib
import re
from collections.abc import AsyncIterator

import httpx
import pytest

from remote_kernel.core.pools.local_pool import PAGE_LINK_PATH, PAGE_PREFIX, STATUS_PATH, STOP_PATH
from remote_kernel.pool.page.rendering import asset
from remote_kernel.pool.page.site import FEED_PATH, MAX_FORM_BYTES, OPEN_PATH
from remote_kernel.pool.page.site import STOP_PATH as STOP_LABELLED_PATH
from remote_kernel.pool.sessions import Limits
from tests.pool.running import RunningServer, run_pool

pytestmark = pytest.mark.anyio

ASSETS = [PAGE_PREFIX + name for name in ("page.css", "page.js", "chart.js", "icon.svg")]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[RunningServer]:
    async with run_pool(Limits(max_sessions=10, ready=0)) as server:
        yield server


@pytest.fixture(scope="module")
async def visitor(server: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    """A browser, as far as HTTP goes: it has followed a link and holds the cookie, not the token."""
    async with a_browser(server) as browser:
        await browser.get(await make_link(server))
        yield browser


@contextlib.asynccontextmanager
async def a_browser(server: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.endpoint, timeout=30) as client:
        yield client


async def make_link(server: RunningServer) -> str:
    link: str = (await server.client.post(PAGE_LINK_PATH)).raise_for_status().json()["path"]
    return link


def label_of(server: RunningServer, pod: int) -> str:
    (label,) = [session.label for session in server.pool.status().sessions if session.pid == pod]
    return label


async def test_link_works_once(server: RunningServer) -> None:
    link = await make_link(server)
    async with a_browser(server) as browser:
        answer = await browser.get(link)
        assert answer.status_code == 200
        name, *attributes = answer.headers["set-cookie"].lower().split("; ")
        assert set(attributes) == {"httponly", "path=/", "samesite=strict"}
        assert str(browser.base_url.port) in name.partition("=")[0]  # another pool's cookie has another name
        assert (await browser.get("/")).status_code == 200
    async with a_browser(server) as other:
        answer = await other.get(link)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
        assert "remote-kernel pool status --open" in answer.text
        assert (await other.get("/")).status_code == 401


@pytest.mark.parametrize("query", ["", "?link=", "?link=guessed", "?link=%FF"])
async def test_no_link_opens_nothing(server: RunningServer, query: str) -> None:
    async with a_browser(server) as browser:
        assert (await browser.get(OPEN_PATH + query)).status_code == 403
        assert (await browser.get("/")).status_code == 401


async def test_stranger_is_told_how_to_come_in_and_nothing_else(server: RunningServer) -> None:
    pod = await server.pod_of("session-1")
    async with a_browser(server) as browser:
        answer = await browser.get("/")
        assert answer.status_code == 401
        assert "remote-kernel pool status --open" in answer.text
        assert label_of(server, pod) not in answer.text
        assert (await browser.get(FEED_PATH)).status_code == 401
        assert (await browser.post(PAGE_LINK_PATH)).status_code == 401
        browser.cookies.set(f"remote-kernel-pool-{browser.base_url.port}", "guessed")
        assert (await browser.get(FEED_PATH)).status_code == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", STATUS_PATH),
        ("POST", STOP_PATH),
        ("POST", PAGE_LINK_PATH),
        ("POST", "/.management/stopSession?identifier=session-1"),
        ("GET", "/show?identifier=session-1"),
        ("GET", "/?identifier=session-1"),
        ("POST", "/"),
        ("GET", PAGE_PREFIX + "other"),
    ],
)
async def test_cookie_opens_only_the_page(visitor: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await visitor.request(method, path, headers={"origin": str(visitor.base_url).rstrip("/")})
    assert answer.status_code == 401


@pytest.mark.parametrize("origin", [None, "null", "http://127.0.0.1:1", "http://localhost:1", "https://127.0.0.1"])
async def test_only_the_page_itself_may_stop_a_session(
    server: RunningServer, visitor: httpx.AsyncClient, origin: str | None
) -> None:
    pod = await server.pod_of("session-2")
    headers = {} if origin is None else {"origin": origin}
    answer = await visitor.post(STOP_LABELLED_PATH, data={"label": label_of(server, pod)}, headers=headers)
    assert answer.status_code in {401, 403}
    assert await server.pod_of("session-2") == pod


async def test_session_is_stopped_by_its_label(server: RunningServer, visitor: httpx.AsyncClient) -> None:
    stopped, kept = await server.pod_of("session-3"), await server.pod_of("session-4")
    headers = {"origin": str(visitor.base_url).rstrip("/")}
    form = {"label": label_of(server, stopped)}
    for _ in range(2):  # the second time it is gone already, as was asked for
        answer = await visitor.post(STOP_LABELLED_PATH, data=form, headers=headers)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert await server.pod_of("session-4") == kept
    assert await server.pod_of("session-3") != stopped


async def test_form_that_is_too_large_is_refused(server: RunningServer, visitor: httpx.AsyncClient) -> None:
    headers = {"origin": str(visitor.base_url).rstrip("/")}
    answer = await visitor.post(STOP_LABELLED_PATH, data={"label": "x" * MAX_FORM_BYTES}, headers=headers)
    assert answer.status_code == 413


async def test_page_can_be_read_without_a_script(server: RunningServer, visitor: httpx.AsyncClient) -> None:
    pod = await server.pod_of("session-5")
    html = (await visitor.get("/")).text
    text = re.sub(r"<[^>]+>", "", html)
    assert label_of(server, pod) in text
    assert "sessions in use" in text
    assert "stops in" in text
    assert f'value="{label_of(server, pod)}"' in html
    assert "session-5" not in html


async def test_looking_is_no_call(server: RunningServer, visitor: httpx.AsyncClient) -> None:
    pod = await server.pod_of("session-6")
    (before,) = [session for session in server.pool.status().sessions if session.pid == pod]
    await visitor.get("/")
    feed = (await visitor.get(FEED_PATH)).json()
    (after,) = [session for session in server.pool.status().sessions if session.pid == pod]
    assert after.calls == before.calls == 1
    assert after.idle_seconds > before.idle_seconds
    (shown,) = [session for session in feed["sessions"] if session["label"] == after.label]
    assert (shown["process"], shown["calls"], shown["kernels"]) == (str(pod), "1", "–")


async def test_token_opens_the_feed_to_scripts(server: RunningServer) -> None:
    feed = (await server.client.get(FEED_PATH)).raise_for_status().json()
    assert feed["figures"]["max_sessions"] == "10"


@pytest.mark.parametrize(("method", "query", "header"), [
    ("GET", {"identifier": "session-7"}, {}), ("GET", {}, {"X-Session-ID": "session-7"}),
    ("POST", {}, {}), ("POST", {"identifier": "session-7"}, {}),
])  # fmt: skip
async def test_root_of_a_pod_is_reached_as_before(
    server: RunningServer, method: str, query: dict[str, str], header: dict[str, str]
) -> None:
    shown = (await server.client.request(method, "/", params=query, headers=header)).json()
    assert (shown["method"], shown["target"].partition("?")[0]) == (method, "/")


@pytest.mark.parametrize("path", ["/", OPEN_PATH, FEED_PATH, *ASSETS])
async def test_every_part_forbids_other_addresses_frames_and_caches(visitor: httpx.AsyncClient, path: str) -> None:
    headers = (await visitor.get(path)).headers
    policy = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
    assert set(policy.values()) == {"'none'", "'self'"}
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")
    assert headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize("path", [path for path in ASSETS if not path.endswith(".svg")])
def test_page_asks_nobody_outside(path: str) -> None:
    text = asset(path.removeprefix(PAGE_PREFIX)).decode().replace("http://www.w3.org/2000/svg", "")
    assert "//" not in re.sub(r"^//.*|(?<=\s)//.*", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("path", ["/", FEED_PATH, OPEN_PATH])
async def test_other_host_name_is_refused(visitor: httpx.AsyncClient, path: str) -> None:
    answer = await visitor.get(path, headers={"host": "attacker.example"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "HostNotAllowed")


@pytest.mark.parametrize(("method", "path"), [("POST", OPEN_PATH), ("POST", ASSETS[0])])
async def test_other_method_is_refused(visitor: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await visitor.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


async def test_page_shows_the_pool_s_log(
    server: RunningServer, visitor: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "remote_kernel.pool")
    pod = await server.pod_of("session-8")
    log = (await visitor.get(FEED_PATH)).json()["log"]
    assert re.search(rf"^\d\d:\d\d:\d\d pod ready pod=\d+ process={pod}$", log, re.MULTILINE)
