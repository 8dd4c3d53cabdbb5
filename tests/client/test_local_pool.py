"""Finding, starting and stopping the user's local pool: real daemons, in a private runtime folder."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from remote_kernel.client.local_pool import LocalPool
from remote_kernel.core.errors import PoolUnreachable
from remote_kernel.core.pools.local_pool import RunningPool
from remote_kernel.io.local_pools import folder_of, make_folder, read_pool, this_environment
from tests.driver import Pool

pytestmark = pytest.mark.anyio

OPTIONS = ("--ready", "0")

LOCATE = """
import asyncio
import os
from remote_kernel.client.local_pool import LocalPool
print(asyncio.run(LocalPool().locate(os.environ, ("--ready", "0"))).pid)
"""


@pytest.fixture(autouse=True)
def no_daemon_left(private_folders: Path) -> Iterator[None]:
    yield
    asyncio.run(LocalPool().stop())


def folder() -> Path:
    return folder_of(this_environment().name)


def log() -> Path:
    return Path(os.environ["JUPYTER_RUNTIME_DIR"]) / "remote-kernel" / "logs" / "pool.log"


def read_registered() -> RunningPool | None:
    return read_pool(folder())


async def wait_until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not is_true():  # noqa: ASYNC110 - no event comes from another process
            await asyncio.sleep(0.01)


async def test_pool_is_started_once_and_found_again() -> None:
    pool = await LocalPool().locate(os.environ, OPTIONS)
    assert await LocalPool().locate(os.environ, OPTIONS) == pool
    assert await LocalPool().find() == pool


async def locate_in_a_process() -> int:
    command = (sys.executable, "-c", LOCATE)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    return int(output)


async def test_ten_kernels_at_once_start_one_pool() -> None:
    assert len(set(await asyncio.gather(*(locate_in_a_process() for _ in range(10))))) == 1


async def test_daemon_has_no_parent_no_terminal_and_none_of_our_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "secret")
    monkeypatch.setenv("REMOTE_KERNEL_TOKEN", "secret")
    pool = await LocalPool().locate(os.environ, OPTIONS)
    daemon = psutil.Process(pool.pid)
    assert daemon.ppid() != os.getpid()
    assert daemon.terminal() is None
    assert daemon.cwd() == "/"
    assert os.getsid(pool.pid) == pool.pid
    assert "secret" not in daemon.environ().values()


async def test_log_and_runtime_file_are_private() -> None:
    await LocalPool().locate(os.environ, OPTIONS)
    assert stat.S_IMODE(folder().stat().st_mode) == 0o700
    for path in (folder() / "pool.json", log(), folder() / "pool.lock"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_pool_that_was_killed_is_not_found_and_replaced() -> None:
    first = await LocalPool().locate(os.environ, OPTIONS)
    os.kill(first.pid, signal.SIGKILL)
    await wait_until(lambda: not psutil.pid_exists(first.pid))
    assert await LocalPool().find() is None
    assert (await LocalPool().locate(os.environ, OPTIONS)).pid != first.pid


@pytest.mark.parametrize("text", ["", "not JSON", "{}", '{"endpoint": "file:///", "token": "t", "pid": 1}', "\xff\xfe"])
async def test_unreadable_runtime_file_is_replaced(text: str) -> None:
    make_folder(folder())
    (folder() / "pool.json").write_text(text, encoding="latin-1")
    assert await LocalPool().find() is None
    pool = await LocalPool().locate(os.environ, OPTIONS)
    assert read_registered() == pool


async def test_other_program_on_the_pools_old_port_is_not_taken_for_it() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")
        await writer.drain()
        writer.close()

    make_folder(folder())
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        stale = RunningPool(endpoint=f"http://127.0.0.1:{port}", token="old", pid=os.getpid())
        (folder() / "pool.json").write_text(stale.to_json())
        assert await LocalPool().find() is None
        assert not await LocalPool().stop()


async def test_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{unused.getsockname()[1]}")
        pool = await LocalPool().locate(os.environ, OPTIONS)
        assert await LocalPool().find() == pool


async def test_pool_in_a_terminal_is_found() -> None:
    with Pool.start() as running:
        pool = await LocalPool().locate(os.environ, OPTIONS)
        assert (pool.endpoint, pool.token, pool.pid) == (running.endpoint, running.token, running.process.pid)


async def test_status_says_where_and_what() -> None:
    pool = await LocalPool().locate(os.environ, OPTIONS)
    status = await LocalPool().status()
    assert status is not None
    assert status | json.loads(pool.to_json()) == status
    assert status["sessions"] == []


async def test_without_a_pool_there_is_nothing_to_show_or_stop() -> None:
    assert await LocalPool().status() is None
    assert not await LocalPool().stop()


async def test_stop_returns_when_the_pool_is_gone() -> None:
    pool = await LocalPool().locate(os.environ)
    assert await LocalPool().stop()
    assert read_registered() is None
    await wait_until(lambda: not psutil.pid_exists(pool.pid))


async def test_unused_pool_leaves() -> None:
    pool = await LocalPool().locate(os.environ, (*OPTIONS, "--idle-exit", "1"))
    await wait_until(lambda: not psutil.pid_exists(pool.pid))
    assert read_registered() is None


async def test_daemon_that_cannot_start_is_one_sentence_that_names_the_log() -> None:
    with pytest.raises(PoolUnreachable, match=r"pool\.log"):
        await LocalPool().locate(os.environ, ("--host", "no-such-host.invalid"))
    assert "no-such-host.invalid" in log().read_text()


async def test_a_daemon_leaves_the_pool_that_runs_already_in_its_place() -> None:
    pool = await LocalPool().locate(os.environ, OPTIONS)
    command = [sys.executable, "-m", "remote_kernel.pool", "--daemon", *OPTIONS]
    second = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
    assert (second.returncode, second.stdout) == (1, "")
    assert second.stderr.startswith(
        "A pool of this environment is running already: 'remote-kernel pool status' shows it"
    )
    assert read_registered() == pool
    assert daemons() == {pool.pid}


async def test_runtime_folder_that_cannot_be_made_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", "/dev/null/runtime")
    with pytest.raises(PoolUnreachable, match="cannot be started"):
        await LocalPool().locate(os.environ, OPTIONS)


@pytest.mark.parametrize("file", ["pool.lock", "pool.log"])
async def test_interrupted_start_leaves_one_pool_or_none(file: str) -> None:
    """The log is what the daemon makes just before it gets free of the process that started it."""
    starting = asyncio.create_task(LocalPool().locate(os.environ, OPTIONS))
    await wait_until(lambda: (log().with_name(file) if file == log().name else folder() / file).exists())
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    pool = await LocalPool().locate(os.environ, OPTIONS)
    assert daemons() == {pool.pid}


def daemons() -> set[int]:
    """Return the daemons of this test's runtime folder."""
    found = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            is_ours = process.environ().get("JUPYTER_RUNTIME_DIR") == os.environ["JUPYTER_RUNTIME_DIR"]
            if is_ours and "--daemon" in process.cmdline():
                found.add(process.pid)
    return found
