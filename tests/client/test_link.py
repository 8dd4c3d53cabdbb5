"""The link, against a real pod, over connections that break."""

import asyncio
import json
import os
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from remote_kernel.client.access import ConfiguredAccess
from remote_kernel.client.http.pool_client import PoolClient
from remote_kernel.client.link import events
from remote_kernel.client.link.following import Position
from remote_kernel.client.link.link import Link
from remote_kernel.client.routes.route import Body
from remote_kernel.core.errors import PoolError, PoolFull, PoolRefused, PoolUnreachable, SessionLost
from remote_kernel.core.identity import Identifier
from remote_kernel.core.jupyter.messages import Author, parse_header, parse_object
from remote_kernel.core.pools.front_door import GET_SESSION_PATH
from remote_kernel.core.text.stream_merging import MAX_PER_SECOND
from remote_kernel.core.wire import codec
from remote_kernel.core.wire import frames as wire
from remote_kernel.pod.api.api import Api
from remote_kernel.pod.api.calls import Answer, Call
from remote_kernel.pod.api.pod import Pod
from remote_kernel.pod.environment import kernel_environ
from remote_kernel.pod.files.data_folder import DataFolder
from remote_kernel.pod.kernels.registry import Registry
from tests.certificate import FILE_NAME, make_certificate
from tests.client.counting import CountingClient
from tests.client.front_end import FrontEnd, execute, followed, run
from tests.driver import TIMEOUT_SECONDS, PodProgram
from tests.driver import Pod as PodProcess
from tests.faults.proxy import FaultProxy, Plan

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def pod() -> Iterator[PodProcess]:
    with PodProcess.fork(Path(tempfile.mkdtemp(prefix="rk-"))) as running:
        yield running


@asynccontextmanager
async def linked(
    endpoint: str, kernel: str, *, position: Position | None = None, wait_seconds: float = 30.0,
    client: PoolClient | None = None, kernelspec: str = "python3",
) -> AsyncIterator[tuple[Link, FrontEnd]]:  # fmt: skip
    front_end = FrontEnd()
    pool = client or PoolClient(ConfiguredAccess(endpoint, "unused"), Identifier("unused"))
    link = Link(
        pool, front_end.take, kernel=kernel, kernelspec=kernelspec, position=position, wait_seconds=wait_seconds,
        keepalive_seconds=60,
    )  # fmt: skip
    async with followed(link, pool):
        yield link, front_end


@pytest.fixture
def kernel() -> str:
    return f"k-{uuid.uuid4().hex[:8]}"


async def test_a_message_is_answered(pod: PodProcess, kernel: str) -> None:
    async with linked(pod.endpoint, kernel) as (link, front_end):
        request = execute("print(6 * 7)")
        link.send(request)
        await front_end.wait(lambda: front_end.reply_to(request))
        assert front_end.printed() == "42\n"
        assert link.is_attached
        assert front_end.hellos[0].kernel_info["language_info"]["name"] == "python"


async def test_what_a_cell_has_changed_comes_behind_it_without_a_request(pod: PodProcess, kernel: str) -> None:
    client = CountingClient(pod.endpoint, "unused", Identifier("unused"))
    async with linked(pod.endpoint, kernel, client=client) as (link, front_end):
        link.watch(kernel)
        await run(link, front_end, f"import os; os.makedirs('{kernel}')")
        await front_end.wait(lambda: len(front_end.files) == 1)
        before = len(client.paths)
        await run(link, front_end, f"open('{kernel}/a', 'w').close(); open('outside', 'w').close()")
        await front_end.wait(lambda: len(front_end.files) == 2)
        assert client.paths[before:] == [wire.MESSAGES_PATH]
    first, second = front_end.files
    assert (first.is_whole, first.changed, first.removed) == (True, [], [])
    assert [file.path for file in second.changed] == ["a"]
    assert second.folder == kernel


async def test_no_frame_of_files_is_lost_or_comes_twice_where_connections_are_cut(pod: PodProcess, kernel: str) -> None:
    with FaultProxy.before(pod.endpoint) as proxy:
        proxy.plan = lambda number: Plan(cut_down_after=3000 + 611 * number)
        async with linked(proxy.endpoint, kernel) as (link, front_end):
            link.watch(kernel)
            requests = [
                execute(f"import os; os.makedirs('{kernel}/{number}'); open('{kernel}/{number}/a', 'w').close()")
                for number in range(10)
            ]
            for request in requests:
                link.send(request)
            await front_end.wait(lambda: len(front_end.files) == 10)
        assert proxy.connections > 3
    assert [files.cell for files in front_end.files] == [parse_header(request.parts[0]).msg_id for request in requests]
    changed = [file.path for files in front_end.files for file in files.changed]
    assert sorted(changed) == sorted(f"{number}/a" for number in range(10))


