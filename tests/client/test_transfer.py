"""Files up and down, against a real pod, over connections that break."""

import hashlib
import os
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, chdir
from pathlib import Path
from typing import Any

import pytest

from remote_kernel.client.access import ConfiguredAccess
from remote_kernel.client.files.download import Choice, Download
from remote_kernel.client.files.remote_files import RemoteFiles
from remote_kernel.client.files.transfer import PieceSize, Progress
from remote_kernel.client.files.upload import Upload, plan_upload
from remote_kernel.client.http.pool_client import PoolClient
from remote_kernel.core.errors import PoolRefused, PoolUnreachable, SessionLost, TransferError
from remote_kernel.core.identity import Identifier
from tests.driver import Pod
from tests.faults.proxy import FaultProxy, Plan

pytestmark = pytest.mark.anyio

CUTS = 5


@asynccontextmanager
async def remote_files(endpoint: str, pod: str = "") -> AsyncIterator[RemoteFiles]:
    client = PoolClient(ConfiguredAccess(endpoint, "any"), Identifier("any-session"))
    try:
        yield RemoteFiles(client, pod)
    finally:
        await client.aclose()


async def upload(endpoint: str, *paths: str, base: Path, to: str = "", patience_seconds: float = 30) -> Progress:
    progress = Progress(is_upload=True)
    async with remote_files(endpoint) as files:
        task = Upload(files, progress, patience_seconds=patience_seconds)
        await task.run(plan_upload(paths, to=to, base=base))
    assert not task.told.failures
    return progress


async def download(endpoint: str, *paths: str, to: Path, patience_seconds: float = 30) -> Progress:
    progress = Progress(is_upload=False)
    async with remote_files(endpoint) as files:
        download = Download(files, progress, to=to, patience_seconds=patience_seconds)
        await download.run(await download.plan(paths), Choice.REPLACE)
    assert not download.told.failures
    return progress


def write_random(path: Path, size: int) -> bytes:
    content = random.Random(size).randbytes(size)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return content


