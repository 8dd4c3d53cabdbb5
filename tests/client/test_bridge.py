"""The bridge into a built-in interpreter: over a real pool of such pods, what it costs and what it survives."""

import asyncio
import json
import random
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from remote_kernel.client.access import ConfiguredAccess, Endpoint
from remote_kernel.client.http.pool_client import PoolClient
from remote_kernel.client.http.transport import Response
from remote_kernel.client.interpreter.bridge import Bridge
from remote_kernel.client.interpreter.brought_agent import AGENT_FOLDER, BroughtAgent
from remote_kernel.client.link.link import Link
from remote_kernel.client.routes.detected_route import DetectedRoute
from remote_kernel.client.routes.pool_kind import PoolKind, PoolKindStore
from remote_kernel.client.routes.route import Route
from remote_kernel.core.errors import PoolUnreachable, SessionLost, SettingsError
from remote_kernel.core.identity import Identifier
from remote_kernel.core.interpreter_api.versions import MAX_UPLOAD_BYTES
from remote_kernel.core.wire import frames as wire
from remote_kernel.core.wire.batches import Call, Exchange
from tests.client.counting import CountingClient
from tests.client.front_end import FrontEnd, execute, followed, run
from tests.driver import TIMEOUT_SECONDS, Pool
from tests.faults.proxy import FaultProxy, Plan

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def interpreters() -> Iterator[Pool]:
    with Pool.start("--flavor", "interpreter", "--max-sessions", "20", "--cooldown", "600") as pool:
        yield pool


def unique() -> Identifier:
    return Identifier(f"bridge-{uuid.uuid4().hex[:12]}")


@pytest.fixture(scope="module")
def used() -> Identifier:
    """A session for the tests that leave it as they found it; the first one starts its agent."""
    return unique()


@asynccontextmanager
async def linked(way: Route, client: PoolClient) -> AsyncIterator[tuple[Link, FrontEnd]]:
    front_end = FrontEnd()
    link = Link(way, front_end.take, kernel="main", kernelspec="python3", wait_seconds=30.0, keepalive_seconds=60.0)
    async with followed(link, way, client):
        yield link, front_end


@asynccontextmanager
async def bridged(
    pool: Pool,
    identifier: Identifier,
    *,
    endpoint: str = "",
    max_output: int | None = None,
    pauses: Sequence[float] = (),
) -> AsyncIterator[tuple[CountingClient, Link, FrontEnd]]:
    client = CountingClient(endpoint or pool.endpoint, pool.token, identifier, max_output)
    async with linked(Bridge(client, pauses), client) as (link, front_end):
        yield client, link, front_end


async def test_what_a_pool_is_is_found_out_once(interpreters: Pool, used: Identifier, tmp_path: Path) -> None:
    for before in (PoolKind.AGENT, PoolKind.INTERPRETER):
        known = PoolKindStore(tmp_path, interpreters.endpoint)
        assert known.kind is before
        client = CountingClient(interpreters.endpoint, interpreters.token, used)
        async with linked(DetectedRoute(client, known), client) as (link, front_end):
            await run(link, front_end, "print(6 * 7)")
        assert front_end.printed() == "42\n"
        assert (wire.EVENTS_PATH in client.paths) == (before is PoolKind.AGENT)
        assert front_end.hellos[0].cooldown_seconds == 600.0


async def test_a_bridge_that_is_closed_says_so_at_once(interpreters: Pool) -> None:
    client = CountingClient(interpreters.endpoint, interpreters.token, unique())
    bridge = Bridge(client)
    await bridge.request("GET", wire.SESSION_PATH)
    await bridge.aclose()
    try:
        async with asyncio.timeout(5):
            with pytest.raises(PoolUnreachable, match="closed"):
                await bridge.request("GET", wire.SESSION_PATH)
    finally:
        await client.aclose()