async def test_a_link_that_is_up_may_begin_to_watch_a_folder_and_end_it(pod: PodProcess, kernel: str) -> None:
    async with linked(pod.endpoint, kernel) as (link, front_end):
        await run(link, front_end, f"import os; os.makedirs('{kernel}'); os.chdir('{kernel}')")
        link.watch(kernel)
        await front_end.wait(lambda: len(front_end.hellos) == 2)
        await run(link, front_end, "open('a', 'w').close()")
        await front_end.wait(lambda: front_end.files)
        assert [file.path for file in front_end.files[0].changed] == ["a"]
        link.watch("")
        await front_end.wait(lambda: len(front_end.hellos) == 3)
        assert (front_end.waits, front_end.errors) == ([], [])


async def test_a_reader_that_comes_back_gets_what_it_has_missed(pod: PodProcess, kernel: str) -> None:
    async with linked(pod.endpoint, kernel) as (link, front_end):
        link.watch(kernel)
        await run(link, front_end, f"import os; os.makedirs('{kernel}'); os.chdir('{kernel}')")
        await front_end.wait(lambda: front_end.files)
        position = link.position
    async with linked(pod.endpoint, kernel, position=position) as (link, front_end):
        link.send(execute("open('a', 'w').close()"))
        await front_end.wait(lambda: front_end.messages)
    async with linked(pod.endpoint, kernel, position=position) as (link, front_end):
        link.open()
        await front_end.wait(lambda: front_end.files)
        assert [file.path for file in front_end.files[0].changed] == ["a"]


async def test_a_short_cell_takes_one_round_trip_over_a_slow_line(pod: PodProcess, kernel: str) -> None:
    with FaultProxy.before(pod.endpoint) as proxy:
        proxy.plan = lambda _number: Plan(delay_seconds=0.05)
        client = CountingClient(proxy.endpoint, "unused", Identifier("unused"))
        async with linked(proxy.endpoint, kernel, client=client) as (link, front_end):
            await run(link, front_end, "x = 1")
            before = len(client.paths)
            await run(link, front_end, "print(x + 1)")
            assert client.paths[before:] == [wire.MESSAGES_PATH]
    assert front_end.printed() == "2\n"


async def test_output_survives_cut_connections_whole_and_in_order(pod: PodProcess, kernel: str) -> None:
    with FaultProxy.before(pod.endpoint) as proxy:
        proxy.plan = lambda number: Plan(cut_down_after=3000 + 611 * number)
        async with linked(proxy.endpoint, kernel) as (link, front_end):
            request = execute("import time\nfor i in range(300):\n    print(i, flush=True)\n    time.sleep(0.001)")
            link.send(request)
            await front_end.wait(lambda: front_end.reply_to(request))
        assert proxy.connections > 3
    assert front_end.printed() == "".join(f"{number}\n" for number in range(300))
    assert [m.sequence for m in front_end.messages] == sorted({m.sequence for m in front_end.messages})


@pytest.mark.parametrize("cut", [1, 200, 420, 700])
async def test_a_request_cut_on_the_way_up_runs_once(pod: PodProcess, kernel: str, cut: int) -> None:
    """The first connections break after `cut` bytes up; some of these are before, some after the pod has it all."""
    with FaultProxy.before(pod.endpoint) as proxy:
        async with linked(proxy.endpoint, kernel) as (link, front_end):
            link.open()
            await front_end.wait(lambda: front_end.hellos)
            first = proxy.connections
            proxy.plan = lambda number: Plan(cut_up_after=cut) if number < first + 3 else Plan()
            for _ in range(3):
                request = execute("n = globals().get('n', 0) + 1; print(n)")
                link.send(request)
                await front_end.wait(lambda: front_end.reply_to(request))  # noqa: B023 - awaited in this round
    assert front_end.printed() == "1\n2\n3\n"


