"""A workspace, up and down, against what an agent answers."""

import asyncio
import json
import os
import shutil
import stat
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from remote_kernel.client.files.remote_files import RemoteFiles
from remote_kernel.client.files.transfer import Progress, Told
from remote_kernel.client.workspace.admission import MAX_ENVIRONMENTS, There, admit, environments
from remote_kernel.client.workspace.local_files import LocalFiles
from remote_kernel.client.workspace.state_file import StateFile, state_path
from remote_kernel.client.workspace.sync import (
    IN_BOTH,
    IN_CONFLICT,
    MAX_AGAIN_BYTES,
    OWN,
    REMOVED_HERE,
    REMOVED_THERE,
    TO_BE_SENT,
    WorkspaceSync,
)
from remote_kernel.core.download_paths import System
from remote_kernel.core.errors import PoolRefused, PoolUnreachable, SessionLost, TransferError
from remote_kernel.core.settings import Settings
from remote_kernel.core.wire import files as wire
from remote_kernel.core.wire.frames import ChangedFile, Files
from remote_kernel.core.workspace.base import Base
from remote_kernel.core.workspace.limits import WorkspaceLimits
from remote_kernel.io.tasks import start
from remote_kernel.kernel.preparation.setting_files import SettingFiles
from remote_kernel.pod.files.data_folder import DataFolder
from tests.client.pod_folder import PodFolder

pytestmark = pytest.mark.anyio

BATCH, CONTENT, FETCH, LIST, METADATA, REMOVE = (
    wire.BATCH_PATH, wire.CONTENT_PATH, wire.FETCH_PATH, wire.FILES_PATH, wire.METADATA_PATH, wire.REMOVE_PATH,
)  # fmt: skip


class Sides:
    """A workspace on both sides."""

    def __init__(self, scratch: Path, **options: object) -> None:
        self.scratch = scratch
        self.here = scratch / "here"
        self.here.mkdir(exist_ok=True)
        self.pod = PodFolder(scratch / "pod")
        self.there = self.pod.root / "work"
        self.begin(**options)

    def begin(self, **options: object) -> None:
        """Begin as a new process does."""
        self.files = RemoteFiles(self.pod)
        self.sync = WorkspaceSync(
            self.here,
            "work",
            state_file=self.scratch / "run/state.json",
            **{"patience_seconds": 0, **options},  # type: ignore[arg-type]
        )

    async def up(self) -> Told:
        self.pod.requests.clear()
        self.progress = Progress(is_upload=True)
        return await self.sync.up(self.files, self.progress)

    async def down(self, said: Files | None = None) -> Told:
        self.pod.requests.clear()
        self.progress = Progress(is_upload=False)
        return await self.sync.down(self.files, self.progress, said)

    def said(self, *paths: str, removed: tuple[str, ...] = ()) -> Files:
        """Return what the agent says of files behind a cell."""
        folder = DataFolder(self.pod.root)
        entries = {path: folder.describe(f"work/{path}") for path in paths}
        changed = [
            ChangedFile(path=path, size=entry.size, modified=entry.modified.timestamp(), version=entry.version)
            for path, entry in entries.items()
        ]
        return Files(folder="work", cell="1", sequence=1, is_whole=True, changed=changed, removed=[*removed])

    def states(self) -> dict[str, str]:
        return {row.path: row.state for row in self.sync.status().rows}


@pytest.fixture
def sides(tmp_path: Path) -> Sides:
    return Sides(tmp_path)


def write(root: Path, path: str, content: str | bytes = "content") -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def shown(root: Path) -> dict[str, str]:
    return {str(file.relative_to(root)): file.read_text() for file in sorted(root.rglob("*")) if file.is_file()}


async def test_a_workspace_goes_up_in_one_request_for_many_files(sides: Sides) -> None:
    for number in range(200):
        write(sides.here, f"data/{number}.csv", f"{number}")
    assert sides.sync.has_changed()
    told = await sides.up()
    assert (told.failures, told.notes) == ([], [])
    assert shown(sides.there) == shown(sides.here)
    assert sides.pod.requests == [METADATA, LIST, BATCH]
    assert (sides.progress.files, sides.progress.files_done) == (200, 200)


async def test_what_has_not_changed_costs_no_request(sides: Sides) -> None:
    write(sides.here, "a.csv")
    await sides.up()
    assert not sides.sync.has_changed()
    await sides.up()
    assert sides.pod.requests == []
    os.utime(sides.here / "a.csv", (1, 1))
    assert not sides.sync.has_changed(), "it has the same content still"
    await sides.down(sides.said("a.csv"))
    assert sides.pod.requests == [], "the pod speaks of what it was sent"


async def test_one_file_that_changes_goes_up_alone(sides: Sides) -> None:
    for name in ("a.py", "b.py"):
        write(sides.here, name)
    await sides.up()
    write(sides.here, "a.py", "changed")
    await sides.up()
    assert sides.pod.requests == [METADATA, BATCH]
    assert shown(sides.there) == {"a.py": "changed", "b.py": "content"}


async def test_a_change_shows_whose_size_and_time_are_the_same(sides: Sides) -> None:
    file = write(sides.here, "a.py", "one")
    await sides.up()
    status = file.stat()
    file.write_text("two")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert sides.sync.has_changed()


async def test_times_and_modes_go_up_and_times_come_down(sides: Sides) -> None:
    file = write(sides.here, "run.sh")
    file.chmod(0o755)
    os.utime(file, (1_700_000_000.5, 1_700_000_000.5))
    await sides.up()
    assert (sides.there / "run.sh").stat().st_mtime == 1_700_000_000.5
    assert stat.S_IMODE((sides.there / "run.sh").stat().st_mode) == 0o755
    os.utime(write(sides.there, "run.sh", "changed"), (1_700_000_001.5, 1_700_000_001.5))
    await sides.down()
    assert file.stat().st_mtime == 1_700_000_001.5
    assert stat.S_IMODE(file.stat().st_mode) == 0o755
    file.chmod(0o644)
    assert sides.sync.has_changed()