async def test_who_is_not_logged_in_is_told_as_on_any_other_way(used: Identifier) -> None:
    class NobodyIsLoggedIn(ConfiguredAccess):
        async def endpoint(self) -> Endpoint:
            raise SettingsError("Run 'az login'.")

    client = PoolClient(NobodyIsLoggedIn("", ""), used)
    async with linked(Bridge(client), client) as (link, front_end):
        link.open()
        await front_end.wait(lambda: front_end.errors)
    assert [str(error) for error in front_end.errors] == ["Run 'az login'."]


async def test_a_short_cell_takes_three_round_trips_at_most_over_a_slow_line(
    interpreters: Pool, used: Identifier
) -> None:
    with FaultProxy.before(interpreters.endpoint) as proxy:
        proxy.plan = lambda _number: Plan(delay_seconds=0.05)
        async with bridged(interpreters, used, endpoint=proxy.endpoint) as (client, link, front_end):
            await run(link, front_end, "x = 1")
            before = len(client.paths)
            await run(link, front_end, "print(x + 1)")
            assert 1 <= len(client.paths) - before <= 3
    assert front_end.printed() == "2\n"


async def test_while_nothing_runs_nothing_is_asked(interpreters: Pool, used: Identifier) -> None:
    async with bridged(interpreters, used, pauses=(0.5, 0.2)) as (client, link, front_end):
        await run(link, front_end, "import threading; threading.Timer(0.1, print, ['late']).start()")
        await front_end.wait(lambda: front_end.printed() == "late\n")
        for _ in range(2):  # the pauses begin anew with the late words
            client.has_asked.clear()
            await client.has_asked.wait()
        count = len(client.paths)
        await asyncio.sleep(0.5)
        assert len(client.paths) == count


async def test_who_leaves_a_line_that_is_stalled_says_no_farewell(interpreters: Pool, used: Identifier) -> None:
    with FaultProxy.before(interpreters.endpoint) as proxy:
        async with bridged(interpreters, used, endpoint=proxy.endpoint) as (client, link, front_end):
            await run(link, front_end, "x = 1")
            proxy.stall(True)
            before = len(client.paths)
            client.has_asked.clear()
            link.send(execute("x"))
            await client.has_asked.wait()
        assert len(client.paths) == before + 1


async def test_what_goes_over_the_bridge_is_not_compressed_twice(interpreters: Pool, used: Identifier) -> None:
    """A route that has taken the pool for another kind has asked for compressed events."""
    async with bridged(interpreters, used) as (client, link, front_end):
        await run(link, front_end, "1")
        assert link.position is not None
        params = {"epoch": link.position.epoch, "after": str(link.position.cursor)}
        await run(link, front_end, "print('a line of text' * 1_000)")
        bridge = Bridge(client)
        asked = bridge.stream("GET", wire.EVENTS_PATH, params={**params, wire.COMPRESS_PARAM: wire.COMPRESS_ZLIB})
        async with asyncio.timeout(TIMEOUT_SECONDS), asked as opened:
            said = b""
            async for chunk in opened.chunks():
                said += chunk
                if b"a line of text" * 1_000 in said:
                    break
        await bridge.aclose()


async def test_a_cell_that_prints_takes_a_few_executions_a_second(interpreters: Pool, used: Identifier) -> None:
    async with bridged(interpreters, used) as (client, link, front_end):
        await run(link, front_end, "import time")
        before, started = len(client.paths), time.monotonic()
        await run(link, front_end, "for i in range(100): print(i, flush=True); time.sleep(0.01)")
        assert len(client.paths) - before <= 4 * (time.monotonic() - started) + 4
    assert front_end.printed() == "".join(f"{number}\n" for number in range(100))


