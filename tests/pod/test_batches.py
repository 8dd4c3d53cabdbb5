"""Exchanges, answered by an agent in which something goes wrong."""

import asyncio
import base64
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from remote_kernel.client.interpreter.bridged_requests import refusal
from remote_kernel.client.retry import is_passing
from remote_kernel.core.jupyter.messages import Author
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.core.wire import codec
from remote_kernel.core.wire import frames as wire
from remote_kernel.core.wire.batches import GONE, Call, Exchange, Piece, unpack_pieces
from remote_kernel.pod.api import calls
from remote_kernel.pod.api.api import Api
from remote_kernel.pod.api.batches import Exchanges, lease_seconds
from remote_kernel.pod.api.pod import Pod
from remote_kernel.pod.app import create_app
from remote_kernel.pod.clock import utc_now
from remote_kernel.pod.files.data_folder import DataFolder
from remote_kernel.pod.interpreter_api.executions import Executions
from remote_kernel.pod.interpreter_api.routes import InterpreterApi
from remote_kernel.pod.kernels.registry import Registry
from tests.driver import TIMEOUT_SECONDS

pytestmark = pytest.mark.anyio

MAX_CHARS = 10_000
LEASE_SECONDS = 60.0


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[Registry]:
    registry = Registry(folder=tmp_path, data=tmp_path, environ={})
    yield registry
    await registry.aclose()


@pytest.fixture
def api(registry: Registry, tmp_path: Path) -> Api:
    return Api(Pod(registry=registry, folder=DataFolder(tmp_path), name="pod", cooldown_seconds=300.0))


async def no_body() -> bytes:
    return b""


async def take_all(body: AsyncIterator[bytes | memoryview], took: asyncio.Event) -> None:
    async for _ in body:
        took.set()


async def exchange(exchanges: Exchanges, asked: Exchange) -> list[Piece]:
    return unpack_pieces(base64.b64decode(await exchanges.answer(asked, MAX_CHARS)), asked.count)


async def test_a_defect_is_in_the_log_and_is_not_tried_again(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(call: calls.Call) -> calls.Answer:
        raise KeyError(call.params["secret"])

    api.handlers["GET", "/broken"] = broken
    call = Call(id="a", method="GET", path="/broken", params={"secret": "s3cret"})
    (piece,) = await exchange(Exchanges(api, LEASE_SECONDS), Exchange(calls=[call], call_seconds=5.0))
    error = refusal(piece.status, piece.data)
    assert "failed inside" in str(error)
    assert "s3cret" not in str(error)
    assert not is_passing(error)
    assert [(record.msg, record.levelno) for record in caplog.records] == [(LogEvent("failed inside"), logging.ERROR)]
    assert caplog.records[0].exc_info is not None


async def test_a_defect_that_is_met_over_http_is_told_as_well(tmp_path: Path) -> None:
    registry = Registry(folder=tmp_path, data=tmp_path, environ={})
    executions = Executions(registry, kernelspec="python3", sync_limit_seconds=1.0)
    folder = DataFolder(tmp_path)
    app = create_app(
        Pod(registry=None, folder=folder, name="pod", cooldown_seconds=300.0),  # type: ignore[arg-type]
        InterpreterApi(executions, folder),
    )
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://pod") as client:
        response = await client.get(wire.SESSION_PATH)
    error = refusal(response.status_code, response.content)
    assert "failed inside (AttributeError)" in str(error)
    assert not is_passing(error)


async def test_a_defect_within_an_answer_is_in_the_log_and_ends_it(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"begun"
        raise KeyError

    async def broken(call: calls.Call) -> calls.Answer:
        return calls.Answer(body=body())

    api.handlers["GET", "/broken"] = broken
    call = Call(id="a", method="GET", path="/broken", params={})
    (piece,) = await exchange(Exchanges(api, LEASE_SECONDS), Exchange(calls=[call], call_seconds=5.0, news_seconds=5.0))
    assert (piece.status, piece.data, piece.is_last) == (200, b"begun", True)
    assert [record.msg for record in caplog.records] == [LogEvent("failed inside")]


@pytest.mark.parametrize(("seconds", "is_kept"), [(0.0, False), (LEASE_SECONDS, True)])
async def test_an_answer_that_nobody_reads_is_kept_for_its_lease(api: Api, seconds: float, is_kept: bool) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"begun"
        await asyncio.Event().wait()

    async def endless(call: calls.Call) -> calls.Answer:
        return calls.Answer(body=body())

    api.handlers["GET", "/endless"] = endless
    exchanges = Exchanges(api, seconds)
    call = Call(id="a", method="GET", path="/endless", params={})
    await exchange(exchanges, Exchange(calls=[call], call_seconds=5.0))
    await exchange(exchanges, Exchange())
    (piece,) = await exchange(exchanges, Exchange(reads=["a"]))
    assert (piece.status != GONE) is is_kept
    await exchanges.aclose()


async def test_a_stream_is_busy_until_it_has_passed_on_what_was_said(api: Api, registry: Registry) -> None:
    events = await api.handlers["GET", wire.EVENTS_PATH](calls.Call({"reader": "r"}, no_body))
    assert not isinstance(events.body, bytes)
    hello = await anext(events.body)
    (frame,) = codec.decode_all(hello)
    assert isinstance(frame, wire.Hello)
    parts = Author("front end").write("execute_request", {"code": "1", "silent": False}, date=utc_now())
    message = codec.encode(wire.Message(channel=wire.Channel.SHELL, parts=parts, sequence=1))

    async def read_body() -> bytes:
        return message

    params = {"epoch": frame.epoch, "sender": "s", "reader": "r"}
    await api.handlers["POST", wire.MESSAGES_PATH](calls.Call(params, read_body))
    (kernel,) = registry.kernels
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while kernel.is_busy:
            await kernel.readers.wakeups.next.wait()
        assert events.is_busy(), "the end of the cell is on its way"
        took = asyncio.Event()
        reading = asyncio.create_task(take_all(events.body, took))
        while events.is_busy():
            took.clear()
            await took.wait()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


def test_a_lease_is_longer_than_the_pause_of_a_reader_that_keeps_the_pod() -> None:
    for cooldown in (2.0, 60.0, 300.0, 3600.0):
        assert cooldown / 3 < lease_seconds(cooldown) <= max(cooldown, 15.0)
