"""Ceiling, cooldown, starts and deaths, with real processes behind a real socket."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from remote_kernel.pool.history import EventKind
from remote_kernel.pool.sessions import Changes, Limits, Sessions
from remote_kernel.pool.timings import Timings
from tests.pool.running import run_pool

pytestmark = pytest.mark.anyio

STUBBORN_PROGRAM = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('{"ready": true}', flush=True)
while True:
    time.sleep(1)
"""


async def wait_until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not is_true():  # noqa: ASYNC110 - what becomes true is in other processes too
            await asyncio.sleep(0.01)


async def test_sixth_identifier_is_refused_and_the_five_go_on() -> None:
    async with run_pool(Limits(max_sessions=5)) as server:
        pods = [await server.pod_of(identifier) for identifier in "abcde"]
        answer = await server.client.get("/show", params={"identifier": "f"})
        assert answer.status_code == 429
        assert 0 < int(answer.headers["retry-after"]) <= 300
        assert answer.json()["error"]["code"] == answer.headers["x-ms-error-code"] == "TooManySessions"
        assert [await server.pod_of(identifier) for identifier in "abcde"] == pods
        assert len(set(pods)) == 5


async def test_cooldown_stops_the_pod_and_frees_its_slot() -> None:
    async with run_pool(Limits(max_sessions=1, cooldown_seconds=1)) as server:
        first = await server.pod_of("first")
        assert (await server.client.get("/show", params={"identifier": "second"})).status_code == 429
        await wait_until(lambda: not psutil.pid_exists(first))
        assert await server.pod_of("second") != first


async def test_sessions_cool_down_although_that_has_failed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A timer that is not set anew after a defect of ours would leave every later session for ever."""
    failures = [OSError()]
    expire = Sessions.expire

    def fail_once(sessions: Sessions, now: float) -> Changes:
        if failures:
            raise failures.pop()
        return expire(sessions, now)

    monkeypatch.setattr(Sessions, "expire", fail_once)
    limits, timings = Limits(max_sessions=1, cooldown_seconds=0.5), Timings(expire_again_seconds=0.1)
    async with run_pool(limits, timings=timings) as server:
        pid = await server.pod_of("first")
        await wait_until(lambda: not psutil.pid_exists(pid))
        assert not failures


async def test_open_answer_does_not_restart_the_idle_clock() -> None:
    async with run_pool(Limits(max_sessions=1, cooldown_seconds=1)) as server:
        with pytest.raises(httpx.RemoteProtocolError):
            await server.client.get("/hang", timeout=30)


async def test_first_requests_for_one_identifier_share_one_pod() -> None:
    async with run_pool(Limits(max_sessions=5)) as server:
        pods = await asyncio.gather(*(server.pod_of("same") for _ in range(20)))
        assert len(set(pods)) == 1
        assert len(server.pool.status().sessions) == 1


async def test_killed_pod_frees_its_slot() -> None:
    async with run_pool(Limits(max_sessions=1)) as server:
        pod = await server.pod_of("first")
        os.kill(pod, signal.SIGKILL)
        await wait_until(lambda: server.pool.status().sessions == [])
        assert await server.pod_of("second") != pod


async def test_ready_pod_is_the_one_that_is_taken() -> None:
    async with run_pool(Limits(max_sessions=2, ready=1)) as server:
        await wait_until(lambda: server.pool.status().ready == 1)
        await server.pod_of("first")
        await wait_until(lambda: server.pool.status().ready == 1)
        await server.pod_of("second")
        assert server.pool.status().ready == 0


async def test_client_that_stops_waiting_for_a_pod_leaves_a_session_that_expires() -> None:
    async with run_pool(Limits(max_sessions=1, cooldown_seconds=1, ready=0)) as server:
        async with httpx.AsyncClient(base_url=server.endpoint, headers=server.client.headers) as client:
            request = asyncio.create_task(client.get("/show"))
            await wait_until(lambda: len(server.pool.status().sessions) == 1)
            request.cancel()
        await wait_until(lambda: server.pool.status().sessions == [])
        other = await server.client.get("/show", params={"identifier": "another"})
        assert other.status_code == 200


@pytest.mark.parametrize("program", ["raise SystemExit(3)", "print('nothing to say')"])
async def test_pod_that_does_not_start_is_an_error_and_frees_its_slot(program: str) -> None:
    def command(socket: Path, data: Path, scratch: Path) -> Sequence[str]:
        return (sys.executable, "-c", program)

    async with run_pool(Limits(max_sessions=1), command) as server:
        for identifier in ("first", "second"):
            answer = await server.client.get("/show", params={"identifier": identifier})
            assert answer.status_code == 503
            assert answer.json()["error"]["code"] == "SessionUnavailable"
        await wait_until(lambda: server.pool.status().sessions == [])


async def test_program_that_does_not_exist_is_an_error() -> None:
    async with run_pool(Limits(max_sessions=1), lambda socket, data, scratch: ["/does/not/exist"]) as server:
        assert (await server.client.get("/show")).status_code == 503


async def test_session_stopped_while_its_pod_starts_answers() -> None:
    def command(socket: Path, data: Path, scratch: Path) -> Sequence[str]:
        return (sys.executable, "-c", "input()")  # never ready; ends with the pool

    async with run_pool(Limits(max_sessions=1, ready=0), command) as server:
        request = asyncio.create_task(server.client.get("/show", params={"identifier": "first"}))
        await wait_until(lambda: len(server.pool.status().sessions) == 1)
        assert server.pool.status().sessions[0].expires_in_seconds is None
        await server.stop_session("first")
        assert (await request).status_code == 503


SLOW_TO_LEAVE = """
import sys, time
def note(word):
    with open(sys.argv[1], 'a') as log: log.write(word)