async def test_what_a_cell_has_changed_comes_with_what_it_says(interpreters: Pool) -> None:
    async with bridged(interpreters, unique(), pauses=(60.0,)) as (_, link, front_end):
        link.watch(".")
        await run(link, front_end, "import os; os.makedirs('deep')")
        await front_end.wait(lambda: len(front_end.files) == 1)
        await run(
            link, front_end, "[open(f'deep/{number}', 'w').close() for number in range(1000)]; open('a', 'w').close()"
        )
        await front_end.wait(lambda: len(front_end.files) == 2)
        await run(link, front_end, "os.unlink('a')")
        await front_end.wait(lambda: len(front_end.files) == 3)
    first, second, third = front_end.files
    assert (first.is_whole, first.changed) == (True, [])
    assert (second.is_whole, second.changed, second.removed) == (False, [], []), "there are 1,001"
    assert (third.changed, third.removed) == ([], ["a"])


async def test_a_pool_that_cuts_outputs_is_asked_for_less_and_nothing_is_lost(
    interpreters: Pool, used: Identifier
) -> None:
    async with bridged(interpreters, used, max_output=4096) as (_, link, front_end):
        await run(link, front_end, "import random; print(random.Random(1).randbytes(20_000).hex())")
        await run(link, front_end, "cut = globals().get('cut', 0) + 1; print('ran', cut)")
    assert len(front_end.printed()) == 40_001 + len("ran 1\n")
    assert front_end.printed().endswith("ran 1\n")


async def test_a_large_message_goes_up_as_a_file_that_does_not_stay(interpreters: Pool, used: Identifier) -> None:
    async with bridged(interpreters, used) as (client, link, front_end):
        await run(link, front_end, "import random")
        text = "".join(f"{i:x}" for i in range(300_000))
        await run(link, front_end, f"text = '{text}'\nprint(len(text)); import os; print(os.listdir())")
        assert "/files" in client.paths
    assert front_end.printed() == f"{len(text)}\n[]\n"


async def test_a_large_message_whose_execution_never_ran_leaves_no_file(interpreters: Pool, used: Identifier) -> None:
    class Cut(CountingClient):
        """A client that cannot have anything run for a while."""

        is_cut = True

        async def _send(self, endpoint: Endpoint, method: str, path: str, *rest: Any) -> Response:
            if self.is_cut and path == "/executions":
                raise PoolUnreachable("The connection was cut.")
            return await super()._send(endpoint, method, path, *rest)

    client = CountingClient(interpreters.endpoint, interpreters.token, used)
    cut = Cut(interpreters.endpoint, interpreters.token, used)
    brought_agent = BroughtAgent(cut)
    content = random.Random(1).randbytes(200_000)
    large = Exchange(calls=[Call(id="a", method="POST", path="/", params={}, content=content)])
    for _ in range(2):
        with pytest.raises(PoolUnreachable):
            await brought_agent.carry(large)
    list_files = "import os; print([name for name in os.listdir() if name.startswith('.rk-')])"
    assert (await execute_beside(client, list_files))["stdout"].count(".rk-") == 2
    cut.is_cut = False
    await brought_agent.carry(Exchange())
    assert (await execute_beside(client, list_files))["stdout"] == "[]\n"
    await asyncio.gather(client.aclose(), cut.aclose())


@pytest.mark.contract
async def test_a_message_that_is_too_large_ends_nothing_but_itself(interpreters: Pool) -> None:
    """Azure takes files of 128 MB."""
    async with bridged(interpreters, unique()) as (_, link, front_end):
        await run(link, front_end, "x = 1")
        large = execute("print('never')")
        link.send(large._replace(parts=(*large.parts, random.Random(1).randbytes(MAX_UPLOAD_BYTES))))
        await front_end.wait(lambda: front_end.refusals)
        assert "may have 128 MB" in str(front_end.refusals[0][1])
        await run(link, front_end, "print(x)")
    assert (front_end.printed(), front_end.errors, len(front_end.hellos)) == ("1\n", [], 1)


