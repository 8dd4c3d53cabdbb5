"""The session of one kernel, in this process, with a real pool."""

import asyncio
import os
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from remote_kernel.client.http.pool_client import PoolClient
from remote_kernel.client.link.events import Event, Failed, Waiting
from remote_kernel.core.errors import SessionLost
from remote_kernel.core.wire.frames import SESSION_PATH
from remote_kernel.kernel.folders import Folders
from remote_kernel.kernel.identity.notebook_path import Hints
from remote_kernel.kernel.requests.request import Interrupted
from remote_kernel.kernel.session.releases import Releases
from remote_kernel.kernel.session.session import Session
from tests.client.front_end import FrontEnd, execute, run
from tests.driver import TIMEOUT_SECONDS, Pool, free_ports, run_in_pod, wait_until
from tests.faults.proxy import FaultProxy, Plan

pytestmark = pytest.mark.anyio


def make_session(endpoint: str, token: str, identifier: str, folder: Path) -> Session:
    settings = {"ENDPOINT": endpoint, "TOKEN": token, "IDENTIFIER": identifier}
    environ = {**os.environ, **{f"REMOTE_KERNEL_{name}": value for name, value in settings.items()}}
    return Session(
        environ, Folders.of_user(), connection_file=folder / "c.json", connection_key=b"", parent=os.getppid()
    )


async def test_giving_back_that_is_interrupted_does_not_say_that_nothing_has_happened(
    pool: Pool, tmp_path: Path
) -> None:
    with FaultProxy.before(pool.endpoint) as proxy, pool.client() as client:
        session = make_session(proxy.endpoint, pool.token, "interrupted", tmp_path)
        front_end = FrontEnd()
        try:
            link = await session.open(front_end.take, Hints())
            await run(link, front_end, "a = 42")
            assert session.pool is not None
            session.pool.drop_idle()
            proxy.plan = lambda _number: Plan(cut_down_after=0, stall_seconds=600)  # no answer of the pool's arrives
            letting_go = asyncio.create_task(session.let_go())
            asked = {"identifier": "interrupted"}
            await asyncio.to_thread(
                wait_until, lambda: not client.get(SESSION_PATH, params=asked).json()["kernels"]
            )  # the pod has done it
            letting_go.cancel()
            with pytest.raises(Interrupted, match="finds the session as it was, or says that it is gone"):
                await letting_go
            proxy.plan = lambda _number: Plan()
            proxy.cut()
            link.send(execute("print('a' in globals())"))
            await front_end.wait(lambda: front_end.errors)
            await run(link, front_end, "print('again')")
        finally:
            await session.detach()
    assert [type(error) for error in front_end.errors] == [SessionLost]
    assert front_end.printed() == "again\n"


async def test_a_session_that_was_asked_for_and_has_not_answered_yet_is_given_back(pool: Pool, tmp_path: Path) -> None:
    with FaultProxy.before(pool.endpoint) as proxy:
        session = make_session(proxy.endpoint, pool.token, "not-heard-of", tmp_path)
        proxy.plan = lambda number: Plan(cut_down_after=0, stall_seconds=600) if number == 0 else Plan()
        before = len(pool.sessions())
        link = await session.open(FrontEnd().take, Hints())
        link.send(execute("1"))
        # A pod that is still starting is not waited for at a shutdown; the next kernel gives it back.
        await asyncio.to_thread(wait_until, lambda: len([each for each in pool.sessions() if each["pid"]]) > before)
        await session.release()
    assert len(pool.sessions()) == before