async def test_large_files_go_in_pieces(tmp_path: Path) -> None:
    sides = Sides(tmp_path)
    sides.pod.piece_bytes = 10_000
    sides.begin()
    content = os.urandom(95_000)
    write(sides.here, "big.bin", content)
    write(sides.here, "small.bin", b"small")
    await sides.up()
    assert (sides.there / "big.bin").read_bytes() == content
    assert sides.pod.requests.count(CONTENT) == 11, "one asks what is there already"
    write(sides.there, "big.bin", content[::-1])
    await sides.down()
    assert (sides.here / "big.bin").read_bytes() == content[::-1]


async def test_batches_are_no_larger_than_a_piece(tmp_path: Path) -> None:
    sides = Sides(tmp_path)
    sides.pod.piece_bytes = 10_000
    sides.begin()
    for number in range(20):
        write(sides.here, f"{number}.bin", os.urandom(4_000))
    await sides.up()
    assert sides.pod.requests.count(BATCH) == 10
    assert not sides.sync.has_changed()


async def test_what_a_cell_made_and_changed_comes_down(sides: Sides) -> None:
    write(sides.here, "a.csv", "old")
    await sides.up()
    write(sides.there, "a.csv", "new one")
    write(sides.there, "out/result.csv", "made")
    told = await sides.down(sides.said("a.csv", "out/result.csv"))
    assert (told.failures, told.notes) == ([], [])
    assert shown(sides.here) == {"a.csv": "new one", "out/result.csv": "made"}
    assert LIST not in sides.pod.requests
    assert not sides.sync.has_changed()


async def test_the_notebook_that_runs_stays_and_others_travel(tmp_path: Path) -> None:
    sides = Sides(tmp_path, own="nb/this.ipynb")
    for name in ("nb/this.ipynb", "nb/other.ipynb", "this.ipynb"):
        write(sides.here, name)
    await sides.up()
    assert sorted(shown(sides.there)) == ["nb/other.ipynb", "this.ipynb"]
    write(sides.here, "nb/this.ipynb", "saved")
    assert not sides.sync.has_changed()
    write(sides.there, "nb/this.ipynb", "written there")
    told = await sides.down()
    assert (told.failures, told.notes) == ([], [])
    assert (sides.here / "nb/this.ipynb").read_text() == "saved"
    assert sides.states()["nb/this.ipynb"] == OWN


async def test_a_folder_that_was_emptied_stays_and_one_that_was_removed_goes_there_too(sides: Sides) -> None:
    write(sides.here, "out/a.csv")
    for folder in ("empty/deep", "used"):
        (sides.here / folder).mkdir(parents=True)
    await sides.up()
    (sides.here / "out/a.csv").unlink()
    shutil.rmtree(sides.here / "empty")
    (sides.here / "used").rmdir()
    write(sides.there, "used/by-a-cell")
    assert sides.sync.has_changed()
    assert sides.sync.has_changed(), "until it is done"
    await sides.up()
    assert sorted(path.name for path in sides.there.iterdir()) == ["out", "used"]
    assert (sides.there / "used/by-a-cell").exists()
    assert not sides.sync.has_changed()
    (sides.here / "out").rmdir()
    await sides.up()
    assert not (sides.there / "out").exists()


async def test_many_small_files_come_down_in_few_requests(sides: Sides) -> None:
    write(sides.here, "a.csv")
    await sides.up()
    paths = [f"out/{number % 7}/{number}.csv" for number in range(1_500)]
    for path in paths:
        write(sides.there, path, path)
    told = await sides.down()
    assert (told.failures, told.notes) == ([], [])
    assert shown(sides.here) == {"a.csv": "content"} | {path: path for path in paths}
    assert sides.pod.requests.count(FETCH) <= 4
    assert {*sides.pod.requests} <= {LIST, FETCH}
    assert (sides.progress.files, sides.progress.files_done) == (1_500, 1_500)
    assert not sides.sync.has_changed()


async def test_files_that_come_together_replace_nothing_that_was_changed_here(sides: Sides) -> None:
    for name in ("a", "b", "c", "d", "e"):
        write(sides.here, name, "old")
    await sides.up()
    for name in ("a", "b", "c", "d", "e", "new"):
        write(sides.there, name, "theirs")
    write(sides.here, "a", "mine")
    write(sides.here, "b", "theirs")
    (sides.here / "c").unlink()
    (sides.here / "d").unlink()
    (sides.here / "d").symlink_to("../pod")
    write(sides.here, "new/mine", "mine")
    told = await sides.down()
    assert told.failures == []
    assert sides.pod.requests == [LIST, FETCH]
    here = shown(sides.here)
    assert here["a"] == "mine"
    assert here["a (from the session)"] == here["b"] == here["c"] == here["e"] == "theirs"
    assert here["d (from the session)"] == here["new (from the session)"] == "theirs"
    assert (sides.here / "d").is_symlink()
    assert any("'c' was removed here and changed in the session" in note for note in told.notes)


async def test_what_changes_while_files_come_together_comes_by_itself(sides: Sides) -> None:
    for name in ("a", "b", "c"):
        write(sides.there, name, "one")

    def change(path: str) -> None:
        if path == FETCH:
            write(sides.there, "b", "another")

    sides.pod.before = change
    told = await sides.down()
    assert told.failures == []
    assert shown(sides.here) == {"a": "one", "b": "another", "c": "one"}
    assert sides.pod.requests == [METADATA, LIST, FETCH, METADATA, CONTENT]


async def test_an_agent_that_sends_no_batches_sends_files_one_by_one(sides: Sides) -> None:
    for name in ("a", "b", "c"):
        write(sides.there, name, "one")

    def refuse(path: str) -> None:
        if path == FETCH:
            raise PoolRefused("Nothing is here.", status=404, code="NotFound")

    sides.pod.before = refuse
    told = await sides.down()
    assert told.failures == []
    assert shown(sides.here) == {"a": "one", "b": "one", "c": "one"}