async def test_an_answer_cut_on_the_way_down_does_not_run_it_again(pod: PodProcess, kernel: str) -> None:
    with FaultProxy.before(pod.endpoint) as proxy:
        async with linked(proxy.endpoint, kernel) as (link, front_end):
            link.open()
            await front_end.wait(lambda: front_end.hellos)
            first = proxy.connections
            proxy.plan = lambda number: Plan(cut_down_after=20) if number < first + 3 else Plan()
            request = execute("n = globals().get('n', 0) + 1; print(n)")
            link.send(request)
            await front_end.wait(lambda: front_end.reply_to(request))
            again = execute("print(n)")
            link.send(again)
            await front_end.wait(lambda: front_end.reply_to(again))
        assert proxy.connections >= first + 2
    assert front_end.printed() == "1\n1\n"


async def test_a_link_that_was_refused_for_a_while_says_so_and_comes_back(pod: PodProcess, kernel: str) -> None:
    with FaultProxy.before(pod.endpoint) as proxy:
        async with linked(proxy.endpoint, kernel) as (link, front_end):
            first = execute("1")
            link.send(first)
            await front_end.wait(lambda: front_end.reply_to(first))
            proxy.refuse(True)
            second = execute("print('back')")
            link.send(second)
            await front_end.wait(lambda: front_end.waits)
            proxy.refuse(False)
            await front_end.wait(lambda: front_end.reply_to(second))
    assert front_end.errors == []
    assert front_end.printed() == "back\n"


class InterceptedClient(PoolClient):
    """A client whose first message does not reach the pod: something else answers, with an error or an object."""

    def __init__(self, endpoint: str, answer: PoolError | dict[str, Any]) -> None:
        super().__init__(ConfiguredAccess(endpoint, "unused"), Identifier("unused"))
        self.answer = answer
        self.has_answered = asyncio.Event()

    async def request(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        if path != wire.MESSAGES_PATH or self.has_answered.is_set():
            return await super().request(method, path, **options)
        self.has_answered.set()
        if isinstance(self.answer, PoolError):
            raise self.answer
        return self.answer


async def test_a_message_does_not_wait_as_long_as_one_before_it_that_was_dropped(pod: PodProcess, kernel: str) -> None:
    client = InterceptedClient(pod.endpoint, PoolFull("full", retry_after_seconds=3600))
    async with linked(pod.endpoint, kernel, client=client) as (link, front_end):
        link.send(execute("print('dropped')"))
        await client.has_answered.wait()
        link.forget_unsent()
        await run(link, front_end, "print('sent')")
    assert front_end.printed() == "sent\n"


@dataclass(frozen=True)
class Pieces:
    """An answer whose end has not come yet."""

    pieces: AsyncGenerator[bytes]

    def chunks(self) -> AsyncIterator[bytes]:
        return self.pieces


class Inside:
    """The way to an agent in this process."""

    piece_bytes = 1 << 20
    should_compress = False

    def __init__(self, api: Api, stale_seconds: float | None) -> None:
        self.stale_seconds = stale_seconds
        self._api = api

    async def _ask(self, method: str, path: str, params: Mapping[str, str] | None, content: bytes) -> Answer:
        async def read_body() -> bytes:
            return content

        return await self._api.handlers[method, path](Call(params or {}, read_body))

    async def request(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, content: bytes = b"",
        read_seconds: float = 0.0,
    ) -> dict[str, Any]:  # fmt: skip
        body = (await self._ask(method, path, params, content)).body
        assert isinstance(body, bytes)
        return parse_object(body)

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, content: bytes = b"",
        read_seconds: float,
    ) -> AsyncIterator[Body]:  # fmt: skip
        body = (await self._ask(method, path, params, content)).body
        assert isinstance(body, AsyncGenerator)
        async with aclosing(body):
            yield Pieces(body)

    def drop_idle(self) -> None:
        raise AssertionError("no connection broke")

    async def aclose(self) -> None:
        """Nothing."""


