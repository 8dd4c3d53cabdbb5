"""A pool that may have few files open: it serves fewer at a time, and throws away nothing that is well."""

import asyncio
import contextlib
import os
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from remote_kernel.io.http1 import Client, NoConnection
from remote_kernel.pool.options import MAX_CONNECTIONS
from remote_kernel.pool.server import connection_limit
from remote_kernel.pool.sessions import Limits
from tests.driver import Pool, few_files, run_in_pod, stdout_of
from tests.pool.running import RunningServer, run_pool

pytestmark = pytest.mark.anyio

HARD_LIMIT = 128


def test_idle_connections_cost_no_session() -> None:
    with Pool.start(prefix=few_files(HARD_LIMIT)) as pool, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(pool.client()) for _ in range(4)]
        stdout_of(run_in_pod(clients[0], "value = 42", identifier="a-session"))
        for client in clients:
            client.get("/.local/status")  # so that each has a connection, and none to the pod
        (before,) = pool.sessions()
        parts = urlsplit(pool.endpoint)
        for _ in range(150):
            stack.enter_context(socket.create_connection((parts.hostname, parts.port)))
        with pool.client() as another, contextlib.suppress(httpx.TimeoutException):
            another.get("/.local/status", timeout=2)  # those before it have been accepted, as far as they are

        def call(client: httpx.Client) -> str:
            code = "import time; time.sleep(0.2); print(value, end='')"
            return stdout_of(run_in_pod(client, code, identifier="a-session"))

        with ThreadPoolExecutor() as threads:
            assert list(threads.map(call, clients)) == ["42"] * 4
        with pool.client() as another:
            assert call(another) == "42"
        assert [session["pid"] for session in pool.sessions()] == [before["pid"]]


@contextlib.contextmanager
def no_more_files() -> Iterator[None]:
    """Let this process, and so the pool in it, open nothing more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(path.name) for path in Path("/dev/fd").iterdir())
    holes = []
    with contextlib.suppress(OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
        while True:
            holes.append(os.open(os.devnull, os.O_RDONLY))
    try:
        yield
    finally:
        for hole in holes:
            os.close(hole)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
async def server() -> AsyncIterator[RunningServer]:
    async with run_pool(Limits(max_sessions=2, ready=0)) as running:
        yield running


async def test_pod_that_cannot_be_reached_for_want_of_descriptors_is_kept(server: RunningServer) -> None:
    pod = await server.pod_of("a-session")
    (to_pod,) = server.pool.transports().values()
    to_pod.drop_idle()
    await asyncio.sleep(0)  # the connection is closed in the loop's next turn
    with no_more_files():
        answer = await server.client.get("/show", params={"identifier": "a-session"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["error"] == {
        "code": "SessionUnavailable",
        "message": "The session's pod cannot be reached at the moment; nothing was run: Too many open files.",
    }
    assert await server.pod_of("a-session") == pod


async def test_pod_that_cannot_be_started_for_want_of_descriptors_is_refused_with_the_reason(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    await server.client.get("/.local/status")
    with no_more_files():
        answer = await server.client.get("/show", params={"identifier": "a-session"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "nothing was run: its process cannot be started: Too many open files" in answer.json()["error"]["message"]
    assert not os.listdir(tmp_path)  # noqa: PTH208 - at once, in an async function
    assert await server.pod_of("a-session")


async def test_server_where_too_many_wait_is_not_taken_for_gone(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(path)
        listener.listen(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
                waiting.setblocking(False)
                waiting.connect(path)
        with pytest.raises(NoConnection) as busy:
            await Client.unix(path, keepalive_seconds=1).send(b"GET", b"/", [(b"host", b"pod")])
        assert not busy.value.is_absent
    with pytest.raises(NoConnection) as gone:
        await Client.unix(path, keepalive_seconds=1).send(b"GET", b"/", [(b"host", b"pod")])
    assert gone.value.is_absent


@pytest.mark.parametrize(
    ("files", "pods", "connections"),
    [(128, 6, 22), (1024, 6, 470), (8192, 6, MAX_CONNECTIONS), (8192, 601, MAX_CONNECTIONS), (16, 6, 4)],
)
def test_no_more_connections_than_there_are_descriptors_for(files: int, pods: int, connections: int) -> None:
    assert connection_limit(files, pods, MAX_CONNECTIONS) == connections