async def test_the_right_to_execute_comes_down(sides: Sides) -> None:
    for name in ("old.sh", "mine.sh", "a"):
        write(sides.here, name)
    await sides.up()
    for name in ("one.sh", "two.sh"):
        write(sides.there, name).chmod(0o755)
    (sides.there / "old.sh").chmod(0o755)
    (sides.here / "mine.sh").chmod(0o755)
    await sides.down()
    modes = {path: is_executable(sides.here / path) for path in ("one.sh", "two.sh", "old.sh", "mine.sh", "a")}
    assert modes == {"one.sh": True, "two.sh": True, "old.sh": True, "mine.sh": True, "a": False}
    await sides.up()
    assert is_executable(sides.there / "mine.sh")
    assert not sides.sync.has_changed()
    (sides.there / "old.sh").chmod(0o644)
    write(sides.there, "one.sh", "changed").chmod(0o644)
    await sides.down()
    assert not is_executable(sides.here / "old.sh")
    assert not is_executable(sides.here / "one.sh")
    assert not sides.sync.has_changed()


def is_executable(file: Path) -> bool:
    return bool(file.stat().st_mode & 0o111)


async def test_what_changed_on_both_sides_is_kept_twice_and_told(sides: Sides) -> None:
    write(sides.here, "a.csv", "old")
    await sides.up()
    write(sides.here, "a.csv", "mine")
    write(sides.there, "a.csv", "theirs")
    told = await sides.down()
    assert shown(sides.here) == {"a.csv": "mine", "a (from the session).csv": "theirs"}
    assert "the session's is in 'a (from the session).csv'" in told.notes[0]
    assert sides.states() == {"a.csv": IN_CONFLICT, "a (from the session).csv": TO_BE_SENT}
    await sides.up()
    assert shown(sides.there) == shown(sides.here)


async def test_what_changed_there_is_saved_before_it_is_replaced(sides: Sides) -> None:
    write(sides.here, "a.csv", "old")
    await sides.up()
    write(sides.here, "a.csv", "mine")
    write(sides.there, "a.csv", "theirs")
    told = await sides.up()
    assert shown(sides.here) == {"a.csv": "mine", "a (from the session).csv": "theirs"}
    assert shown(sides.there)["a.csv"] == "mine"
    assert len(told.notes) == 1


async def test_the_same_change_on_both_sides_is_no_conflict(sides: Sides) -> None:
    write(sides.here, "a.csv", "old")
    await sides.up()
    write(sides.here, "a.csv", "the same")
    write(sides.there, "a.csv", "the same")
    told = await sides.up()
    assert told.notes == []
    assert shown(sides.here) == shown(sides.there) == {"a.csv": "the same"}
    assert BATCH not in sides.pod.requests


async def test_two_notebooks_on_one_workspace_are_no_conflict(sides: Sides) -> None:
    for number in range(20):
        write(sides.here, f"{number}.csv", f"{number}")
    await sides.up()
    other = WorkspaceSync(sides.here, "work")
    sides.pod.requests.clear()
    told = await other.up(sides.files, Progress(is_upload=True))
    assert told.notes == []
    assert sides.pod.requests == [LIST], "size and time say that they are the same"
    write(sides.here, "0.csv", "changed")
    await other.up(sides.files, Progress(is_upload=True))
    assert (await sides.up()).notes == []
    assert shown(sides.there) == shown(sides.here)


async def test_a_file_that_is_removed_here_goes_there_unless_it_has_changed_there(sides: Sides) -> None:
    for name in ("out/same.csv", "changed.csv"):
        write(sides.here, name, "old")
    await sides.up()
    write(sides.there, "changed.csv", "theirs")
    for name in ("out/same.csv", "changed.csv"):
        (sides.here / name).unlink()
    (sides.here / "out").rmdir()
    assert sides.states() == dict.fromkeys(["out/same.csv", "changed.csv"], REMOVED_HERE)
    told = await sides.up()
    assert shown(sides.there) == shown(sides.here) == {"changed.csv": "theirs"}
    assert not (sides.there / "out").exists()
    assert "removed here and changed in the session" in told.notes[0]


async def test_a_file_that_is_removed_there_stays_here_and_is_sent_when_it_changes(sides: Sides) -> None:
    write(sides.here, "a.csv", "old")
    await sides.up()
    (sides.there / "a.csv").unlink()
    await sides.down(sides.said(removed=("a.csv",)))
    assert sides.states() == {"a.csv": REMOVED_THERE}
    assert not sides.sync.has_changed()
    write(sides.here, "a.csv", "changed")
    await sides.up()
    assert shown(sides.there) == {"a.csv": "changed"}


async def test_what_travels_no_more_stays_on_both_sides(sides: Sides) -> None:
    write(sides.here, "a.csv")
    await sides.up()
    write(sides.here, ".gitignore", "*.csv")
    await sides.up()
    assert (sides.here / "a.csv").exists()
    assert (sides.there / "a.csv").exists()
    assert REMOVE not in sides.pod.requests
    write(sides.there, "b.csv")
    await sides.down()
    assert not (sides.here / "b.csv").exists()


async def test_rules_of_a_repository_above_count(tmp_path: Path) -> None:
    sides = Sides(tmp_path)
    write(tmp_path, ".gitignore", "*.log")
    (tmp_path / ".git").mkdir()
    for name in ("a.log", "a.csv", ".env", "env/pyvenv.cfg", "env/lib/x.py", "__pycache__/a.pyc"):
        write(sides.here, name)
    await sides.up()
    assert list(shown(sides.there)) == ["a.csv"]
    write(tmp_path, ".gitignore", "*.txt")
    assert sides.sync.has_changed()


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (WorkspaceLimits(max_files=3), "more than 3 files"),
        (WorkspaceLimits(max_bytes=30), "its files have"),
        (WorkspaceLimits(max_file_bytes=5), "a file may have"),
    ],
)
async def test_a_folder_beyond_the_limits_sends_nothing(tmp_path: Path, limits: WorkspaceLimits, said: str) -> None:
    sides = Sides(tmp_path, limits=limits)
    for name in "abcde":
        write(sides.here, name, "content")
    with pytest.raises(TransferError, match=said):
        sides.sync.has_changed()
    with pytest.raises(TransferError, match=said):
        await sides.up()
    assert sides.pod.requests == []