@asynccontextmanager
async def linked_inside(
    *, max_stream_seconds: float = 60.0, keepalive_seconds: float = 5.0, stale_seconds: float | None = None
) -> AsyncIterator[tuple[Link, FrontEnd]]:
    folder = Path(tempfile.mkdtemp(prefix="rk-"))
    registry = Registry(folder=folder, data=folder, environ=kernel_environ(os.environ, "pod"))
    pod = Pod(
        registry=registry, folder=DataFolder(folder), name="pod", cooldown_seconds=300.0,
        max_stream_seconds=max_stream_seconds, keepalive_seconds=keepalive_seconds,
    )  # fmt: skip
    front_end, inside = FrontEnd(), Inside(Api(pod), stale_seconds)
    link = Link(inside, front_end.take, kernel="main", kernelspec="python3", wait_seconds=30, keepalive_seconds=60)
    async with followed(link, inside):
        yield link, front_end
    await registry.aclose()


async def test_a_stream_that_the_agent_ends_before_the_platform_would_is_no_outage() -> None:
    async with linked_inside(max_stream_seconds=0.1) as (link, front_end):
        await run(link, front_end, "import time\nfor i in range(40):\n    print(i, flush=True)\n    time.sleep(0.02)")
    assert front_end.printed() == "".join(f"{number}\n" for number in range(40))
    assert len(front_end.hellos) >= 2
    assert (front_end.waits, front_end.errors) == ([], [])


async def test_a_silent_cell_s_stream_shows_signs_of_life() -> None:
    async with linked_inside(keepalive_seconds=0.1, stale_seconds=1.0) as (link, front_end):
        await run(link, front_end, "import time; time.sleep(2)")
    assert (len(front_end.hellos), front_end.waits) == (1, [])


class ImpatientClient(PoolClient):
    """A client that takes a stream for dead which is silent for a moment."""

    stale_seconds = 0.5


async def test_a_stream_that_falls_silent_without_an_end_is_taken_up_anew(pod: PodProcess, kernel: str) -> None:
    with FaultProxy.before(pod.endpoint) as proxy:
        client = ImpatientClient(ConfiguredAccess(proxy.endpoint, "unused"), Identifier("unused"))
        async with linked(proxy.endpoint, kernel, client=client) as (link, front_end), asyncio.timeout(15):
            request = execute("import time\nfor i in range(50):\n    print(i, flush=True)\n    time.sleep(0.02)")
            link.send(request)
            await front_end.wait(lambda: front_end.printed())
            proxy.stall(True)
            await front_end.wait(lambda: front_end.waits)
            proxy.stall(False)
            await front_end.wait(lambda: front_end.reply_to(request))
    assert front_end.printed() == "".join(f"{number}\n" for number in range(50))


@pytest.mark.parametrize("answer", [{}, PoolRefused("down", status=503)], ids=["a page with status 200", "503"])
async def test_a_message_that_somebody_else_answers_is_sent_again_and_waited_for(
    pod: PodProcess, kernel: str, answer: PoolError | dict[str, Any]
) -> None:
    async with linked(pod.endpoint, kernel, client=InterceptedClient(pod.endpoint, answer)) as (link, front_end):
        await run(link, front_end, "print('once')")
        await run(link, front_end, "print('next')")
    assert front_end.printed() == "once\nnext\n"
    assert (len(front_end.waits), front_end.deliveries, front_end.errors) == (1, 1, [])


async def test_a_stream_that_breaks_each_time_is_asked_for_ever_more_seldom_until_it_brings_something(
    pod: PodProcess, kernel: str
) -> None:
    with FaultProxy.before(pod.endpoint) as proxy:
        async with linked(proxy.endpoint, kernel) as (link, front_end):
            await run(link, front_end, "1")
            # The last of these pauses is no less than 0.4 s, the next would be no less than 0.8 s.
            assert await cut(proxy, front_end, times=4) > 0.05 + 0.1 + 0.2 + 0.4
            await run(link, front_end, "2")
            assert await cut(proxy, front_end) < 0.8
    assert front_end.errors == []


async def cut(proxy: FaultProxy, front_end: FrontEnd, times: int = 1) -> float:
    """Break every connection as soon as the link is attached, and return how long it takes to come back each time."""
    began = time.monotonic()
    for _ in range(times):
        count = len(front_end.hellos)
        proxy.cut()
        await front_end.wait(lambda: len(front_end.hellos) > count)  # noqa: B023 - awaited in this round
    return time.monotonic() - began


async def test_a_pool_that_never_answers_is_given_up(kernel: str) -> None:
    async with linked("http://127.0.0.1:9", kernel, wait_seconds=0.3) as (link, front_end):
        link.send(execute("1"))
        await front_end.wait(lambda: front_end.errors)
        (error,) = front_end.errors
    assert isinstance(error, PoolUnreachable)
    assert "127.0.0.1:9" in str(error)


