"""Requests that pass a pool on this machine by, and what the pool still knows and decides."""

import asyncio
import os
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from remote_kernel.client.access import ConfiguredAccess, Endpoint, choose_access
from remote_kernel.client.http.pool_client import PoolClient
from remote_kernel.core.errors import PoolFull, PoolUnreachable, Unauthorized
from remote_kernel.core.identity import Identifier
from remote_kernel.core.pools.local_pool import SOCKET_PATH
from remote_kernel.core.settings import Settings
from remote_kernel.core.wire.frames import LOOK_PARAM, SESSION_PATH
from remote_kernel.pool.processes.pods import ACTIVITY_FILE
from tests.client.hostile import hostile, say
from tests.driver import TIMEOUT_SECONDS, Notebook, Pool, wait_until

pytestmark = pytest.mark.anyio

Start = Callable[..., Notebook]

DIRECT = {"REMOTE_KERNEL_DIRECT": "1"}


@pytest.fixture
async def client(pool: Pool) -> AsyncIterator[PoolClient]:
    client = PoolClient(ConfiguredAccess(pool.endpoint, pool.token, is_direct=True), Identifier("direct"))
    yield client
    await client.aclose()


async def pod_of(client: PoolClient) -> str:
    """Return the name of the pod, asked for again where a connection breaks to one that is just ending."""
    try:
        return str((await client.request("GET", SESSION_PATH))["pod"])
    except PoolUnreachable:
        return str((await client.request("GET", SESSION_PATH))["pod"])


async def test_the_pool_counts_calls_that_it_has_not_seen_and_not_those_who_only_look() -> None:
    with Pool.start("--max-sessions", "1") as pool:
        direct = PoolClient(ConfiguredAccess(pool.endpoint, pool.token, is_direct=True), Identifier("counted"))
        try:
            for _ in range(5):
                await direct.request("GET", SESSION_PATH)
            assert pool.sessions()[0]["calls"] == 5
            for _ in range(5):
                await direct.request("GET", SESSION_PATH, params={LOOK_PARAM: "1"})
            assert pool.sessions()[0]["calls"] == 5
        finally:
            await direct.aclose()


@pytest.mark.slow
async def test_a_session_is_kept_while_calls_pass_the_pool_by_and_no_longer() -> None:
    with Pool.start("--max-sessions", "1", "--cooldown", "1") as pool:
        direct = PoolClient(ConfiguredAccess(pool.endpoint, pool.token, is_direct=True), Identifier("kept"))
        other = PoolClient(ConfiguredAccess(pool.endpoint, pool.token), Identifier("other"))
        try:
            pods = set()
            began = time.monotonic()
            while time.monotonic() - began < 2.5:
                pods.add(await pod_of(direct))
                with pytest.raises(PoolFull):  # whoever asks for a place does not take one that is in use
                    await other.request("GET", SESSION_PATH)
            assert len(pods) == 1
            wait_until(lambda: pool.sessions() == [])
            assert await pod_of(direct) not in pods
        finally:
            await direct.aclose()
            await other.aclose()


async def test_who_finds_nobody_at_the_socket_is_led_to_the_new_pod(client: PoolClient, pool: Pool) -> None:
    first = await pod_of(client)
    pool.stop_session("direct")
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while (second := await pod_of(client)) == first:
            """It has not heard of its end so far."""
    assert await pod_of(client) == second


@pytest.mark.parametrize("options", [("--request-cap", "60"), ("--flavor", "interpreter")])
async def test_a_pool_that_does_something_to_requests_gets_them_all(options: tuple[str, ...]) -> None:
    with Pool.start("--max-sessions", "1", *options) as pool, pool.client() as http:
        answer = http.get("/.local/socket", params={"identifier": "a-name"})
        assert (answer.status_code, pool.sessions()) == (404, [])
        client = PoolClient(ConfiguredAccess(pool.endpoint, pool.token, is_direct=True), Identifier("a-name"))
        try:
            if "--request-cap" in options:
                await client.request("GET", SESSION_PATH)
                await client.request("GET", SESSION_PATH)
                assert pool.sessions()[0]["calls"] == 2
        finally:
            await client.aclose()


async def test_what_the_pool_refuses_is_told_as_ever(pool: Pool) -> None:
    client = PoolClient(ConfiguredAccess(pool.endpoint, "wrong", is_direct=True), Identifier("refused"))
    try:
        with pytest.raises(Unauthorized):
            await client.request("GET", SESSION_PATH)
    finally:
        await client.aclose()


@pytest.mark.parametrize(("name", "mode"), [("rk-pod-1/s", 0o755), ("rk-pod-1/s", 0o770), ("agent/S.ssh", 0o700)])
async def test_no_socket_is_used_where_others_may_put_one(name: str, mode: int) -> None:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        path = os.path.join(folder, name)  # noqa: PTH118 - not in a thread
        os.mkdir(os.path.dirname(path))  # noqa: PTH102, PTH120
        os.chmod(os.path.dirname(path), mode)  # noqa: PTH101, PTH120
        listener.bind(path)
        listener.listen()
        async with hostile(lambda _asked: say({"socket": path})) as pool:
            client = PoolClient(ConfiguredAccess(pool.endpoint, "t", is_direct=True), Identifier("wary"))
            try:
                await client.request("GET", SESSION_PATH)
                await client.request("GET", SESSION_PATH)
            finally:
                await client.aclose()
    assert [asked.path for asked in pool.asked] == [SOCKET_PATH, SESSION_PATH, SESSION_PATH]


async def test_who_goes_past_the_pool() -> None:
    here = {"REMOTE_KERNEL_ENDPOINT": "http://127.0.0.1:1", "REMOTE_KERNEL_TOKEN": "t"}
    there = {"REMOTE_KERNEL_ENDPOINT": "https://pool.example", "REMOTE_KERNEL_TOKEN": "t"}
    for environ, expected in [
        (here, False),
        (here | DIRECT, True),
        (here | {"REMOTE_KERNEL_DIRECT": "0"}, False),
        (there | DIRECT, False),
    ]:
        endpoint: Endpoint = await choose_access(Settings.from_environ(environ), environ).endpoint()
        assert endpoint.is_direct is expected


def test_a_kernel_whose_cells_pass_the_pool_by_hears_of_a_lost_session(start_notebook: Start, pool: Pool) -> None:
    notebook = start_notebook(**DIRECT, REMOTE_KERNEL_IDENTIFIER="past-the-pool")
    assert notebook.run("a = 1; a").result == "1"
    pool.stop_session("past-the-pool")
    assert notebook.run("a").reply["ename"] == "SessionLost"
    assert notebook.run("'a' in globals()").result == "False"


async def test_what_a_cell_does_to_the_pod_s_folder_hides_no_call_and_stops_nobody() -> None:
    with Pool.start("--max-sessions", "1", "--cooldown", "1") as pool:
        direct = PoolClient(ConfiguredAccess(pool.endpoint, pool.token, is_direct=True), Identifier("kept"))
        try:
            first = await pod_of(direct)
            file = Path(psutil.Process(pool.sessions()[0]["pid"]).cwd()).parent / ACTIVITY_FILE
            file.unlink()
            os.mkfifo(file)
            began = time.monotonic()
            while time.monotonic() - began < 2:
                assert await pod_of(direct) == first
            wait_until(lambda: pool.sessions() == [])
        finally:
            await direct.aclose()