async def test_what_comes_down_keeps_to_the_limits_as_well(tmp_path: Path) -> None:
    sides = Sides(tmp_path, limits=WorkspaceLimits(max_files=2, max_bytes=100, max_file_bytes=60))
    write(sides.here, "a")
    await sides.up()
    write(sides.there, "large", "x" * 61)
    write(sides.there, "b", "x" * 50)
    write(sides.there, "c", "x" * 50)
    told = await sides.down()
    assert list(shown(sides.here)) == ["a", "b"]
    assert len(told.notes) == 2
    assert not sides.sync.has_changed()


async def test_nothing_hidden_comes_down_and_nothing_through_a_link(sides: Sides, tmp_path: Path) -> None:
    write(tmp_path, "outside/x", "mine")
    write(sides.here, "a")
    (sides.here / "link").symlink_to(tmp_path / "outside")
    (sides.here / "x").symlink_to(tmp_path / "outside/x")
    await sides.up()
    for name in (".bashrc", ".git/hooks/post-checkout", "link/x", "x", "node_modules/a.js"):
        write(sides.there, name, "theirs")
    await sides.down()
    assert (tmp_path / "outside/x").read_text() == "mine"
    assert (sides.here / "x").is_symlink()
    assert shown(sides.here) == {
        "a": "content", "x": "mine", "x (from the session)": "theirs", "link (from the session)/x": "theirs",
    }  # fmt: skip


async def test_environments_there_stay_there(sides: Sides) -> None:
    write(sides.here, "a")
    await sides.up()
    write(sides.there, "env/pyvenv.cfg")
    write(sides.there, "env/bin/python")
    await sides.down(sides.said("env/pyvenv.cfg", "env/bin/python"))
    write(sides.there, "env/lib/x.py")
    sides.begin()
    await sides.down(sides.said("env/lib/x.py"))
    assert list(shown(sides.here)) == ["a"]


async def test_a_link_to_a_file_of_the_workspace_goes_up_as_the_file(sides: Sides, tmp_path: Path) -> None:
    write(tmp_path, "secret")
    write(sides.here, "data/run-1.csv", "one")
    write(sides.here, ".env", "secret")
    (sides.here / "latest.csv").symlink_to("data/run-1.csv")
    for name, target in {"leads_out": "../secret", "to_hidden": ".env", "folder": "data", "gone": "nowhere"}.items():
        (sides.here / name).symlink_to(target)
    told = await sides.up()
    assert shown(sides.there) == {"data/run-1.csv": "one", "latest.csv": "one"}
    assert len(told.notes) == 1
    assert "'folder', 'gone', 'leads_out' and 1 more" in told.notes[0]
    write(sides.here, "data/run-1.csv", "two")
    assert (await sides.up()).notes == [], "it was told once"
    assert shown(sides.there) == {"data/run-1.csv": "two", "latest.csv": "two"}


async def test_names_that_cannot_be_on_the_other_side_are_left_out_and_told(sides: Sides) -> None:
    write(sides.here, os.fsdecode(b"odd\xff.csv"))
    write(sides.here, "control\x1b[31m.csv")
    write(sides.here, "fine.csv")
    told = await sides.up()
    assert list(shown(sides.there)) == ["fine.csv"]
    assert len(told.notes) == 1
    write(sides.there, os.fsdecode(b"theirs\xff.csv"))
    write(sides.there, "also\x1b.csv")
    told = await sides.down()
    assert len(list(sides.here.iterdir())) == 3
    assert any("no Unicode" in note for note in told.notes)


async def test_names_that_are_one_to_this_system_are_left_out_and_told(tmp_path: Path) -> None:
    sides = Sides(tmp_path, system=System.MACOS)
    write(sides.here, "Data/a.csv", "mine")
    await sides.up()
    write(sides.there, "Data/A.csv", "theirs")
    write(sides.there, "data/b.csv", "theirs")
    write(sides.there, "New.csv")
    write(sides.there, "new.csv")
    told = await sides.down()
    assert list(shown(sides.here)) == ["Data/a.csv", "New.csv"]
    assert told.notes == [
        "'Data/A.csv', 'data/b.csv' and 'new.csv' stayed in the session: "
        "to this system its name and another file's are one."
    ]


async def test_a_name_that_may_be_another_one_of_a_file_here_is_left_out(tmp_path: Path) -> None:
    sides = Sides(tmp_path, system=System.WINDOWS)
    for name in ("PYPROJ~1.TOM", "GITIGN~1", "d~12/a.csv", "a~b.csv", "long-name~1.csv", "a~1.jpeg"):
        write(sides.there, name)
    told = await sides.down()
    assert list(shown(sides.here)) == ["a~1.jpeg", "a~b.csv", "long-name~1.csv"]
    (note,) = told.notes
    assert "to Windows it may be another name of a file that is here" in note


