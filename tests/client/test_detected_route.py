"""Which way goes to a pool's pods: found out from the pool, remembered, told where there is none."""

import json
import os
import time
import uuid
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from remote_kernel.client.access import ConfiguredAccess
from remote_kernel.client.http.pool_client import PoolClient
from remote_kernel.client.routes.detected_route import DetectedRoute
from remote_kernel.client.routes.pool_kind import PoolKind, PoolKindStore
from remote_kernel.core.errors import PoolRefused
from remote_kernel.core.identity import Identifier
from remote_kernel.core.wire import frames as wire
from tests.client.serving import Answer, serve

pytestmark = pytest.mark.anyio


async def ask(endpoint: str, token: str, folder: Path) -> object:
    """Ask for the session's kernels as a kernel does that has just started."""
    pool = PoolClient(ConfiguredAccess(endpoint, token), Identifier(f"route-{uuid.uuid4().hex[:12]}"))
    route = DetectedRoute(pool, PoolKindStore(folder, endpoint))
    try:
        return (await route.request("GET", wire.SESSION_PATH))["kernels"]
    finally:
        await route.aclose()


async def test_a_pool_that_became_another_is_found_out_again(tmp_path: Path) -> None:
    seen = []

    def answer(request: BaseHTTPRequestHandler) -> Answer:
        seen.append(request.path.partition("?")[0])
        return (200, {}, b'{"kernels": [1]}') if request.path.startswith("/api/v2/") else (404, {}, b"")

    with serve(answer) as port:
        endpoint = f"http://127.0.0.1:{port}"
        PoolKindStore(tmp_path, endpoint).learn(PoolKind.INTERPRETER)
        assert await ask(endpoint, "t", tmp_path) == [1]
        assert await ask(endpoint, "t", tmp_path) == [1]
    assert seen == ["/executions", wire.SESSION_PATH, wire.SESSION_PATH]


def test_pods_that_had_no_agent_are_asked_for_one_again_the_next_day(tmp_path: Path) -> None:
    """They understand executions as well once they have one, so that nothing else would tell."""
    endpoint = "https://pool.env.westus2.azurecontainerapps.io"
    PoolKindStore(tmp_path, endpoint).learn(PoolKind.INTERPRETER)
    (path,) = (tmp_path / "remote-kernel").iterdir()
    assert PoolKindStore(tmp_path, endpoint).kind is PoolKind.INTERPRETER
    yesterday = time.time() - 86_400 - 60
    os.utime(path, (yesterday, yesterday))
    known = PoolKindStore(tmp_path, endpoint)
    assert known.kind is PoolKind.AGENT
    known.learn(PoolKind.INTERPRETER)
    assert PoolKindStore(tmp_path, endpoint).kind is PoolKind.INTERPRETER


def test_an_agent_is_remembered_for_ever(tmp_path: Path) -> None:
    endpoint = "https://proxy.example.org/sessionPools/p"
    PoolKindStore(tmp_path, endpoint).learn(PoolKind.AGENT)
    (path,) = (tmp_path / "remote-kernel").iterdir()
    os.utime(path, (0, 0))
    assert PoolKindStore(tmp_path, endpoint).kind is PoolKind.AGENT


def test_an_address_that_names_a_pool_is_that_of_an_interpreter(tmp_path: Path) -> None:
    path = "/subscriptions/s/resourceGroups/g/sessionPools/p"
    assert PoolKindStore(tmp_path, f"https://westus2.dynamicsessions.io{path}").kind is PoolKind.INTERPRETER
    assert PoolKindStore(tmp_path, "https://pool.env.westus2.azurecontainerapps.io").kind is PoolKind.AGENT
    local = PoolKindStore(tmp_path, "")
    local.learn(PoolKind.INTERPRETER)
    assert PoolKindStore(tmp_path, "").kind is PoolKind.AGENT


async def test_an_address_without_a_pool_is_told_as_that(tmp_path: Path) -> None:
    with serve(lambda _request: (404, {}, b"<html>")) as port, pytest.raises(PoolRefused) as raised:
        await ask(f"http://127.0.0.1:{port}", "t", tmp_path)
    assert "check REMOTE_KERNEL_ENDPOINT" in str(raised.value)


FAILED = {
    "id": "1",
    "status": "Failed",
    "executionType": "Synchronous",
    "identifier": "",
    "result": {"stdout": "", "stderr": "ReferenceError: exec is not defined"},
}


@pytest.mark.parametrize(("runtime", "status"), [("Node.js", 200), ("Shell", 400)])
async def test_pools_of_other_languages_are_told_what_is_needed(tmp_path: Path, runtime: str, status: int) -> None:
    def answer(request: BaseHTTPRequestHandler) -> Answer:
        if request.path.startswith("/metadata"):
            return 200, {}, json.dumps({"runtimes": [{"name": runtime, "version": "1"}]}).encode()
        if request.path.startswith("/executions"):
            return status, {}, json.dumps(FAILED).encode()
        return 404, {}, b""

    with serve(answer) as port, pytest.raises(PoolRefused) as raised:
        await ask(f"http://127.0.0.1:{port}", "t", tmp_path)
    assert f"This session pool runs {runtime}" in str(raised.value)
    assert "PythonLTS" in str(raised.value)
