"""A workspace and a real pod, over a real line: cut, large, and with very many files."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote_kernel.client.files.transfer import Progress
from remote_kernel.client.workspace.sync import WorkspaceSync
from remote_kernel.core.errors import SessionLost
from tests.client.test_transfer import remote_files, write_random
from tests.driver import Pod
from tests.faults.proxy import FaultProxy, Plan

pytestmark = pytest.mark.anyio

CUTS = 3


@pytest.fixture(scope="module")
def pod() -> Iterator[Pod]:
    with Pod.fork(Path(tempfile.mkdtemp(prefix="rk-"))) as running:
        yield running


@pytest.fixture
def there(pod: Pod) -> Path:
    """The workspace in the pod, which is not there yet."""
    folder = pod.scratch / "data/work"
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def shown(root: Path) -> dict[str, bytes]:
    return {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()}


async def up(sync: WorkspaceSync, endpoint: str) -> Progress:
    progress = Progress(is_upload=True)
    async with remote_files(endpoint) as files:
        told = await sync.up(files, progress)
    assert (told.failures, told.notes) == ([], [])
    return progress


async def down(sync: WorkspaceSync, endpoint: str) -> Progress:
    progress = Progress(is_upload=False)
    async with remote_files(endpoint) as files:
        told = await sync.down(files, progress, None)
    assert (told.failures, told.notes) == ([], [])
    return progress


async def test_a_thousand_small_files_go_up_in_few_requests(pod: Pod, there: Path, tmp_path: Path) -> None:
    for number in range(1_000):
        write_random(tmp_path / f"data/{number % 10}/{number}.bin", 1_000)
    sync = WorkspaceSync(tmp_path, "work")
    with FaultProxy.before(pod.endpoint) as proxy:
        progress = await up(sync, proxy.endpoint)
    assert (progress.files, progress.files_done) == (1_000, 1_000)
    assert shown(there) == shown(tmp_path)
    assert not await asyncio.to_thread(sync.has_changed)


async def test_a_line_that_is_cut_in_mid_sync_costs_nothing(pod: Pod, there: Path, tmp_path: Path) -> None:
    for number in range(40):
        write_random(tmp_path / f"{number}.bin", 100_000)
    write_random(tmp_path / "big.bin", 3_000_000)
    sync = WorkspaceSync(tmp_path, "work")
    with FaultProxy.before(pod.endpoint) as proxy:
        proxy.plan = lambda number: Plan(cut_up_after=1_000_000 if number < CUTS else None)
        await up(sync, proxy.endpoint)
        assert proxy.connections > CUTS
    assert shown(there) == shown(tmp_path)
    for name in ("big.bin", "0.bin", "made/new.bin"):
        write_random(there / name, 2_500_000)
    with FaultProxy.before(pod.endpoint) as proxy:
        proxy.plan = lambda number: Plan(cut_down_after=1_000_000 if number < CUTS else None)
        await down(sync, proxy.endpoint)
        assert proxy.connections > CUTS
    assert shown(there) == shown(tmp_path)


async def test_another_pod_is_noticed_and_gets_everything(pod: Pod, there: Path, tmp_path: Path) -> None:
    write_random(tmp_path / "here/a.bin", 100)
    sync = WorkspaceSync(tmp_path / "here", "work")
    async with remote_files(pod.endpoint, "pod-that-was") as files:
        with pytest.raises(SessionLost):
            await sync.up(files, Progress(is_upload=True))
    await up(sync, pod.endpoint)
    assert shown(there) == shown(tmp_path / "here")


@pytest.mark.slow
async def test_a_file_of_200_megabytes_goes_up_and_comes_down(pod: Pod, there: Path, tmp_path: Path) -> None:
    block = write_random(tmp_path / "block", 10_000_000)
    (tmp_path / "block").rename(tmp_path / "big.bin")
    with (tmp_path / "big.bin").open("ab") as file:
        for _ in range(19):
            file.write(block)
    sync = WorkspaceSync(tmp_path, "work")
    await up(sync, pod.endpoint)
    assert (there / "big.bin").stat().st_size == 200_000_000
    with (there / "big.bin").open("ab") as file:
        file.write(b"more")
    await down(sync, pod.endpoint)
    assert (tmp_path / "big.bin").stat().st_size == 200_000_004
    assert not await asyncio.to_thread(sync.has_changed)


@pytest.mark.slow
async def test_ten_thousand_files_go_up(pod: Pod, there: Path, tmp_path: Path) -> None:
    for number in range(10_000):
        file = tmp_path / f"{number % 100}/{number}.txt"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"{number}")
    sync = WorkspaceSync(tmp_path, "work")
    progress = await up(sync, pod.endpoint)
    assert progress.files_done == 10_000
    assert len(shown(there)) == 10_000
    await down(sync, pod.endpoint)
    assert not await asyncio.to_thread(sync.has_changed)
