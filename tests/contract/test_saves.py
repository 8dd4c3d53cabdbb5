"""Variables that are saved on this machine and come back, whichever way goes to the pod."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from remote_kernel.client.access import choose_access
from remote_kernel.client.http.pool_client import PoolClient
from remote_kernel.client.link.link import Link
from remote_kernel.client.routes.detected_route import DetectedRoute
from remote_kernel.client.routes.pool_kind import PoolKindStore
from remote_kernel.client.saves.folder import SavesFolder
from remote_kernel.client.saves.progress import SaveProgress
from remote_kernel.client.saves.remote_calls import PodInterpreter
from remote_kernel.client.saves.restoring import Restoring
from remote_kernel.client.saves.saving import Saving
from remote_kernel.client.saves.store import SaveStore
from remote_kernel.core.errors import SaveError, SessionLost
from remote_kernel.core.identity import Identifier
from remote_kernel.core.saves.owner import Owner
from remote_kernel.core.saves.save import Save
from remote_kernel.core.settings import Settings
from remote_kernel.core.wire.saves import Report, SaveLimits
from tests.client.front_end import FrontEnd, followed, run
from tests.contract.ways import IDENTIFIER, Way

pytestmark = [pytest.mark.contract, pytest.mark.anyio]

OWNER = Owner.of(bytes(32), user="ada", notebook="report.ipynb", pod_kernel="python3")
LIMITS = SaveLimits(total_seconds=60.0)

CODE = """\
import numpy
class Point:
    def __init__(self, x): self.x = x
shared = [Point(3)]
points = {'a': shared, 'self': Point}
array = numpy.arange(300_000)
view = array[::2]
shift = lambda value: value + offset
offset = 1
stream = (n for n in range(3))
"""
LOOK = (
    "print(points['a'] is shared, type(shared[0]) is Point is points['self'], numpy.shares_memory(array, view), "
    "int(view[-1]), shift(1), 'stream' in globals())"
)


@dataclass
class Session:
    """A kernel of its own in the pod of a way."""

    kernel: str
    route: DetectedRoute
    link: Link
    front_end: FrontEnd
    store: SaveStore

    async def run(self, code: str) -> str:
        self.front_end.messages.clear()
        await run(self.link, self.front_end, code)
        return self.front_end.printed()

    @property
    def interpreter(self) -> PodInterpreter:
        hello = self.front_end.hellos[-1]
        return PodInterpreter(kernel=self.kernel, epoch=hello.epoch, pod=hello.pod)

    async def save(self) -> Save:
        saving = Saving(self.route, self.interpreter, self.store, SaveProgress(), patience_seconds=30.0)
        return await saving.run(limits=LIMITS)

    async def restore(self, save: Save) -> Report:
        restoring = Restoring(self.route, self.interpreter, self.store, SaveProgress(), patience_seconds=30.0)
        return await restoring.run(save)


@asynccontextmanager
async def session_of(way: Way, scratch: Path, kernel: str = "") -> AsyncIterator[Session]:
    access = choose_access(Settings.from_environ(way.environ), way.environ)
    route = DetectedRoute(PoolClient(access, Identifier(f"{IDENTIFIER}-{way.name}")), PoolKindStore(scratch, ""))
    front_end = FrontEnd()
    kernel = kernel or f"saves-{uuid.uuid4().hex[:8]}"
    link = Link(
        route, front_end.take, kernel=kernel, kernelspec="python3", wait_seconds=60.0, keepalive_seconds=60.0
    )  # fmt: skip
    store = SaveStore(SavesFolder(path=scratch / "remote-kernel" / "saves"), OWNER)
    async with followed(link, route):
        yield Session(kernel, route, link, front_end, store)


def check(report: Report) -> None:
    assert [each.name for each in report.lost] == ["stream"]
    assert {each.name for each in report.restored} == {
        "Point", "array", "numpy", "offset", "points", "shared", "shift", "view",
    }  # fmt: skip


@pytest.mark.needs("files")
async def test_variables_come_back_in_another_interpreter(way: Way, tmp_path: Path) -> None:
    async with session_of(way, tmp_path) as session:
        await session.run(CODE)
        save = await session.save()
        assert await session.run(LOOK) == "True True True 299998 2 True\n"
    assert (save.manifest.saved, save.manifest.lost) == (8, ("stream",))
    async with session_of(way, tmp_path) as session:
        await session.run("pass")
        check(await session.restore(save))
        assert await session.run(LOOK) == "True True True 299998 2 False\n"


@pytest.mark.needs("files", "pool")
async def test_variables_come_back_in_another_pod_and_the_old_one_is_told(way: Way, tmp_path: Path) -> None:
    async with session_of(way, tmp_path) as session:
        await session.run(CODE)
        save = await session.save()
        await asyncio.to_thread(way.take_pod)
        with pytest.raises(SessionLost, match="was replaced meanwhile"):
            await session.save()
    assert session.store.list() == [save]
    async with session_of(way, tmp_path) as session:
        await session.run("pass")
        check(await session.restore(save))
        assert await session.run(LOOK) == "True True True 299998 2 False\n"


async def test_a_session_without_an_agent_says_so(way: Way, tmp_path: Path) -> None:
    if way.name != "plain":
        pytest.skip("it has one")
    async with session_of(way, tmp_path, "main") as session:
        await session.run("pass")
        with pytest.raises(SaveError) as raised:
            await session.save()
    assert str(raised.value) == "The session has no agent; saving variables needs one."