async def test_a_folder_is_compared_with_the_rules_once_and_a_list_without_an_end_not_to_it(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("out\n")
    local = LocalFiles(tmp_path, WorkspaceLimits(max_files=200), System.LINUX)
    snapshot = local.look()
    refusals, deep = local.refusals({"env"}), "a/" * 90
    assert {refusals.find(f"{deep}{number}") for number in range(100)} == {None}
    looks = sum(1 + depth // 8 for depth in range(90)) + 100 * (1 + 90 // 8)
    assert refusals.looks == looks
    assert {refusals.find(f"{above}/{number}/x") for above in ("out", "env") for number in range(100)} == {""}
    assert refusals.looks == looks + 2
    assert [refusals.find(path) for path in ("/a", "a//b", "../a")] == ["that is no name of a file"] * 3
    there = {f"d/{number}/x": There(size=0, version="1") for number in range(2_000)}
    there |= {f"out/{number}": There(size=0, version="1") for number in range(9_000)}
    wanted, refused = admit(there, set(), local, snapshot)
    assert len(wanted) == 200
    assert [*refused] == ["the workspace may have 200 files", "the session has more than 2,000 files and folders"]


def test_environments_there_are_those_that_could_be_here_and_not_without_end() -> None:
    paths = ["a\x1b/pyvenv.cfg", "../b/pyvenv.cfg", "pyvenv.cfg", "c/conda-meta/history", "d/pyvenv.cfg"]
    assert environments(paths, {"known"}, System.LINUX) == {"known", "c", "d"}
    many = environments((f"x{number}/pyvenv.cfg" for number in range(5_000)), set(), System.LINUX)
    assert len(many) == MAX_ENVIRONMENTS


async def test_a_pod_that_was_replaced_gets_everything(sides: Sides) -> None:
    for name in ("a", "b"):
        write(sides.here, name)
    await sides.up()
    write(sides.here, "c")
    sides.pod.rename("pod-2")
    with pytest.raises(SessionLost):
        await sides.up()
    for file in sides.there.iterdir():
        file.unlink()
    sides.files = RemoteFiles(sides.pod)
    assert sides.sync.has_changed()
    await sides.up()
    assert shown(sides.there) == shown(sides.here)


async def test_another_process_knows_what_was_agreed_on_with_this_pod_and_no_other(sides: Sides) -> None:
    write(sides.here, "a")
    await sides.up()
    sides.begin()
    assert not sides.sync.has_changed()
    assert stat.S_IMODE((sides.scratch / "run/state.json").stat().st_mode) == 0o600
    sides.pod.rename("pod-2")
    (sides.there / "a").unlink()
    write(sides.here, "b")
    await sides.up()
    assert shown(sides.there) == shown(sides.here)
    sides.sync.forget()
    sides.begin()
    assert sides.sync.has_changed()


async def test_a_state_that_cannot_be_read_is_none(sides: Sides) -> None:
    write(sides.here, "a")
    await sides.up()
    write(sides.scratch, "run/state.json", "[]")
    sides.begin()
    assert sides.sync.has_changed()
    assert state_path(Path("/run"), Path("/a"), "", "1") != state_path(Path("/run"), Path("/a"), "", "2")


@pytest.mark.parametrize("is_answer", [False, True])
async def test_a_cut_in_mid_sync_goes_on_with_the_next(tmp_path: Path, is_answer: bool) -> None:
    sides = Sides(tmp_path)
    sides.pod.piece_bytes = 10_000
    sides.begin()
    for number in range(30):
        write(sides.here, f"{number}.bin", os.urandom(2_000).hex())

    def cut(path: str) -> None:
        if sides.pod.requests.count(BATCH) == 4:
            raise PoolUnreachable("The line was cut.")

    if is_answer:
        sides.pod.after = cut
    else:
        sides.pod.before = cut
    with pytest.raises(PoolUnreachable):
        await sides.up()
    sides.pod.before = sides.pod.after = lambda _path: None
    sides.begin()
    told = await sides.up()
    assert (told.failures, told.notes) == ([], [])
    assert 0 < sides.progress.files_done < 28
    assert shown(sides.there) == shown(sides.here)


async def test_a_file_that_changes_while_it_is_sent_is_sent_again(sides: Sides) -> None:
    sides.pod.piece_bytes = 10_000
    sides.begin()
    file = write(sides.here, "log.bin", b"x" * 50_000)
    changes = iter(range(2))

    def change(path: str) -> None:
        if path == CONTENT and next(changes, None) is not None:
            file.write_bytes(os.urandom(60_000))

    sides.pod.before = change
    assert (await sides.up()).failures == []
    assert (sides.there / "log.bin").read_bytes() == file.read_bytes()


async def test_a_file_that_never_rests_is_told(sides: Sides) -> None:
    sides.pod.piece_bytes = 10_000
    sides.begin()
    file = write(sides.here, "log.bin", b"x" * 50_000)
    write(sides.here, "other", "fine")

    def change(path: str) -> None:
        if path == CONTENT:
            file.write_bytes(os.urandom(60_000))

    sides.pod.before = change
    told = await sides.up()
    assert told.failures == ["'log.bin' changes all the time, and was not sent."]
    assert list(shown(sides.there)) == ["other"]


async def test_a_file_that_cannot_be_sent_is_told_once(sides: Sides) -> None:
    write(sides.here, "a", "mine")
    write(sides.here, "b", "mine")
    (sides.there / "a").mkdir(parents=True)
    write(sides.there, "a/.hidden")
    told = await sides.up()
    assert len(told.failures) == 1
    assert not sides.sync.has_changed()
    assert (sides.there / "b").read_text() == "mine"


async def test_a_removal_is_seen_beside_a_file_that_cannot_be_sent(sides: Sides) -> None:
    for name in ("a", "b"):
        write(sides.here, name, "mine")
    write(sides.there, "a/.hidden")
    await sides.up()
    (sides.here / "b").unlink()
    assert sides.sync.has_changed()
    await sides.up()
    assert list(shown(sides.there)) == ["a/.hidden"]


async def test_files_and_folders_change_places(sides: Sides) -> None:
    write(sides.here, "x", "file")
    write(sides.here, "y/a", "in a folder")
    await sides.up()
    (sides.here / "x").unlink()
    write(sides.here, "x/a", "in a folder")
    (sides.here / "y/a").unlink()
    (sides.here / "y").rmdir()
    write(sides.here, "y", "file")
    assert (await sides.up()).failures == []
    assert shown(sides.there) == {"x/a": "in a folder", "y": "file"}


async def test_empty_folders_are_made_there(sides: Sides) -> None:
    (sides.here / "out/plots").mkdir(parents=True)
    write(sides.here, "logs/.gitignore", "*")
    assert sides.sync.has_changed()
    await sides.up()
    assert (sides.there / "out/plots").is_dir()
    assert (sides.there / "logs").is_dir()
    assert not sides.sync.has_changed()


async def test_a_folder_that_is_gone_removes_nothing_there(sides: Sides, tmp_path: Path) -> None:
    write(sides.here, "a")
    await sides.up()
    sides.here.rename(tmp_path / "unmounted")
    with pytest.raises(TransferError, match="cannot be read"):
        await sides.up()
    assert list(shown(sides.there)) == ["a"]


async def test_status_has_a_row_for_each_file(sides: Sides) -> None:
    write(sides.here, "same")
    write(sides.here, "changed")
    await sides.up()
    write(sides.here, "changed", "now")
    write(sides.here, "new")
    assert sides.states() == {"same": IN_BOTH, "changed": TO_BE_SENT, "new": TO_BE_SENT}
    status = sides.sync.status()
    assert status.in_both == 1


async def test_a_frame_without_lists_has_the_folder_listed(sides: Sides) -> None:
    write(sides.here, "a")
    await sides.up()
    write(sides.there, "b")
    said = Files(folder="work", cell="1", sequence=1, is_whole=False, changed=[], removed=[])
    await sides.down(said)
    assert LIST in sides.pod.requests
    assert list(shown(sides.here)) == ["a", "b"]


@pytest.mark.parametrize("size", [10, 50_000])
async def test_a_change_there_while_files_are_sent_is_saved_here(sides: Sides, size: int) -> None:
    sides.pod.piece_bytes = 10_000
    sides.begin()
    write(sides.here, "a.bin", b"o" * size)
    await sides.up()
    write(sides.here, "a.bin", b"m" * size)
    cell = iter([b"t" * size])

    def change(path: str) -> None:
        content = next(cell, None) if path in (BATCH, CONTENT) else None
        if content is not None:
            write(sides.there, "a.bin", content)

    sides.pod.before = change
    told = await sides.up()
    assert told.failures == []
    assert len(told.notes) == 1
    assert (sides.here / "a.bin").read_bytes() == (sides.there / "a.bin").read_bytes() == b"m" * size
    assert (sides.here / "a (from the session).bin").read_bytes() == b"t" * size


async def test_a_file_that_is_written_again_there_as_it_was_is_no_conflict(sides: Sides) -> None:
    write(sides.here, "a.csv", "old")
    await sides.up()
    write(sides.here, "a.csv", "mine")
    write(sides.there, "a.csv", "old")
    assert (await sides.up()).notes == []
    assert shown(sides.there) == shown(sides.here) == {"a.csv": "mine"}


async def test_a_file_that_always_changes_there_is_told_and_not_replaced(sides: Sides) -> None:
    write(sides.here, "a.csv", "old")
    await sides.up()
    write(sides.here, "a.csv", "mine")
    numbers = iter(range(100))

    def change(path: str) -> None:
        if path == BATCH:
            write(sides.there, "a.csv", f"theirs {next(numbers)}")

    sides.pod.before = change
    told = await sides.up()
    assert told.failures == ["'a.csv' changes all the time in the session, and was not sent."]
    assert shown(sides.there)["a.csv"].startswith("theirs")
    assert shown(sides.here)["a.csv"] == "mine"


async def test_files_of_the_same_size_and_time_are_compared(sides: Sides) -> None:
    for root, content in ((sides.here, "mine"), (sides.there, "ours")):  # as archives with fixed times unpack them
        os.utime(write(root, "a.csv", content), (1_000_000_000, 1_000_000_000))
    told = await sides.up()
    assert len(told.notes) == 1
    assert shown(sides.here) == {"a.csv": "mine", "a (from the session).csv": "ours"}
    assert shown(sides.there)["a.csv"] == "mine"


@pytest.mark.parametrize("size", [10, 50_000])
async def test_an_answer_that_was_lost_costs_one_request_more(sides: Sides, size: int) -> None:
    sides.pod.piece_bytes = 100_000
    sides.begin(patience_seconds=60)
    for number in range(50):
        write(sides.here, f"{number}.bin", os.urandom(size))
    lost = iter([True])

    def lose(path: str) -> None:
        if path in (BATCH, CONTENT) and next(lost, False):
            raise PoolUnreachable("The line was cut.")

    sides.pod.after = lose
    await sides.up()
    first = [path for path in sides.pod.requests if path in (BATCH, CONTENT)]
    assert sides.pod.requests == [METADATA, LIST, *first], "nothing is asked about what was sent again"
    assert not sides.sync.has_changed()
    assert [file.name for file in sides.there.iterdir() if file.name.startswith(".")] == []


@pytest.mark.parametrize("name", ["pyproject.toml", "deep/pyproject.toml", ".gitignore", ".remoteignore"])
async def test_what_says_what_a_session_gets_does_not_come_from_it(sides: Sides, name: str) -> None:
    write(sides.here, ".remoteignore", "!.gitignore\n!.remoteignore\n")
    if name != ".remoteignore":
        write(sides.here, name, "# mine")
    await sides.up()
    write(sides.there, name, "# theirs")
    write(sides.there, "new/pyproject.toml", "# theirs")
    before = shown(sides.here)
    told = await sides.down()
    assert shown(sides.here) == before
    assert "it says what a session gets of this machine" in told.notes[0]
    (sides.here / name).unlink()
    await sides.up()
    assert not (sides.here / name).exists()


async def test_what_has_pip_fetch_something_here_does_not_come_from_a_session(tmp_path: Path) -> None:
    sides = Sides(tmp_path)
    write(sides.here, "pyproject.toml", '[tool.remote-kernel]\npackages = "deps/all.txt"\nstartup = "start.py"\n')
    write(sides.here, "deps/all.txt", "numpy\n-r more.txt\n-c ../limits.txt\n-f ../wheels\n")
    write(sides.here, "wheels/index.html", "mine")
    write(sides.here, "other/pyproject.toml", '[tool.remote-kernel]\npackages = "its.txt"\n')
    find = SettingFiles(Settings(), str(sides.here / "a.ipynb"), sides.here).find
    sides.begin(find_settings=find)
    await sides.up()
    before = shown(sides.here)
    refused = (
        "deps/all.txt", "deps/more.txt", "limits.txt", "start.py", "wheels/new.html", "wheels/x-1-py3-none.whl",
        "other/its.txt",
    )  # fmt: skip
    for path in (*refused, "Deps/ALL.txt", "other.txt"):
        write(sides.there, path, "corp-secret-lib\n--extra-index-url http://192.168.1.1/\n")
    told = await sides.down()
    assert shown(sides.here) == {**before, "other.txt": shown(sides.there)["other.txt"]}
    (note,) = told.notes
    assert "it says what a session gets of this machine" in note
    write(sides.there, "wheels/index.html", "theirs")
    sides.pod.rename("pod-2")  # which has all of it in other versions than were agreed on
    sides.files = RemoteFiles(sides.pod)
    sides.sync.forget()
    told = await sides.up()
    assert any("wheels/index.html' stayed in the session" in failure for failure in told.failures)
    for path in refused:
        assert shown(sides.here).get(path) == before.get(path)
    assert [path for path in shown(sides.here) if path.startswith("wheels/")] == ["wheels/index.html"]


async def test_pages_and_wheels_in_a_folder_for_pip_stay_there_and_nothing_else(tmp_path: Path) -> None:
    sides = Sides(tmp_path, find_settings=lambda _projects: {tmp_path / "here", tmp_path / "elsewhere/b.csv"})
    for path in ("a.csv", "b.csv", "a.html", "d/a.HTM", "d/x-1-py3-none-any.whl"):
        write(sides.there, path)
    await sides.down()
    assert [*shown(sides.here)] == ["a.csv", "b.csv"]


async def test_an_answer_that_is_too_large_costs_that_answer(sides: Sides) -> None:
    for number in range(5):
        write(sides.there, f"{number}.csv")

    def say_too_much(path: str) -> None:
        if path == FETCH:
            raise TransferError("The session sends more than it has announced.")

    sides.pod.after = say_too_much
    told = await sides.down()
    assert told.failures == []
    assert shown(sides.here) == shown(sides.there)


async def test_a_file_that_could_not_be_fetched_is_tried_again_with_the_next_cell_and_told_once(sides: Sides) -> None:
    write(sides.here, "mine")
    await sides.up()
    write(sides.there, "d/a.csv")
    write(sides.there, "b.csv")
    said = sides.said("d/a.csv", "b.csv")

    def refuse(path: str) -> None:
        if path in (FETCH, METADATA):
            raise PoolRefused("The disk there is at fault.", status=400, code="Fault")

    sides.pod.before = refuse
    assert len((await sides.down(said)).failures) == 2
    assert sides.sync.has_left_files
    assert (await sides.down(sides.said())).failures == []
    assert len((await sides.down()).failures) == 2, "who asks for it is told again"
    sides.pod.before = lambda _path: None
    assert (await sides.down(sides.said())).failures == []
    assert not sides.sync.has_left_files
    await sides.down(sides.said())
    assert sides.pod.requests == []
    assert shown(sides.here) == shown(sides.there)


async def test_what_fails_and_takes_long_is_not_tried_again_behind_each_cell(sides: Sides) -> None:
    write(sides.here, "mine")
    await sides.up()
    write(sides.there, "large.bin", bytes(MAX_AGAIN_BYTES + 1))

    def refuse(path: str) -> None:
        if path == CONTENT:
            raise PoolRefused("The disk there is at fault.", status=400, code="Fault")

    sides.pod.before = refuse
    assert len((await sides.down(sides.said("large.bin"))).failures) == 1
    await sides.down(sides.said())
    assert sides.pod.requests == []
    sides.pod.before = lambda _path: None
    assert (await sides.down()).failures == []
    assert shown(sides.here) == shown(sides.there)


async def test_more_than_was_announced_does_not_come(tmp_path: Path) -> None:
    sides = Sides(tmp_path, limits=WorkspaceLimits(max_bytes=1_000, max_file_bytes=400))
    for number in range(10):
        write(sides.there, f"{number}.bin", b"x" * 390)
    said = sides.said(*(f"{number}.bin" for number in range(10)))
    small = replace(said, changed=[replace(each, size=1) for each in said.changed])
    told = await sides.down(small)
    assert list(shown(sides.here)) == ["0.bin", "1.bin"]
    assert len(told.failures) == 8


class Held(ThreadPoolExecutor):
    """Threads that begin what they are given when they are let."""

    def __init__(self) -> None:
        super().__init__()
        self.has_work = asyncio.Event()
        self.may_begin = threading.Event()

    def submit(self, function: Any, /, *args: Any, **named: Any) -> "Future[Any]":
        self.has_work.set()
        return super().submit(self._begin, partial(function, *args, **named))

    def _begin(self, function: Any) -> Any:
        assert self.may_begin.wait(60)
        return function()


async def test_an_interrupt_leaves_no_look_to_another_one(sides: Sides) -> None:
    await sides.up()
    assert not sides.sync.has_changed()
    held = Held()
    asyncio.get_running_loop().set_default_executor(held)
    up = start(sides.up(), "up")
    await held.has_work.wait()
    up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await up
    assert not sides.sync.is_known_unchanged(), "a thread looks still"
    assert sides.sync.has_changed()
    write(sides.here, "a")
    held.may_begin.set()
    await sides.up()
    assert shown(sides.there) == {"a": "content"}
    assert not sides.sync.has_changed()


async def test_a_file_that_the_user_writes_while_it_is_fetched_is_kept_twice(sides: Sides) -> None:
    file = write(sides.here, "a.csv", "old")
    await sides.up()
    write(sides.there, "a.csv", "theirs")
    status = file.stat()
    mine = iter(["new"])

    def change(path: str) -> None:
        if path == CONTENT and (content := next(mine, None)):
            file.write_text(content)
            while file.stat().st_ctime_ns == status.st_ctime_ns:
                os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))  # as tools do that keep a time

    sides.pod.before = change
    told = await sides.down()
    assert told.failures == []
    assert shown(sides.here) == {"a.csv": "new", "a (from the session).csv": "theirs"}


