"""The session of one kernel, in this process, with a real pool."""

import asyncio
import os
from pathlib import Path

import pytest

from remote_kernel.core.errors import SessionLost
from remote_kernel.core.wire import SESSION_PATH
from remote_kernel.kernel.folders import Folders
from remote_kernel.kernel.notebook import Hints
from remote_kernel.kernel.requests import Interrupted
from remote_kernel.kernel.session import Session
from tests.client.front_end import FrontEnd, execute, run
from tests.driver import Pool, wait_until
from tests.faults.proxy import FaultProxy, Plan

pytestmark = pytest.mark.anyio


async def test_giving_back_that_is_interrupted_does_not_say_that_nothing_has_happened(
    pool: Pool, tmp_path: Path
) -> None:
    with FaultProxy.before(pool.endpoint) as proxy, pool.client() as client:
        settings = {"ENDPOINT": proxy.endpoint, "TOKEN": pool.token, "IDENTIFIER": "interrupted"}
        environ = {**os.environ, **{f"REMOTE_KERNEL_{name}": value for name, value in settings.items()}}
        session = Session(
            environ, Folders.of_user(), connection_file=tmp_path / "c.json", connection_key=b"", parent=os.getppid()
        )
        front_end = FrontEnd()
        try:
            link = await session.open(front_end, Hints())
            await run(link, front_end, "a = 42")
            assert session.pool is not None
            session.pool.drop_idle()
            proxy.plan = lambda _number: Plan(cut_down_after=0, stall_seconds=600)  # no answer of the pool's arrives
            letting_go = asyncio.create_task(session.let_go(front_end))
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