async def test_an_error_of_an_earlier_process_s_cell_aborts_nothing_of_the_next(
    pod: PodProcess, kernel: str, tmp_path: Path
) -> None:
    # What is not in ipykernel's queue when a cell fails is not aborted by it.
    gate = tmp_path / "gate"
    fails = f"import pathlib, time\nwhile not pathlib.Path({str(gate)!r}).exists():\n    time.sleep(0.01)\n1 / 0"
    async with linked(pod.endpoint, kernel) as (link, front_end):
        await run(link, front_end, "pass")
        position = link.position
        await run(link, front_end, "1 / 0")
    async with linked(pod.endpoint, kernel, position=position) as (link, front_end):
        request, failing, behind = execute("print('ran')"), execute(fails), execute("print('never')")
        for message in (request, failing, behind):
            link.send(message)
        while link.waiting_bytes:  # noqa: ASYNC110 - nobody is told when the pod has accepted all
            await asyncio.sleep(0)
        gate.touch()
        await front_end.wait(lambda: front_end.reply_to(behind))
        aborted = front_end.reply_to(behind)
        assert aborted is not None
        assert b'"aborted"' in aborted.parts[3]
    assert front_end.printed() == "ran\n"


async def test_another_process_goes_on_where_the_first_left_off(pod: PodProcess, kernel: str) -> None:
    async with linked(pod.endpoint, kernel) as (link, front_end):
        request = execute("import time\nfor i in range(30):\n    print(i, flush=True)\n    time.sleep(0.02)")
        link.send(request)
        await front_end.wait(lambda: front_end.printed())
        position = link.position
    async with linked(pod.endpoint, kernel, position=position) as (link, successor):
        link.open()
        await successor.wait(lambda: successor.reply_to(request))
    assert front_end.printed() + successor.printed() == "".join(f"{number}\n" for number in range(30))


async def test_prints_that_have_piled_up_come_in_few_messages_and_whole(pod: PodProcess, kernel: str) -> None:
    async with linked(pod.endpoint, kernel) as (link, front_end):
        first, last = (
            execute("pass"),
            execute("for i in range(500): print(i, flush=True)\ndisplay('shown')\nprint('end')"),
        )
        link.send(first)
        await front_end.wait(lambda: front_end.has_finished(first))
        position = link.position
        link.send(last)
        await front_end.wait(lambda: front_end.has_finished(last))
    async with linked(pod.endpoint, kernel, position=position) as (link, successor):
        link.open()
        await successor.wait(lambda: successor.has_finished(last))
    types = [parse_header(message.parts[0]).msg_type for message in successor.messages]
    assert types.count("stream") < 50
    assert types.index("display_data") < len(types) - types[::-1].index("stream") - 1  # "end" did not overtake it
    assert successor.printed() == front_end.printed() == "".join(f"{number}\n" for number in range(500)) + "end\n"


async def test_a_flood_of_prints_is_no_flood_of_messages(pod: PodProcess, kernel: str) -> None:
    async with linked(pod.endpoint, kernel) as (link, front_end):
        first, flood = execute("pass"), execute("for i in range(3000): print(i, flush=True)")
        link.send(first)
        await front_end.wait(lambda: front_end.has_finished(first))
        began = time.monotonic()
        link.send(flood)
        await front_end.wait(lambda: front_end.has_finished(flood))
        took = time.monotonic() - began
    assert front_end.printed() == "".join(f"{number}\n" for number in range(3000))
    assert len(front_end.messages) < 1.2 * MAX_PER_SECOND * (1 + took)


async def test_a_message_for_a_session_that_is_gone_is_lost_and_the_next_one_runs(pod: PodProcess, kernel: str) -> None:
    async with linked(pod.endpoint, kernel, position=Position(epoch="gone", cursor=5)) as (link, front_end):
        link.send(execute("print('never')"))
        await front_end.wait(lambda: front_end.errors)
        assert isinstance(front_end.errors[0], SessionLost)
        request = execute("print('new')")
        link.send(request)
        await front_end.wait(lambda: front_end.reply_to(request))
    assert front_end.printed() == "new\n"