async def test_two_kernels_that_fetch_the_same_are_not_in_each_other_s_way(sides: Sides) -> None:
    sides.pod.piece_bytes = 10_000
    sides.begin()
    old, new = os.urandom(50_000), os.urandom(60_000)
    write(sides.here, "a.bin", old)
    await sides.up()
    other = WorkspaceSync(sides.here, "work")
    await other.up(sides.files, Progress(is_upload=True))
    write(sides.there, "a.bin", new)
    write(sides.there, "b.bin", new)
    calls = iter([0])

    async def fetch_as_well(path: str) -> None:
        if path == CONTENT and sides.pod.requests.count(CONTENT) == 3 and next(calls, None) is not None:
            told = await other.down(sides.files, Progress(is_upload=False), None)
            assert (told.failures, told.notes) == ([], [])

    sides.pod.between = fetch_as_well
    told = await sides.down()
    assert (told.failures, told.notes) == ([], [])
    assert next(calls, None) is None
    assert (sides.here / "a.bin").read_bytes() == (sides.here / "b.bin").read_bytes() == new
    assert sorted(file.name for file in sides.here.iterdir()) == ["a.bin", "b.bin"], "nothing is left over"


@pytest.mark.parametrize("becomes", ["new", "old", ""])
@pytest.mark.parametrize("other", ["one", "two"])
async def test_what_another_kernel_has_sent_is_no_change_of_the_session_s(
    sides: Sides, becomes: str, other: str
) -> None:
    """As one of another notebook on the same folder, or a headless run of the same notebook."""
    states = [state_path(sides.scratch, sides.here, "work", name) for name in ("one", other)]
    one, two = (WorkspaceSync(sides.here, "work", state_file=state) for state in states)
    file = write(sides.here, "a.py", "old")
    for sync in (one, two):
        await sync.up(sides.files, Progress(is_upload=True))
    write(sides.here, "a.py", "sent")
    await one.up(sides.files, Progress(is_upload=True))
    if becomes:
        write(sides.here, "a.py", becomes)
    else:
        file.unlink()
    for _ in range(2):
        told = await two.down(sides.files, Progress(is_upload=False), None)
        assert (told.failures, told.notes) == ([], [])
        told = await two.up(sides.files, Progress(is_upload=True))
        assert (told.failures, told.notes) == ([], [])
    assert shown(sides.there) == shown(sides.here) == ({"a.py": becomes} if becomes else {})


