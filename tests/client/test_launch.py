"""Launch options that a link asks for, on each way to a pod."""

import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from remote_kernel.client.access import ConfiguredAccess
from remote_kernel.client.http.pool_client import PoolClient
from remote_kernel.client.interpreter.agentless import AgentlessRoute
from remote_kernel.client.link.following import Connect, Position
from remote_kernel.client.link.link import Link
from remote_kernel.client.link.requests import ReadLaunch, open_events
from remote_kernel.client.routes.detected_route import DetectedRoute
from remote_kernel.client.routes.pool_kind import PoolKind, PoolKindStore
from remote_kernel.client.routes.route import Route
from remote_kernel.core.errors import PoolRefused, SettingsError
from remote_kernel.core.identity import Identifier
from remote_kernel.core.wire import codec
from remote_kernel.core.wire import frames as wire
from remote_kernel.core.wire.launch import AS_ASKED, LAUNCH_PATH, OTHER, Launch
from tests.client.counting import CountingClient
from tests.client.front_end import FrontEnd, followed, run
from tests.client.serving import Answer, serve
from tests.driver import Pod, Pool

pytestmark = pytest.mark.anyio

SHOW = "import os; print(os.environ.get('MINE'))"


@pytest.fixture(scope="module")
def pod() -> Iterator[Pod]:
    with Pod.fork(Path(tempfile.mkdtemp(prefix="rk-"))) as running:
        yield running


@pytest.fixture(scope="module")
def interpreters() -> Iterator[Pool]:
    with Pool.start("--flavor", "interpreter", "--max-sessions", "10", "--cooldown", "600") as pool:
        yield pool


class Asked:
    """Launch options that may change, and how often they were asked for."""

    def __init__(self, mine: str = "1") -> None:
        self.mine = mine
        self.count = 0

    async def __call__(self) -> Launch:
        self.count += 1
        return Launch(environ={"MINE": self.mine})


@asynccontextmanager
async def linked(
    way: Route, client: PoolClient, read_launch: ReadLaunch, kernel: str = "main", position: Position | None = None
) -> AsyncIterator[tuple[Link, FrontEnd]]:
    front_end = FrontEnd()
    link = Link(
        way, front_end.take, kernel=kernel, kernelspec="python3", wait_seconds=30.0, keepalive_seconds=60.0,
        reader=kernel, read_launch=read_launch, position=position,
    )  # fmt: skip
    async with followed(link, way, client):
        yield link, front_end


def unique() -> str:
    return f"k-{uuid.uuid4().hex[:8]}"


async def test_options_are_asked_for_with_a_new_session_and_not_again(pod: Pod) -> None:
    kernel, asked = unique(), Asked()
    client = CountingClient(pod.endpoint, "unused", Identifier("unused"))
    async with linked(client, client, asked, kernel) as (link, front_end):
        await run(link, front_end, SHOW)
        assert client.paths[:2] == [LAUNCH_PATH, wire.EVENTS_PATH]
        position = link.position
    assert front_end.printed() == "1\n"
    assert front_end.hellos[0].launch == AS_ASKED
    client = CountingClient(pod.endpoint, "unused", Identifier("unused"))
    async with linked(client, client, asked, kernel, position) as (link, front_end):
        await run(link, front_end, SHOW)
    assert LAUNCH_PATH not in client.paths
    assert asked.count == 1


async def test_changed_options_are_for_the_next_start(pod: Pod) -> None:
    kernel, asked = unique(), Asked()
    client = CountingClient(pod.endpoint, "unused", Identifier("unused"))
    async with linked(client, client, asked, kernel) as (link, front_end):
        await run(link, front_end, SHOW)
        asked.mine = "2"
        link.start_anew()
        await run(link, front_end, SHOW)
        assert front_end.hellos[-1].launch == OTHER
    assert front_end.printed() == "1\n1\n"


async def test_what_cannot_be_read_here_is_told_to_who_waits(pod: Pod) -> None:
    async def read_launch() -> Launch:
        raise SettingsError("REMOTE_KERNEL_STARTUP names a file that is not there.")

    client = CountingClient(pod.endpoint, "unused", Identifier("unused"))
    async with linked(client, client, read_launch, unique()) as (link, front_end):
        link.open()
        await front_end.wait(lambda: front_end.errors)
    assert "REMOTE_KERNEL_STARTUP" in str(front_end.errors[0])
    assert client.paths == []


async def test_an_agent_that_was_brought_along_has_them_too(interpreters: Pool, tmp_path: Path) -> None:
    known = PoolKindStore(tmp_path, interpreters.endpoint)
    client = CountingClient(interpreters.endpoint, interpreters.token, Identifier(unique()))
    async with linked(DetectedRoute(client, known), client, Asked()) as (link, front_end):
        await run(link, front_end, SHOW)
    assert front_end.printed() == "1\n"
    assert front_end.hellos[0].launch == AS_ASKED
    assert known.kind is PoolKind.INTERPRETER


async def test_where_there_is_no_agent_it_goes_on_without(interpreters: Pool) -> None:
    client = CountingClient(interpreters.endpoint, interpreters.token, Identifier(unique()))
    async with linked(AgentlessRoute(client, "the test has none"), client, Asked()) as (link, front_end):
        await run(link, front_end, SHOW)
    assert front_end.printed().endswith("None\n")
    assert front_end.hellos[0].launch == ""


async def test_an_agent_that_knows_nothing_of_them_stays_the_agent(tmp_path: Path) -> None:
    """What it does not know must not be taken for a pod without an agent."""
    hello = wire.Hello(epoch="e", cursor=0, cooldown_seconds=300.0, pod="p", is_busy=False, kernel_info={})
    seen = []

    def answer(request: BaseHTTPRequestHandler) -> Answer:
        path = request.path.partition("?")[0]
        seen.append((request.command, path))
        if path == wire.EVENTS_PATH:
            return 200, {}, codec.encode(hello)
        if path == wire.SESSION_PATH:
            return 200, {}, b'{"kernels": []}'
        return 404, {}, b'{"error": {"code": "NotFound", "message": "There is no PUT at this path."}}'

    with serve(answer) as port:
        endpoint = f"http://127.0.0.1:{port}"
        client = PoolClient(ConfiguredAccess(endpoint, "t"), Identifier("unused"))
        route = DetectedRoute(client, PoolKindStore(tmp_path, endpoint))
        try:
            async with open_events(route, {}, Connect(after=None, may_compress=False), Asked()) as stream:
                (chunk,) = [chunk async for chunk in stream.body.chunks()]
                assert stream.decoder.feed(chunk) == [hello]
        finally:
            await route.aclose()
    assert seen == [("PUT", LAUNCH_PATH), ("GET", wire.SESSION_PATH), ("GET", wire.EVENTS_PATH)]


async def test_what_a_pod_refuses_is_told(pod: Pod) -> None:
    async def read_launch() -> Launch:
        return Launch(cwd="../out")

    client = CountingClient(pod.endpoint, "unused", Identifier("unused"))
    async with linked(client, client, read_launch, unique()) as (link, front_end):
        link.open()
        await front_end.wait(lambda: front_end.errors)
    assert isinstance(front_end.errors[0], PoolRefused)
    assert ".." in str(front_end.errors[0])
