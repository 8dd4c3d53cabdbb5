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
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.core.wire import frames as wire
from remote_kernel.core.wire.batches import GONE, Call, Exchange, Piece, unpack_pieces
from remote_kernel.pod.api import calls
from remote_kernel.pod.api.api import Api
from remote_kernel.pod.api.batches import Exchanges, lease_seconds
from remote_kernel.pod.api.pod import Pod
from remote_kernel.pod.app import create_app
from remote_kernel.pod.files.data_folder import DataFolder
from remote_kernel.pod.interpreter_api.executions import Executions
from remote_kernel.pod.interpreter_api.routes import InterpreterApi
from remote_kernel.pod.kernels.registry import Registry

pytestmark = pytest.mark.anyio

MAX_CHARS = 10_000
LEASE_SECONDS = 60.0


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    registry = Registry(folder=tmp_path, data=tmp_path, environ={})
    yield Api(Pod(registry=registry, folder=DataFolder(tmp_path), name="pod", cooldown_seconds=300.0))
    await registry.aclose()


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


def test_a_lease_is_longer_than_the_pause_of_a_reader_that_keeps_the_pod() -> None:
    for cooldown in (2.0, 60.0, 300.0, 3600.0):
        assert cooldown / 3 < lease_seconds(cooldown) <= max(cooldown, 15.0)