async def test_what_another_kernel_of_the_notebook_has_said_is_known_when_it_was_written_over(sides: Sides) -> None:
    state = state_path(sides.scratch, sides.here, "work", "one")
    one, two = (WorkspaceSync(sides.here, "work", state_file=state) for _ in range(2))
    write(sides.here, "a.py", "old")
    for sync in (one, two):
        await sync.up(sides.files, Progress(is_upload=True))
    write(sides.here, "a.py", "sent")
    await one.up(sides.files, Progress(is_upload=True))
    write(sides.there, "b.csv", "made there")
    await two.down(sides.files, Progress(is_upload=False), sides.said("b.csv"))
    write(sides.here, "a.py", "new")
    told = await two.down(sides.files, Progress(is_upload=False), None)
    assert (told.failures, told.notes) == ([], [])
    await two.up(sides.files, Progress(is_upload=True))
    assert shown(sides.there) == shown(sides.here) == {"a.py": "new", "b.csv": "made there"}


@pytest.mark.parametrize("content", ["null\n", "5\n", "[" * 60_000, "{}\n{}", "", "[[1], 2]\n", "HEAD[[[", "\ud800"])
def test_a_state_file_that_is_none_is_as_if_there_were_none(sides: Sides, content: str) -> None:
    head = json.dumps([[str(sides.here), "work"], "pod-1"])
    data = content.replace("HEAD", f"{head}\n{'[' * 60_000}").encode("utf-8", "surrogatepass")
    path = write(sides.scratch, "state.json", data)
    assert StateFile(path, sides.here, "work").load() == Base()


