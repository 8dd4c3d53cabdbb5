"""Files of a session, and what its cells change in them, whichever way goes to the pod."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from remote_kernel.client.access import choose_access
from remote_kernel.client.files.remote_files import RemoteFiles
from remote_kernel.client.http.pool_client import PoolClient
from remote_kernel.client.link.link import Link
from remote_kernel.client.routes.detected_route import DetectedRoute
from remote_kernel.client.routes.pool_kind import PoolKindStore
from remote_kernel.core.identity import Identifier
from remote_kernel.core.settings import Settings
from remote_kernel.core.wire.file_batches import BatchFile, FileVersion
from tests.client.front_end import FrontEnd, followed, run
from tests.contract.ways import IDENTIFIER, Way

pytestmark = [pytest.mark.contract, pytest.mark.anyio, pytest.mark.needs("files")]

TIME = 1_700_000_000.5


@asynccontextmanager
async def linked(way: Way, scratch: Path, workspace: str) -> AsyncIterator[tuple[Link, FrontEnd, RemoteFiles]]:
    """Give a link to an interpreter of its own in the pod of the way."""
    access = choose_access(Settings.from_environ(way.environ), way.environ)
    route = DetectedRoute(PoolClient(access, Identifier(f"{IDENTIFIER}-{way.name}")), PoolKindStore(scratch, ""))
    front_end = FrontEnd()
    link = Link(
        route, front_end.take, kernel=f"files-{uuid.uuid4().hex[:8]}", kernelspec="python3", wait_seconds=60.0,
        keepalive_seconds=60.0, workspace=workspace,
    )  # fmt: skip
    async with followed(link, route):
        yield link, front_end, RemoteFiles(route)


def file(path: str, content: bytes, *, is_executable: bool = False) -> BatchFile:
    return BatchFile(path=path, content=content, modified=TIME, is_executable=is_executable)


async def test_many_files_go_up_at_once_and_are_what_a_cell_reads(way: Way, tmp_path: Path) -> None:
    folder = f"ws-{uuid.uuid4().hex[:8]}"
    batch = [file(f"many/{number}", b"%d" % number) for number in range(300)]
    async with linked(way, tmp_path, folder) as (link, front_end, files):
        await files.write_batch(folder, [file("run.sh", b"exit 0", is_executable=True), *batch])
        code = f"import os; os.chdir({folder!r}); total = sum(int(open(f'many/{{n}}').read()) for n in range(300))\n"
        await run(link, front_end, code + "print(total, os.access('run.sh', os.X_OK), os.path.getmtime('run.sh'))")
    assert front_end.printed() == f"{sum(range(300))} True {TIME}\n"


async def test_what_a_cell_changes_is_said_behind_it_and_can_be_fetched(way: Way, tmp_path: Path) -> None:
    folder = f"ws-{uuid.uuid4().hex[:8]}"
    async with linked(way, tmp_path, folder) as (link, front_end, files):
        written = await files.write_batch(folder, [file("data.csv", b"1,2"), file("old.csv", b"3")])
        await run(link, front_end, f"import os; os.chdir({folder!r})")
        await run(
            link, front_end, "open('data.csv', 'a').write(',3'); os.unlink('old.csv'); open('new.csv', 'w').close()"
        )
        await front_end.wait(lambda: len(front_end.files) == 2)
        first, second = front_end.files
        assert (first.is_whole, first.folder) == (True, folder)
        assert {file.path: file.version for file in first.changed} in (
            {},
            {file.path: file.version for file in written},
        )
        assert ([file.path for file in second.changed], second.removed) == (["data.csv", "new.csv"], ["old.csv"])
        data, _ = second.changed
        assert await files.read(f"{folder}/data.csv", 0, 100, version=data.version) == b"1,2,3"
        listed = {entry.path: entry.version for entry in await files.list(folder)}
        assert listed == {file.path: file.version for file in second.changed}


async def test_what_a_cell_has_changed_is_not_removed(way: Way, tmp_path: Path) -> None:
    folder = f"ws-{uuid.uuid4().hex[:8]}"
    async with linked(way, tmp_path, folder) as (link, front_end, files):
        written = await files.write_batch(folder, [file("deep/kept", b"1"), file("deep/er/gone", b"2")])
        await run(link, front_end, f"open('{folder}/deep/kept', 'w').write('3')")
        outcome = await files.remove([*written, FileVersion(path="never", version="v")], folder=folder)
        assert (outcome.removed, outcome.kept) == (["deep/er/gone", "never"], ["deep/kept"])
        assert [entry.path for entry in await files.list(folder, is_recursive=True)] == ["deep", "deep/kept"]