note('begin ')
print('{"ready": true}', flush=True)
sys.stdin.read()
time.sleep(0.5)
note('end ')
"""


async def test_slot_of_a_stopped_pod_is_taken_until_the_pod_has_ended(tmp_path: Path) -> None:
    log = tmp_path / "log"

    def command(socket: Path, data: Path, scratch: Path) -> Sequence[str]:
        return (sys.executable, "-c", f"import signal; signal.signal(15, signal.SIG_IGN){SLOW_TO_LEAVE}", str(log))

    async with run_pool(Limits(max_sessions=1, ready=0), command) as server:
        for identifier in ("first", "second"):
            await server.client.get("/show", params={"identifier": identifier})  # takes it; there is no server in it
            await server.stop_session(identifier)
        await wait_until(lambda: log.read_text().count("end") == 2)
    assert log.read_text() == "begin end begin end "


async def test_pod_that_ignores_its_end_is_killed() -> None:
    def command(socket: Path, data: Path, scratch: Path) -> Sequence[str]:
        return (sys.executable, "-c", STUBBORN_PROGRAM)

    async with run_pool(Limits(max_sessions=1), command, timings=Timings(stop_grace_seconds=0.5)) as server:
        await wait_until(lambda: server.pool.status().ready == 1)
        (pod,) = filter(is_stubborn, psutil.Process().children())
    assert not pod.is_running()


def is_stubborn(process: psutil.Process) -> bool:
    """Whether this is the pod, and not one of an earlier test on its way out."""
    with suppress(psutil.Error):
        return STUBBORN_PROGRAM in process.cmdline()
    return False


async def test_stopped_pool_leaves_no_process_and_no_folder() -> None:
    async with run_pool(Limits(max_sessions=3)) as server:
        pods = [psutil.Process(await server.pod_of(identifier)) for identifier in "ab"]
        folders = [Path(pod.cwd()).parent for pod in pods]
        assert all(folder.is_dir() for folder in folders)
    assert not any(pod.is_running() for pod in pods)
    assert not any(folder.exists() for folder in folders)


async def test_pod_sees_nothing_of_the_pool_but_the_cooldown() -> None:
    async with run_pool(Limits(max_sessions=1, cooldown_seconds=42)) as server:
        environ = (await server.client.get("/show")).json()["environ"]
        assert environ["REMOTE_KERNEL_POD_COOLDOWN_SECONDS"] == "42"
        assert set(environ) <= {"PATH", "REMOTE_KERNEL_POD_COOLDOWN_SECONDS", "TMPDIR", "LC_CTYPE"}


async def test_history_tells_how_sessions_begin_and_end() -> None:
    async with run_pool(Limits(max_sessions=2, ready=0)) as server:
        killed = await server.pod_of("first")
        await server.pod_of("second")
        first, second = (session.label for session in server.pool.status().sessions)
        assert (await server.client.get("/show", params={"identifier": "third"})).status_code == 429
        os.kill(killed, signal.SIGKILL)
        await wait_until(lambda: len(server.pool.status().sessions) == 1)
        await server.stop_session("second")
        happened = [(event.kind, event.label) for event in reversed(server.pool.history.events(0))]
        counts = [sample.sessions for sample in server.pool.history.samples(0)]
    assert happened == [
        (EventKind.ALLOCATED, first),
        (EventKind.ALLOCATED, second),
        (EventKind.REFUSED, ""),
        (EventKind.ENDED, first),
        (EventKind.STOPPED, second),
    ]
    assert counts == [0, 1, 2, 1, 0]


async def test_history_tells_of_cooldowns_and_of_pods_that_do_not_start() -> None:
    async with run_pool(Limits(max_sessions=1, cooldown_seconds=0.2, ready=0)) as server:
        await server.pod_of("first")
        await wait_until(lambda: server.pool.status().sessions == [])
        assert server.pool.history.events(0)[0].kind is EventKind.COOLED_DOWN
    async with run_pool(Limits(max_sessions=1, ready=0), lambda *_: ["/does/not/exist"]) as server:
        await server.client.get("/show")
        (failed, allocated) = server.pool.history.events(0)
    assert (failed.kind, allocated.kind) == (EventKind.FAILED, EventKind.ALLOCATED)
    assert failed.label == allocated.label != ""