@pytest.mark.parametrize("is_used", [False, True])
async def test_the_session_that_was_found_instead_of_one_that_is_gone_is_given_back_unless_somebody_uses_it(
    pool: Pool, tmp_path: Path, is_used: bool
) -> None:
    name = f"found-instead-{is_used}"
    with FaultProxy.before(pool.endpoint) as proxy, pool.client() as client:
        session, front_end = make_session(proxy.endpoint, pool.token, name, tmp_path), FrontEnd()
        before = len(pool.sessions())
        await run(await session.open(front_end.take, Hints()), front_end, "a = 42")
        proxy.refuse(True)  # so that nothing is heard of the end
        pool.stop_session(name)
        if is_used:
            run_in_pod(client, "b = 1", identifier=name)
        proxy.refuse(False)
        await front_end.wait(lambda: front_end.errors)
        assert len(pool.sessions()) == before + 1
        await session.release()
        assert len(pool.sessions()) == before + is_used


async def test_a_pool_that_was_never_reached_is_not_asked_to_take_anything_back(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    session, front_end = make_session(f"http://127.0.0.1:{port}", "token", "never-reached", tmp_path), FrontEnd()
    (await session.open(front_end.take, Hints())).send(execute("1"))
    await front_end.wait(lambda: front_end.waits)
    await session.release()
    assert not Releases(Folders.of_user().runtime).any()


async def test_a_session_at_rest_that_another_notebook_keeps_warm_is_ended_by_a_reset(
    pool: Pool, tmp_path: Path
) -> None:
    session, front_end = make_session(pool.endpoint, pool.token, "at-rest", tmp_path), FrontEnd()
    try:
        link = await session.open(front_end.take, Hints())
        await run(link, front_end, "a = 42")
        await session.pause()
        with pool.client() as client:
            run_in_pod(client, "b = 1", kernel="other", identifier="at-rest")
        link.keep_alive.cooldown_seconds = -1.0  # as far as this kernel knows
        assert (await session.let_go()).kernels == 1
        await run(link, front_end, "print('a' in globals())")
    finally:
        await session.detach()
    assert front_end.errors == []
    assert front_end.printed() == "False\n"


async def test_connections_of_a_link_that_a_defect_has_ended_are_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No part of the pool's client tells that it is closed."""
    opened: list[PoolClient] = []
    closed: list[PoolClient] = []

    class Watched(PoolClient):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            opened.append(self)

        async def aclose(self) -> None:
            await super().aclose()
            closed.append(self)

    monkeypatch.setattr("remote_kernel.kernel.session.session.PoolClient", Watched)
    (port,) = free_ports(1)
    session, failed = make_session(f"http://127.0.0.1:{port}", "token", "ended", tmp_path), asyncio.Event()

    async def take(event: Event) -> None:
        if isinstance(event, Waiting):
            raise ZeroDivisionError
        if isinstance(event, Failed):
            failed.set()

    (await session.open(take, Hints())).send(execute("1"))
    async with asyncio.timeout(TIMEOUT_SECONDS):
        await failed.wait()
    closed.clear()  # it closes what it has before it makes connections
    await session.open(take, Hints())
    assert closed == opened[:1]
    await session.release()
    assert closed == opened


@pytest.mark.parametrize("sandbox", ["none", "strict"])  # with an agent brought along, and without one
async def test_a_built_in_interpreter_is_given_back_by_the_last_of_those_who_use_it(
    tmp_path: Path, sandbox: str
) -> None:
    with Pool.start("--flavor", "interpreter", "--sandbox", sandbox) as interpreters, ExitStack() as folders:
        front_ends, sessions = (FrontEnd(), FrontEnd()), []
        for front_end in front_ends:
            folder = Path(folders.enter_context(TemporaryDirectory(dir=tmp_path)))
            session = make_session(interpreters.endpoint, interpreters.token, "for-two", folder)
            await run(await session.open(front_end.take, Hints()), front_end, "a = 42")
            sessions.append(session)
        first, second = sessions
        await first.pause()
        await first.release()
        link = second.link
        assert link is not None
        await run(link, front_ends[1], "print('a is', a)")
        assert front_ends[1].errors == []
        assert front_ends[1].printed().endswith("a is 42\n")
        assert len(interpreters.sessions()) == 1
        await second.release()
        assert interpreters.sessions() == []