class ReadyBody:
    """An answer with some frames whose end does not come."""

    def __init__(self, *frames: wire.Frame) -> None:
        self._frames = frames

    async def chunks(self) -> AsyncIterator[bytes]:
        yield codec.encode_all(self._frames)
        await asyncio.Event().wait()


class ReadyRoute(PoolClient):
    """A route to a pod that has one message."""

    stale_seconds = float("inf")

    def __init__(self) -> None:
        super().__init__(ConfiguredAccess("http://127.0.0.1:9", "unused"), Identifier("unused"))
        self.asked_after: list[str] = []

    @asynccontextmanager
    async def stream(self, method: str, path: str, **options: Any) -> AsyncIterator[Any]:
        after = options["params"].get("after", "0")
        self.asked_after.append(after)
        hello = wire.Hello(
            epoch="e1", cursor=int(after), cooldown_seconds=300.0, pod="ready", is_busy=False, kernel_info={}
        )  # fmt: skip
        message = wire.Message(channel=wire.Channel.IOPUB, parts=(b"{}", b"{}", b"{}", b"{}"), sequence=1)
        yield ReadyBody(hello, *([message] if after == "0" else []))


async def test_what_a_pause_interrupts_in_its_owners_hands_comes_once_when_the_link_goes_on() -> None:
    """As `%session detach` does where a front end does not read."""
    front_end, route = FrontEnd(), ReadyRoute()
    is_met, has_room = asyncio.Event(), asyncio.Event()

    async def take(event: events.Event) -> None:
        if isinstance(event, events.Received):
            is_met.set()
            await has_room.wait()
        await front_end.take(event)

    link = Link(route, take, kernel="k", kernelspec="python3", wait_seconds=30.0, keepalive_seconds=60)
    link.open()
    async with followed(link):
        await is_met.wait()
    assert front_end.messages == []
    has_room.set()
    link.rest()
    async with followed(link):
        await front_end.wait(lambda: front_end.messages)
        link.open()
        await front_end.wait(lambda: len(front_end.hellos) == 2)
        link.rest()  # ends the stream, as nobody is handed anything
        link.open()
        await front_end.wait(lambda: len(front_end.hellos) == 3)
    assert len(front_end.messages) == 1
    assert route.asked_after == ["0", "1", "1"]


async def test_a_pod_that_goes_says_so_and_is_not_asked_for_again(kernel: str) -> None:
    with PodProgram.start(Path(tempfile.mkdtemp(prefix="rk-"))) as pod, FaultProxy.before(pod.endpoint) as proxy:
        async with linked(proxy.endpoint, kernel) as (link, front_end):
            link.open()
            await front_end.wait(lambda: front_end.hellos)
            connections = proxy.connections
            pod.process.terminate()
            await front_end.wait(lambda: front_end.errors)
            assert isinstance(front_end.errors[0], SessionLost)
            assert (link.position, link.is_attached) == (None, False)
        assert proxy.connections == connections


async def test_a_kernel_that_another_client_shuts_down_is_told_once_and_the_next_message_runs(
    pod: PodProcess, kernel: str
) -> None:
    async with linked(pod.endpoint, kernel) as (link, front_end), linked(pod.endpoint, kernel) as (other, listener):
        for each, heard in ((link, front_end), (other, listener)):
            each.open()
            await heard.wait(lambda: heard.hellos)  # noqa: B023 - awaited in this round
        parts = Author("other").write("shutdown_request", {"restart": False}, date=datetime.now(UTC))
        other.send(wire.Message(channel=wire.Channel.CONTROL, parts=parts))
        await front_end.wait(lambda: front_end.errors)
        request = execute("print('new')")
        link.send(request)
        await front_end.wait(lambda: front_end.reply_to(request))
    assert [type(error) for error in front_end.errors] == [SessionLost]
    assert "another client shut it down" in str(front_end.errors[0])
    assert front_end.printed() == "new\n"


class Lingering(Inside):
    """The way to an agent whose kernel was shut down, whose stream does not end, and which has no other kernel."""

    def __init__(self) -> None:
        self.streams = 0
        self.stale_seconds = None
        self.hello = wire.Hello(
            epoch="first", cursor=0, cooldown_seconds=300.0, pod="pod", is_busy=False, kernel_info={},
            takes_compressed=False, last=0,
        )  # fmt: skip

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, content: bytes = b"",
        read_seconds: float,
    ) -> AsyncIterator[Body]:  # fmt: skip
        self.streams += 1

        async def pieces() -> AsyncGenerator[bytes]:
            if self.streams == 1:
                yield codec.encode(self.hello)
                yield codec.encode(wire.EpochChange(epoch="second", sequence=1, reason="shutdown", detail=""))
            await asyncio.Event().wait()

        async with aclosing(pieces()) as body:
            yield Pieces(body)


