"""What is sent to a program of another user that has the port of the local pool: a challenge, and nothing else."""

import asyncio
import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from remote_kernel.client.access import LocalAccess
from remote_kernel.client.http.pool_client import PoolClient
from remote_kernel.client.http.transport import Timings
from remote_kernel.client.local_pool import LocalPool
from remote_kernel.core.errors import PoolError
from remote_kernel.core.identity import Identifier
from remote_kernel.core.pools.front_door import LIST_MANAGED_PATH
from remote_kernel.core.pools.local_pool import PAGE_LINK_PATH, RunningPool
from remote_kernel.core.pools.pool_proof import PROOF_PATH, is_proof
from remote_kernel.io.http1 import proves
from remote_kernel.io.local_pools import folder_of, make_folder, this_environment
from remote_kernel.pool.daemon.registration import Registration
from remote_kernel.pool.sessions import Limits
from tests.client.stranger import Answer, Stranger, answer, say
from tests.driver import Notebook, is_alive, wait_until
from tests.pool.running import TOKEN, run_pool

pytestmark = pytest.mark.anyio

OPTIONS = ("--ready", "0")
SECRET = "the-token-of-a-pool-that-is-gone"

# Each is what somebody may answer who wants to be taken for the pool.
POOLS = json.dumps({"sessions": [], "max_sessions": 5, "ready": 1, "cooldown_seconds": 300, "path": "/x"}).encode()
STRANGERS: dict[str, Answer] = {
    "says what a pool says": say(answer(POOLS)),
    "sends the challenge back": lambda said: answer(said[said.index(b"=") + 1 :][:64]) if b"\r\n\r\n" in said else b"",
    "refuses": say(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n"),
    "is busy": say(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"),
    "speaks another protocol": say(b"220 mail.example ESMTP\r\n"),
    "never ends": say(b"HTTP/1.1 200 OK\r\n\r\n" + b"a" * (8 << 20)),
    "has endless headers": say(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * (2 << 20)),
}


@pytest.fixture(autouse=True)
def no_daemon_left(private_folders: Path) -> Iterator[None]:
    yield
    asyncio.run(LocalPool().stop())


# Those that say nothing are found out sooner.
IMPATIENT = Timings(proof_seconds=0.5)


def runtime_file() -> Path:
    """Return the file by which this environment's kernels find their pool."""
    return folder_of(this_environment().name) / "pool.json"


def leave_behind(pool: RunningPool) -> None:
    make_folder(runtime_file().parent)
    runtime_file().write_text(pool.to_json())


def requests_in(received: bytes) -> set[str]:
    """Return what was asked for, without the challenges."""
    return {
        re.sub(r"challenge=[0-9a-f]{64}$", "challenge=…", line.rpartition(" ")[0])
        for line in received.decode("latin-1").splitlines()
        if re.search(r" HTTP/1\.1$", line)
    }


@pytest.mark.parametrize("does", STRANGERS.values(), ids=STRANGERS)
async def test_stranger_on_the_pools_old_port_is_sent_a_challenge_and_nothing_else(does: Answer) -> None:
    with Stranger(does) as stranger:
        leave_behind(RunningPool(endpoint=stranger.endpoint, token=SECRET, pid=os.getpid()))
        pool_here = LocalPool(timings=IMPATIENT)
        assert await pool_here.find() is None
        assert await pool_here.status() is None
        assert await pool_here.make_page_link() is None
        assert not await pool_here.stop()
        assert await asyncio.to_thread(Registration(runtime_file().parent).find_live_pool) is None
        pool = await pool_here.locate(os.environ, OPTIONS)
    assert pool.endpoint != stranger.endpoint
    only_challenged(stranger)


async def test_stranger_who_says_nothing_is_given_up() -> None:
    with Stranger(lambda said: b"") as stranger:
        leave_behind(RunningPool(endpoint=stranger.endpoint, token=SECRET, pid=os.getpid()))
        assert await LocalPool(timings=IMPATIENT).find() is None
        assert await LocalPool(timings=IMPATIENT).make_page_link() is None
    only_challenged(stranger)


def only_challenged(stranger: Stranger) -> None:
    assert requests_in(stranger.received) == {f"GET {PROOF_PATH}?challenge=…"}
    assert SECRET.encode() not in stranger.received
    assert b"authorization" not in stranger.received.lower()


async def test_client_that_knew_the_pool_sends_a_stranger_on_its_port_nothing() -> None:
    client = PoolClient(
        LocalAccess(LocalPool(), os.environ), Identifier("a-secret-name"), connects_ahead=True, timings=IMPATIENT
    )
    try:
        await client.request("POST", LIST_MANAGED_PATH)
        known = await LocalPool().find()
        assert known is not None
        os.kill(known.pid, signal.SIGKILL)
        await asyncio.to_thread(wait_until, lambda: not psutil.pid_exists(known.pid))
        with Stranger(say(answer(POOLS)), known.address[1]) as stranger:
            for _ in range(3):  # on connections that were kept, then on new ones
                try:
                    await client.request("POST", "/code", content=b"import secrets_of_mine", media_type="text/plain")
                except PoolError:
                    continue
            await client.request("POST", LIST_MANAGED_PATH)
        for secret in (known.token, "a-secret-name", "secrets_of_mine", "listSessions"):
            assert secret.encode() not in stranger.received
        now = await LocalPool().find()
        assert now is not None
        assert now.endpoint != known.endpoint
    finally:
        await client.aclose()


def test_cell_of_a_kernel_whose_pools_port_was_taken_is_not_told_to_a_stranger_and_a_new_pool_is_started() -> None:
    with Notebook.start() as notebook:
        notebook.run("a = 1")
        known = asyncio.run(LocalPool().find())
        assert known is not None
        os.kill(notebook.pid, signal.SIGSTOP)  # so that it does not look for another pool before the port is taken
        os.kill(known.pid, signal.SIGKILL)
        wait_until(lambda: not is_alive(known.pid))
        with Stranger(say(answer(POOLS)), known.address[1]) as stranger:
            os.kill(notebook.pid, signal.SIGCONT)
            lost = notebook.run("secrets_of_mine = 42")
            assert lost.reply["ename"] == "SessionLost"
            assert notebook.run("'a' in globals(), 'secrets_of_mine' in globals()").result == "(False, False)"
            assert stranger.has_come.is_set()
        assert requests_in(stranger.received) == {f"GET {PROOF_PATH}?challenge=…"}
        for secret in (known.token, "identifier", "nb-", "secrets_of_mine"):
            assert secret.encode() not in stranger.received


async def test_stranger_who_passes_the_challenge_on_to_the_pool_proves_nothing() -> None:
    async with run_pool(Limits(max_sessions=1, ready=0)) as running:
        port = urlsplit(running.endpoint).port
        assert port is not None

        def pass_on(said: bytes) -> bytes:
            with socket.create_connection(("127.0.0.1", port)) as pool:
                pool.sendall(said.replace(str(stranger.port).encode(), str(port).encode()))
                return pool.recv(65536)

        with Stranger(pass_on) as stranger:
            assert not await proves("127.0.0.1", stranger.port, TOKEN)
            assert requests_in(stranger.received) == {f"GET {PROOF_PATH}?challenge=…"}
        assert await proves("127.0.0.1", port, TOKEN)
        assert not await proves("127.0.0.1", port, "another-token")


async def test_pool_proves_itself_without_a_token_and_tells_nothing_besides() -> None:
    async with run_pool(Limits(max_sessions=1, ready=0)) as running, httpx.AsyncClient() as nobody:
        address = urlsplit(running.endpoint).hostname or "", urlsplit(running.endpoint).port or 0
        challenge = "ab" * 32
        url = f"{running.endpoint}{PROOF_PATH}"
        good = await nobody.get(url, params={"challenge": challenge})
        assert is_proof(good.text, TOKEN, challenge, address)
        for wrong in ("", "ab", "AB" * 32, "ab" * 33, "session", "xy" * 32):
            assert (await nobody.get(url, params={"challenge": wrong})).status_code == 400
        assert (await nobody.get(url)).status_code == 400
        assert (await nobody.post(url, params={"challenge": challenge})).status_code == 405
        other = await nobody.get(url, params={"challenge": challenge}, headers={"host": "evil.example"})
        assert (other.status_code, TOKEN in other.text) == (403, False)
        assert (await nobody.get(f"{running.endpoint}/.local/status")).status_code == 401
        assert (await nobody.post(running.endpoint + PAGE_LINK_PATH)).status_code == 401
