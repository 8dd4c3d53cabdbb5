"""A pool in the test's own event loop, on a real socket, with real processes as pods."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from remote_kernel.core.interpreter_api.versions import ApiVersion
from remote_kernel.core.pools.flavor import Flavor
from remote_kernel.core.wire.frames import STOP_SESSION_PATH
from remote_kernel.io.http1.listening import open_listener
from remote_kernel.pool.options import MAX_CONNECTIONS, Options
from remote_kernel.pool.processes.pods import PodCommand
from remote_kernel.pool.server import endpoint_of, serve
from remote_kernel.pool.session_pool import SessionPool
from remote_kernel.pool.sessions import Limits
from remote_kernel.pool.timings import DEFAULT_TIMINGS, Timings

TOKEN = "a-token"
STAND_IN = Path(__file__).with_name("stand_in_pod.py")


def stand_in(socket: Path, data: Path, scratch: Path) -> Sequence[str]:
    return (sys.executable, str(STAND_IN), str(socket))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningServer:
    endpoint: str
    pool: SessionPool
    client: httpx.AsyncClient

    async def stop_session(self, identifier: str) -> httpx.Response:
        """Ask for the end of a session, and return the answer."""
        params = {"api-version": ApiVersion.V2025_10_02, "identifier": identifier}
        return await self.client.post(STOP_SESSION_PATH, params=params)

    async def pod_of(self, identifier: str) -> int:
        """Call once, and return the process id of the pod that answered."""
        answer = await self.client.get("/show", params={"identifier": identifier})
        pid: int = answer.raise_for_status().json()["pid"]
        return pid


@contextlib.asynccontextmanager
async def run_pool(
    limits: Limits,
    command: PodCommand = stand_in,
    *,
    request_cap: float | None = None,
    issuer: str = "",
    executors: frozenset[str] = frozenset(),
    flavor: Flavor = Flavor.CUSTOM,
    max_connections: int = MAX_CONNECTIONS,
    timings: Timings = DEFAULT_TIMINGS,
) -> AsyncIterator[RunningServer]:
    listener = open_listener("127.0.0.1", 0)
    options = Options(
        host="127.0.0.1", port=0, limits=limits, prints_json=True, is_daemon=False, idle_exit_seconds=60,
        request_cap=request_cap, issuer=issuer, executors=executors, flavor=flavor, max_connections=max_connections,
        timings=timings,
    )  # fmt: skip
    pool = SessionPool(limits, {"PATH": os.environ["PATH"]}, command, timings=timings)
    ready = asyncio.Event()
    endpoint = endpoint_of(listener)
    serving = asyncio.create_task(serve(options, listener, TOKEN, lambda: pool, ready.set))
    await ready.wait()
    headers = {"authorization": f"Bearer {TOKEN}"}
    try:
        async with httpx.AsyncClient(base_url=endpoint, headers=headers, timeout=30) as client:
            yield RunningServer(endpoint=endpoint, pool=pool, client=client)
    finally:
        async with httpx.AsyncClient() as client:
            await client.post(endpoint + "/.local/stop", headers=headers)
        assert await serving == 0