async def test_a_link_that_has_nowhere_to_send_to_is_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    selector = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
    turns, select = 0, selector.select

    def count(timeout: float | None) -> Any:
        nonlocal turns
        turns += 1
        return select(timeout)

    front_end, way = FrontEnd(), Lingering()
    link = Link(way, front_end.take, kernel="main", kernelspec="python3", wait_seconds=30, keepalive_seconds=60)
    async with followed(link, way):
        link.open()
        await front_end.wait(lambda: front_end.errors)
        link.send(execute("1"))
        monkeypatch.setattr(selector, "select", count)
        await asyncio.sleep(0.1)
        monkeypatch.undo()
    assert turns < 20
    assert way.streams == 2
    assert not link.is_attached


class Asking(Lingering):
    """The way to a full pool that is asked whether it still has the session, and takes its time to say so."""

    def __init__(self) -> None:
        super().__init__()
        self.is_asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.has_ended = asyncio.Event()

    async def request(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        assert path == GET_SESSION_PATH
        self.is_asked.set()
        try:
            await self.may_answer.wait()
        finally:
            self.has_ended.set()
        return {}

    @asynccontextmanager
    async def stream(self, method: str, path: str, **options: Any) -> AsyncIterator[Body]:
        if not self.is_asked.is_set():
            raise PoolFull("full")
        async with super().stream(method, path, **options) as body:
            yield body


@pytest.mark.parametrize("may_answer", [True, False])
async def test_a_link_that_was_given_up_while_the_pool_is_asked_takes_no_session(may_answer: bool) -> None:
    front_end, way = FrontEnd(), Asking()
    link = Link(
        way, front_end.take, kernel="main", kernelspec="python3", position=Position(epoch="first", cursor=0),
        wait_seconds=30, keepalive_seconds=60,
    )  # fmt: skip
    async with followed(link, way):
        link.send(execute("1"))
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await way.is_asked.wait()
            link.give_up()
            if may_answer:
                way.may_answer.set()
            await way.has_ended.wait()
        assert way.streams == 0


async def test_a_dead_interpreter_is_told_with_its_reason(pod: PodProcess, kernel: str) -> None:
    async with linked(pod.endpoint, kernel) as (link, front_end):
        link.send(execute("import os; os._exit(7)"))
        await front_end.wait(lambda: front_end.errors)
        (error,) = front_end.errors
        assert isinstance(error, SessionLost)
        assert "exit status 7" in str(error)
        request = execute("print('again')")
        link.send(request)
        await front_end.wait(lambda: front_end.reply_to(request))
    assert front_end.printed() == "again\n"


async def test_a_message_that_the_pod_refuses_takes_no_other_with_it(pod: PodProcess, kernel: str) -> None:
    async with linked(pod.endpoint, kernel) as (link, front_end):
        running, after = execute("import time; time.sleep(0.3); print('ran')"), execute("print('ran, too')")
        nonsense = wire.Message(channel=wire.Channel.SHELL, parts=(b"[]", b"{}", b"{}", b"{}"))
        for message in (running, nonsense, after):
            link.send(message)
        await front_end.wait(lambda: front_end.reply_to(running) and front_end.reply_to(after))
    ((refused, error),) = front_end.refusals
    assert refused.parts == nonsense.parts
    assert isinstance(error, PoolRefused)
    assert front_end.errors == []
    assert front_end.printed() == "ran\nran, too\n"


async def test_cell_whose_interpreter_does_not_start_is_told_why_and_the_next_one_runs(kernel: str) -> None:
    scratch = Path(tempfile.mkdtemp(prefix="rk-"))
    broken = scratch / "data" / "broken"
    with PodProgram.start(scratch, JUPYTER_PATH=str(install_fragile_kernel(scratch))) as pod:
        async with linked(pod.endpoint, kernel, kernelspec="fragile") as (link, front_end):
            await run(link, front_end, "print('before')")
            broken.touch()
            parts = Author("front end").write("shutdown_request", {"restart": True}, date=datetime.now(UTC))
            link.send(wire.Message(channel=wire.Channel.CONTROL, parts=parts))
            await front_end.wait(lambda: front_end.errors)
            cell = execute("print('never')")
            link.send(cell)
            await front_end.wait(lambda: front_end.refusals)
            broken.unlink()
            await run(link, front_end, "print('after')")
    ((refused, error),) = front_end.refusals
    assert refused.parts == cell.parts
    assert "ended while it started: exit status 3" in str(error)
    assert front_end.printed() == "before\nafter\n"


def install_fragile_kernel(folder: Path) -> Path:
    """Make a kernelspec "fragile" that does not start beside a file "broken"; return the Jupyter folder with it."""
    code = "import os, runpy, sys\nif os.path.exists('broken'): sys.exit(3)\n"
    code += "runpy.run_module('ipykernel_launcher', run_name='__main__')"
    spec = {"argv": [sys.executable, "-c", code, "-f", "{connection_file}"], "display_name": "", "language": "python"}
    spec_folder = folder / "jupyter" / "kernels" / "fragile"
    spec_folder.mkdir(parents=True)
    (spec_folder / "kernel.json").write_text(json.dumps(spec))
    return folder / "jupyter"


NUMBERS = " ".join(map(str, range(100_000)))
NUMBERS_CODE = f"print(' '.join(map(str, range(100_000))))  # {NUMBERS}"


@pytest.mark.parametrize("is_far", [True, False])
async def test_what_leaves_this_machine_is_compressed(
    pod: PodProcess, kernel: str, is_far: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path) if is_far else None
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / FILE_NAME))
    with FaultProxy.before(pod.endpoint, certificate) as proxy:
        async with linked(proxy.endpoint, kernel) as (link, front_end):
            await run(link, front_end, NUMBERS_CODE)
    assert front_end.printed() == NUMBERS + "\n"
    assert (proxy.passed["down"] < len(NUMBERS)) is is_far  # the cell comes back with its output
    assert (proxy.passed["up"] < len(NUMBERS) / 2) is is_far


