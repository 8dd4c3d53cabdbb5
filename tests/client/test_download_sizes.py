"""Downloads of files that are not as they were listed, or have no room here."""

import os
import resource
from pathlib import Path

import pytest

from remote_kernel.client.files.download import MAX_GROWN_BYTES, Choice, Download
from remote_kernel.client.files.remote_files import RemoteFiles
from remote_kernel.client.files.transfer import Progress
from remote_kernel.core.errors import TransferError
from tests.client.pod_folder import PodFolder

pytestmark = pytest.mark.anyio


def shown(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


async def test_what_has_grown_a_little_since_it_was_listed_is_fetched_as_it_is_now(tmp_path: Path) -> None:
    pod = PodFolder(tmp_path / "pod")
    log = pod.root / "a.log"
    log.write_text("one\n")
    task = Download(RemoteFiles(pod), Progress(is_upload=False), to=tmp_path / "here", patience_seconds=0)
    plan = await task.plan(["a.log"])
    log.write_text("one\ntwo\n")
    await task.run(plan, Choice.KEEP)
    assert (tmp_path / "here/a.log").read_text() == "one\ntwo\n"


@pytest.mark.parametrize("choice", Choice)
@pytest.mark.parametrize("is_here", [True, False])
async def test_what_is_much_larger_than_it_was_listed_is_not_fetched(
    tmp_path: Path, choice: Choice, *, is_here: bool
) -> None:
    pod = PodFolder(tmp_path / "pod")
    for name in ("a.bin", "b.bin"):
        (pod.root / name).write_text("ten bytes.")
    if is_here:
        (tmp_path / "a.bin").write_text("mine")
    task = Download(RemoteFiles(pod), Progress(is_upload=False), to=tmp_path, patience_seconds=0)
    plan = await task.plan(["a.bin", "b.bin"])
    os.truncate(pod.root / "a.bin", MAX_GROWN_BYTES + 11)
    await task.run(plan, choice)
    assert shown(tmp_path) == [*(["a.bin"] if is_here else []), "b.bin", "pod/a.bin", "pod/b.bin"]
    assert (tmp_path / "b.bin").read_text() == "ten bytes."
    if not (is_here and choice is Choice.KEEP):
        assert task.told.failures == ["'a.bin' has 64.0 MB now, and had 10 B when it was listed: download it again."]


async def test_what_has_no_room_here_leaves_nothing_behind(tmp_path: Path) -> None:
    pod = PodFolder(tmp_path / "pod")
    pod.piece_bytes = 800
    (pod.root / "a.bin").write_bytes(os.urandom(5000))
    task = Download(RemoteFiles(pod), Progress(is_upload=False), to=tmp_path / "here", patience_seconds=0)
    plan = await task.plan(["a.bin"])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(TransferError, match="cannot be written"):
            await task.run(plan, Choice.KEEP)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [*(tmp_path / "here").iterdir()] == []