@pytest.mark.contract
async def test_an_agent_that_died_is_told_before_anything_runs_in_another(interpreters: Pool) -> None:
    async with bridged(interpreters, unique()) as (_, link, front_end):
        await run(link, front_end, "import os, signal; agent = os.getppid(); x = 1")
        request = execute("import threading; threading.Timer(0.05, os.kill, [agent, signal.SIGKILL]).start()")
        link.send(request)
        link.send(execute("while True: pass"))
        await front_end.wait(lambda: front_end.errors)
        assert [type(error) for error in front_end.errors] == [SessionLost]
        await run(link, front_end, "print('x' in globals())")
    assert front_end.printed() == "False\n"


@pytest.mark.contract
async def test_what_happens_to_the_agent_is_in_a_log_beside_it(interpreters: Pool) -> None:
    async with bridged(interpreters, unique()) as (client, link, front_end):
        await run(link, front_end, "x = 1")
        link.send(execute("import os; os._exit(3)"))
        await front_end.wait(lambda: front_end.errors)
        read = f"import tempfile; print(open(tempfile.gettempdir() + '/{AGENT_FOLDER}/log').read())"
        assert "] interpreter died" in (await execute_beside(client, read))["stdout"]


@pytest.mark.contract
async def test_a_session_that_is_given_back_is_gone_from_the_pool(interpreters: Pool) -> None:
    before = {session["label"] for session in interpreters.sessions()}
    async with bridged(interpreters, unique()) as (client, link, front_end):
        await run(link, front_end, "x = 1")
        assert {session["label"] for session in interpreters.sessions()} > before
        await Bridge(client).request("POST", wire.STOP_SESSION_PATH)
        assert {session["label"] for session in interpreters.sessions()} <= before


@pytest.mark.contract
async def test_kernels_that_come_together_share_one_agent(interpreters: Pool) -> None:
    identifier = unique()
    async with (
        bridged(interpreters, identifier) as (_, link, front_end),
        bridged(interpreters, identifier) as (_, second, listener),
    ):
        await asyncio.gather(
            run(link, front_end, "import os; print(os.getppid())"),
            run(second, listener, "import os; print(os.getppid())"),
        )
        await front_end.wait(lambda: front_end.printed())
        await listener.wait(lambda: listener.printed())
    assert len(set((front_end.printed() + listener.printed()).split())) == 1


BESIDE = """\
mine, _, In, [name for name, entry in __import__("linecache").cache.items() if "b64" + "decode" in str(entry)], \
sorted(name for name in dir() if not name.startswith("_"))"""


@pytest.mark.contract
async def test_the_interpreter_s_own_variables_and_history_are_left_alone(interpreters: Pool) -> None:
    async with bridged(interpreters, unique()) as (client, link, front_end):
        await execute_beside(client, "mine = 1; 'a value'")
        await run(link, front_end, "theirs = 2")
        outcome = await execute_beside(client, BESIDE)
    mine, last, inputs, cached, names = outcome["executionResult"]
    assert (mine, last) == (1, "a value")
    assert [code for code in inputs if code] == ["mine = 1; 'a value'", BESIDE]
    assert not cached
    assert names == ["In", "Out", "exit", "get_ipython", "mine", "open", "quit"]


@pytest.mark.contract
async def test_the_built_in_interpreter_may_die_beside_the_agent(interpreters: Pool) -> None:
    async with bridged(interpreters, unique()) as (client, link, front_end):
        await run(link, front_end, "x = 1")
        end = json.dumps({"code": "import os; os._exit(1)", "timeoutInSeconds": 10}).encode()
        await client.request("POST", "/executions", content=end, media_type="application/json")
        await run(link, front_end, "print(x)")
    assert front_end.printed() == "1\n"


async def execute_beside(client: CountingClient, code: str) -> Mapping[str, Any]:
    """Run code in the built-in interpreter, as another client of the pool does."""
    content = json.dumps({"code": code, "timeoutInSeconds": 10}).encode()
    answer = await client.request("POST", "/executions", content=content, media_type="application/json")
    assert answer["status"] == "Succeeded", answer
    result: Mapping[str, Any] = answer["result"]
    return result