class Silent:
    """An answer in which the agent does not say that it takes compressed frames."""

    def __init__(self, body: Body) -> None:
        self._body = body

    async def chunks(self) -> AsyncIterator[bytes]:
        decoder = codec.FrameDecoder()
        async for chunk in self._body.chunks():
            for frame in decoder.feed(chunk):
                if isinstance(frame, wire.Hello):
                    frame = replace(frame, takes_compressed=False)
                yield codec.encode(frame)


async def test_what_an_agent_does_not_understand_is_not_sent_to_it(pod: PodProcess, kernel: str) -> None:
    sent: list[bytes] = []

    class ToOldAgent(PoolClient):
        """A client to which everything is far."""

        should_compress = True

        async def request(self, *args: Any, content: bytes = b"", **options: Any) -> dict[str, Any]:
            sent.append(content)
            return await super().request(*args, content=content, **options)

        @asynccontextmanager
        async def stream(self, method: str, path: str, **options: Any) -> AsyncIterator[Any]:
            async with super().stream(method, path, **options) as response:
                yield Silent(response) if path == wire.EVENTS_PATH else response

    client = ToOldAgent(ConfiguredAccess(pod.endpoint, "unused"), Identifier("unused"))
    async with linked(pod.endpoint, kernel, client=client) as (link, front_end):
        await run(link, front_end, NUMBERS_CODE)
    assert any(NUMBERS.encode() in content for content in sent)
    assert front_end.printed() == NUMBERS + "\n"


async def test_readers_hear_of_each_other_but_not_of_their_own_earlier_streams(pod: PodProcess, kernel: str) -> None:
    with FaultProxy.before(pod.endpoint) as proxy:
        async with linked(proxy.endpoint, kernel) as (link, front_end):
            link.open()
            await front_end.wait(lambda: front_end.hellos)
            proxy.cut()
            await front_end.wait(lambda: len(front_end.hellos) == 2)
            assert front_end.peers == []
            async with linked(pod.endpoint, kernel) as (other, listener):
                other.open()
                await listener.wait(lambda: listener.peers)
                await front_end.wait(lambda: front_end.peers)
                assert (link.peers, other.peers) == (1, 1)
            await front_end.wait(lambda: front_end.peers == [1, 0])