def test_nobody_waits_for_a_pipe_in_the_place_of_a_state_file(sides: Sides) -> None:
    os.mkfifo(sides.scratch / "state.json")
    assert StateFile(sides.scratch / "state.json", sides.here, "work").load() == Base()


async def test_states_of_other_pods_are_not_read_and_old_ones_go(sides: Sides) -> None:
    states = [state_path(sides.scratch, sides.here, "work", name) for name in ("one", "two", "three")]
    write(sides.here, "a")
    for state in states[:2]:
        await WorkspaceSync(sides.here, "work", state_file=state).up(sides.files, Progress(is_upload=True))
    others = StateFile(states[2], sides.here, "work")
    assert len(others.load_others("pod-1")) == 2
    assert others.load_others("pod-2") == []
    head = states[0].read_text().partition("\n")[0]
    states[0].write_text(f"{head}\nno base")
    os.utime(states[1], (1, 1))
    assert len(others.load_others("pod-1")) == 1
    sides.pod.rename("pod-2")
    await WorkspaceSync(sides.here, "work", state_file=states[0]).up(RemoteFiles(sides.pod), Progress(is_upload=True))
    assert states[0].exists()
    assert not states[1].exists()


@pytest.mark.parametrize("is_head", [True, False])
async def test_state_that_is_too_deep_is_none(sides: Sides, is_head: bool) -> None:
    state = state_path(sides.scratch, sides.here, "work", "one")
    write(sides.here, "a")
    await WorkspaceSync(sides.here, "work", state_file=state).up(sides.files, Progress(is_upload=True))
    head, base = state.read_text().split("\n")
    deep = "[" * 50_000
    state.write_text(f"{deep}\n{base}" if is_head else f"{head}\n{deep}")
    assert StateFile(state, sides.here, "work").load().pod == ""


async def test_who_speaks_of_a_pod_that_is_gone_forgets_nothing_of_the_next_one(sides: Sides) -> None:
    write(sides.here, "a")
    await sides.up()
    late = sides.files
    sides.pod.rename("pod-2")
    sides.files = RemoteFiles(sides.pod)
    sides.sync.forget()
    await sides.up()
    with pytest.raises(SessionLost):
        await sides.sync.down(late, Progress(is_upload=False), None)
    assert sides.sync.pod == "pod-2"
    assert not sides.sync.has_changed()