def shown(folder: Path) -> list[str]:
    """Return all files and folders, with nothing left over that was on its way."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


async def test_a_file_goes_up_through_a_line_that_is_cut_five_times(pod: Pod, data: Path, tmp_path: Path) -> None:
    content = write_random(tmp_path / "big.bin", 8_000_000)
    with FaultProxy.before(pod.endpoint) as proxy:
        proxy.plan = lambda number: Plan(cut_up_after=1_000_000 if number < CUTS else None)
        progress = await upload(proxy.endpoint, "big.bin", base=tmp_path)
        assert proxy.connections == CUTS + 1
    assert (data / "big.bin").read_bytes() == content
    assert shown(data) == ["big.bin"]
    assert progress.bytes_done == len(content)
    assert progress.wait is None


async def test_a_file_comes_down_through_a_line_that_is_cut_five_times(pod: Pod, data: Path, tmp_path: Path) -> None:
    content = write_random(data / "big.bin", 8_000_000)
    with FaultProxy.before(pod.endpoint) as proxy:
        proxy.plan = lambda number: Plan(cut_down_after=1_000_000 if number < CUTS else None)
        progress = await download(proxy.endpoint, "big.bin", to=tmp_path)
        assert proxy.connections == CUTS + 1
    assert (tmp_path / "big.bin").read_bytes() == content
    assert shown(tmp_path) == ["big.bin"]
    assert progress.bytes_done == len(content)


async def test_a_piece_may_come_twice_and_one_behind_a_hole_is_not_taken(pod: Pod, data: Path) -> None:
    content = random.Random(1).randbytes(100)
    sha256 = hashlib.sha256(content).hexdigest()
    async with remote_files(pod.endpoint) as files:

        async def write(offset: int, piece: bytes) -> tuple[int, bool]:
            received = await files.write("x", offset, piece, size=100, sha256=sha256)
            return received.bytes, received.is_complete

        assert await write(60, content[60:]) == (0, False)
        assert await write(0, content[:60]) == (60, False)
        assert await write(0, content[:60]) == (60, False)
        assert await write(40, content[40:70]) == (70, False)
        assert await write(70, content[70:]) == (100, True)
        modified = (data / "x").stat().st_mtime_ns
        assert await write(70, content[70:]) == (100, True)  # as when the answer was lost
        assert (data / "x").stat().st_mtime_ns == modified
    assert (data / "x").read_bytes() == content
    assert shown(data) == ["x"]


async def test_an_upload_that_was_given_up_goes_on_where_it_stopped(pod: Pod, data: Path, tmp_path: Path) -> None:
    content = write_random(tmp_path / "big.bin", 4_000_000)
    with FaultProxy.before(pod.endpoint) as proxy:
        proxy.plan = lambda number: Plan(is_refused=number > 0, cut_up_after=2_000_000)
        with pytest.raises(PoolUnreachable):
            await upload(proxy.endpoint, "big.bin", base=tmp_path, patience_seconds=0)
    assert not (data / "big.bin").exists()
    progress = await upload(pod.endpoint, "big.bin", base=tmp_path)
    assert (data / "big.bin").read_bytes() == content
    assert 0 < progress.moved < len(content)


async def test_a_download_that_was_given_up_goes_on_where_it_stopped(pod: Pod, data: Path, tmp_path: Path) -> None:
    content = write_random(data / "big.bin", 4_000_000)
    with FaultProxy.before(pod.endpoint) as proxy:
        proxy.plan = lambda number: Plan(is_refused=number > 0, cut_down_after=2_000_000)
        with pytest.raises(PoolUnreachable):
            await download(proxy.endpoint, "big.bin", to=tmp_path, patience_seconds=0)
    assert not (tmp_path / "big.bin").exists()
    progress = await download(pod.endpoint, "big.bin", to=tmp_path)
    assert (tmp_path / "big.bin").read_bytes() == content
    assert 0 < progress.moved < len(content)


async def test_folders_travel_whole_with_empty_ones_and_names_of_all_kinds(
    pod: Pod, data: Path, tmp_path: Path
) -> None:
    names = ["réseau 模型/q?=&%23.csv", "a b/'quoted'.txt", "empty.txt", ".hidden"]
    for name in names:
        write_random(tmp_path / "in/tree" / name, 0 if name == "empty.txt" else 1000 + len(name))
    (tmp_path / "in/tree/nothing").mkdir()
    up = await upload(pod.endpoint, "in/tree", base=tmp_path, to="deep/er")
    assert shown(data / "deep/er/tree") == shown(tmp_path / "in/tree")
    down = await download(pod.endpoint, "deep/er/tree", to=tmp_path / "out")
    assert shown(tmp_path / "out/tree") == shown(tmp_path / "in/tree")
    for name in names:
        assert (tmp_path / "out/tree" / name).read_bytes() == (tmp_path / "in/tree" / name).read_bytes()
    assert up.files == down.files == up.files_done == down.files_done == len(names)


async def test_what_is_there_already_is_not_moved_again(pod: Pod, data: Path, tmp_path: Path) -> None:
    write_random(tmp_path / "same.bin", 600_000)
    await upload(pod.endpoint, "same.bin", base=tmp_path)
    again = await upload(pod.endpoint, "same.bin", base=tmp_path)
    down = await download(pod.endpoint, "same.bin", to=tmp_path)
    assert (again.unchanged, again.moved) == (down.unchanged, down.moved) == (1, 0)
    assert "1 file had not changed" in down.summarise(down.started + 1)


async def test_patterns_choose_files_on_both_sides(pod: Pod, data: Path, tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv", "c.txt"):
        write_random(tmp_path / "in" / name, 10)
    await upload(pod.endpoint, "in/*.csv", base=tmp_path, to="sub")
    assert shown(data) == ["sub", "sub/a.csv", "sub/b.csv"]
    await download(pod.endpoint, "sub/[b-z]*", to=tmp_path / "out")
    assert shown(tmp_path / "out") == ["b.csv"]


async def test_the_whole_data_folder_comes_down_by_a_dot(pod: Pod, data: Path, tmp_path: Path) -> None:
    write_random(data / "sub/a.csv", 10)
    await download(pod.endpoint, ".", to=tmp_path)
    assert shown(tmp_path) == ["sub", "sub/a.csv"]


async def test_a_link_comes_down_under_its_own_name(pod: Pod, data: Path, tmp_path: Path) -> None:
    content = write_random(data / "run-1.csv", 10)
    (data / "latest.csv").symlink_to("run-1.csv")
    await download(pod.endpoint, "latest.csv", to=tmp_path)
    assert (tmp_path / "latest.csv").read_bytes() == content


async def test_a_link_in_a_folder_sends_nothing_from_outside_it(pod: Pod, data: Path, tmp_path: Path) -> None:
    """A repository of somebody else's may have a link to a key of the user's."""
    (tmp_path / "key").write_text("secret")
    (tmp_path / "repo/sub").mkdir(parents=True)
    (tmp_path / "repo/real.txt").write_text("mine")
    (tmp_path / "repo/sub/inside").symlink_to("../real.txt")
    (tmp_path / "repo/sub/outside").symlink_to("../../key")
    (tmp_path / "repo/sub/twice").symlink_to("outside")
    async with remote_files(pod.endpoint) as files:
        task = Upload(files, Progress(is_upload=True), patience_seconds=1)
        await task.run(plan_upload(["repo"], to="", base=tmp_path))
        assert shown(data) == ["repo", "repo/real.txt", "repo/sub", "repo/sub/inside"]
        (failure,) = task.told.failures
        links = f"'{tmp_path}/repo/sub/outside' and '{tmp_path}/repo/sub/twice'"
        assert failure.startswith(f"Links that lead out of their folder were not sent: {links}. Name them")
    await upload(pod.endpoint, "repo/sub/o*", "repo/sub/twice", base=tmp_path)
    assert (data / "outside").read_text() == (data / "twice").read_text() == "secret"


def test_what_is_left_out_of_a_folder_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "fine").touch()
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listener, chdir(folder):  # as the path of a socket must be short
        listener.bind("socket")
    (folder / "gone").symlink_to("nowhere")
    (folder / "up").symlink_to(".")
    (folder / "to-pipe").symlink_to("pipe")
    plan = plan_upload(["in"], to="", base=tmp_path)
    assert [item.target for item in plan.items] == ["in", "in/fine"]
    links = f"'{folder}/gone', '{folder}/to-pipe' and '{folder}/up'"
    assert list(plan.problems()) == [
        f"Links that lead to no file were not sent: {links}. Name those to folders to send what is in them.",
        f"Pipes, sockets and devices were not sent: '{folder}/pipe' and '{folder}/socket'.",
    ]


@pytest.mark.parametrize(
    ("words", "targets"),
    [
        (["a.csv", "*.csv"], ["a.csv", "b.csv"]),
        (["a.csv", "./a.csv", "sub/../a.csv"], ["a.csv"]),
        (["sub", "s*"], ["sub", "sub/a.csv"]),
        (["sub", "sub/a.csv"], ["sub", "sub/a.csv", "a.csv"]),
    ],
)
def test_what_is_meant_twice_is_sent_once(tmp_path: Path, words: list[str], targets: list[str]) -> None:
    for name in ("a.csv", "b.csv", "sub/a.csv"):
        write_random(tmp_path / name, 10)
    assert [item.target for item in plan_upload(words, to="", base=tmp_path).items] == targets


@pytest.mark.parametrize("words", [["a.csv", "sub/a.csv"], ["sub", "other/sub"], ["sub/a.csv", "other/sub/a.csv/"]])
def test_two_that_would_be_one_in_the_session_are_refused(tmp_path: Path, words: list[str]) -> None:
    for name in ("a.csv", "sub/a.csv", "other/sub/a.csv/b"):
        write_random(tmp_path / name, 10)
    with pytest.raises(TransferError, match=r"a\.csv' would both be '.*a\.csv' in the session: send one of them to"):
        plan_upload(words, to="", base=tmp_path)


async def test_a_name_that_is_no_unicode_costs_that_one(pod: Pod, data: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in (b"caf\xe9", b"fine"):
        (tmp_path / "in" / os.fsdecode(name)).touch()
    async with remote_files(pod.endpoint) as files:
        task = Upload(files, Progress(is_upload=True), patience_seconds=1)
        await task.run(plan_upload(["in"], to="", base=tmp_path))
    assert shown(data) == ["in", "in/fine"]
    assert task.told.failures == [
        f"Names that are no Unicode were not sent: '{tmp_path}/in/caf\\udce9'. Rename them first."
    ]
    with pytest.raises(TransferError, match=r"The folder 'caf\\udce9' cannot be in the session"):
        plan_upload(["in"], to="caf\udce9", base=tmp_path)


async def test_only_what_the_user_wrote_is_a_pattern(pod: Pod, data: Path, tmp_path: Path) -> None:
    base = tmp_path / "run [1]"
    write_random(base / "a.csv", 10)
    write_random(base / "b[1].csv", 10)
    await upload(pod.endpoint, "a*", "b[1].csv", base=base)
    assert shown(data) == ["a.csv", "b[1].csv"]


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "a/../../b", "out"])
async def test_nothing_outside_the_data_folder_can_be_had(pod: Pod, data: Path, tmp_path: Path, path: str) -> None:
    (data / "out").symlink_to("/etc")
    with pytest.raises(TransferError):
        await download(pod.endpoint, path, to=tmp_path)
    (tmp_path / "x").touch()
    with pytest.raises(TransferError):
        await upload(pod.endpoint, "x", base=tmp_path, to=path)
    assert shown(tmp_path) == ["x"]


async def test_a_file_that_is_missing_is_named(pod: Pod, data: Path, tmp_path: Path) -> None:
    with pytest.raises(TransferError, match="no file or folder 'nô such' in the session"):
        await download(pod.endpoint, "nô such", to=tmp_path)
    with pytest.raises(TransferError, match="no file or folder 'nô such' on this machine"):
        await upload(pod.endpoint, "nô such", base=tmp_path)


async def test_a_target_that_is_a_folder_is_named_on_both_sides(pod: Pod, data: Path, tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    (data / "x").mkdir()
    with pytest.raises(TransferError, match="'x' was not written in the session: The path is a folder"):
        await upload(pod.endpoint, "x", base=tmp_path)
    (data / "y").touch()
    (tmp_path / "y").mkdir()
    with pytest.raises(TransferError, match="/y' is a folder here, and a file in the session"):
        await download(pod.endpoint, "y", to=tmp_path)


async def test_a_file_that_grows_while_it_is_sent_is_told(pod: Pod, data: Path, tmp_path: Path) -> None:
    write_random(tmp_path / "log", 1000)
    progress = Progress(is_upload=True)
    async with remote_files(pod.endpoint) as files:
        items = plan_upload(["log"], to="", base=tmp_path)
        write_random(tmp_path / "log", 2000)
        with pytest.raises(TransferError, match="changed while it was sent"):
            await Upload(files, progress, patience_seconds=1).run(items)
    assert shown(data) == []


async def test_another_pod_is_a_lost_session(pod: Pod, data: Path) -> None:
    async with remote_files(pod.endpoint, pod="pod-of-yesterday") as files:
        with pytest.raises(SessionLost):
            await files.list("")
        with pytest.raises(SessionLost):
            await files.read("x", 0, 10, version="")


async def test_a_long_listing_comes_in_several_answers(pod: Pod, data: Path) -> None:
    for number in range(2_100):
        (data / f"{number:04d}").touch()
    async with remote_files(pod.endpoint) as files:
        entries = await files.list("")
    assert [entry.path for entry in entries] == [f"{number:04d}" for number in range(2_100)]


async def test_a_disk_that_is_read_only_is_told(pod: Pod, data: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        (data / "closed").touch()  # nothing is read-only to root, but a file is no folder to anybody
    else:
        (data / "closed").mkdir(mode=0o500)
    (tmp_path / "x").touch()
    with pytest.raises(TransferError, match="was not written in the session"):
        await upload(pod.endpoint, "x", base=tmp_path, to="closed")


class NarrowDoor(PoolClient):
    """A way to the pod with a proxy on it that takes little at once."""

    largest_bytes = 50_000

    async def request(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        if len(more.get("content", b"")) > self.largest_bytes:
            raise PoolRefused("Too much at once.", status=413)
        return await super().request(method, path, **more)


async def test_pieces_become_small_enough_for_any_proxy(pod: Pod, data: Path, tmp_path: Path) -> None:
    content = write_random(tmp_path / "big.bin", 600_000)
    client = NarrowDoor(ConfiguredAccess(pod.endpoint, "any"), Identifier("any-session"))
    try:
        upload = Upload(RemoteFiles(client), Progress(is_upload=True), patience_seconds=0)
        await upload.run(plan_upload(["big.bin"], to="", base=tmp_path))
        assert (data / "big.bin").read_bytes() == content
        client.largest_bytes = 1
        write_random(tmp_path / "big.bin", 600_001)
        with pytest.raises(PoolRefused, match="Too much at once"):
            await upload.run(plan_upload(["big.bin"], to="", base=tmp_path))
    finally:
        await client.aclose()


def test_pieces_grow_on_a_quick_line_and_shrink_on_a_slow_or_broken_one() -> None:
    piece = PieceSize(1_000_000)
    first = piece.bytes
    piece.arrived(0.1)
    assert piece.bytes == 2 * first
    for _ in range(10):
        piece.arrived(0.1)
    assert piece.bytes == 1_000_000
    piece.arrived(3.0)
    assert piece.bytes == 500_000
    for _ in range(20):
        piece.shrink()
    assert piece.bytes == 4096
    assert PieceSize(1000).bytes == 1000
