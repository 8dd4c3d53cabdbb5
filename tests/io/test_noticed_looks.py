"""Looks at what the system has told of, here and in a pod, after anything that can happen to files: as looks at all."""

import contextlib
import mmap
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from remote_kernel.client.workspace.local_files import LocalFiles, Snapshot
from remote_kernel.core.download_paths import System
from remote_kernel.core.workspace.limits import WorkspaceLimits
from remote_kernel.pod.files.looks import look
from remote_kernel.pod.files.watched_folder import WatchedFolder

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell of it"),
    pytest.mark.timeout(400),  # for a machine that does much else
]

NAMES = ("a", "b.csv", "d", "d/a", "d/b", "d/e", "d/e/f", "d/e/f/g", "out", "out/x.tmp", "out/__pycache__", ".hidden")
PATHS = st.sampled_from([*NAMES, "a", "d/a", "d/e/f", "d/.gitignore", "out/pyvenv.cfg", "caf\udce9"])
SIZES = st.integers(0, 40)


class Edits(RuleBasedStateMachine):
    """A folder that programs work in, and the looks at it of a kernel and of an agent."""

    def __init__(self) -> None:
        super().__init__()
        self.scratch = Path(tempfile.mkdtemp(prefix="rk-"))
        self.root = self.scratch / "work"
        self.root.mkdir()
        self.local = self.local_files()
        self.pod = WatchedFolder(self.root)
        self.pod_knows: dict[str, str] = {}
        self.is_first = True
        self.held: dict[str, BinaryIO] = {}
        self.mapped: dict[str, mmap.mmap] = {}
        self.looks = True

    def local_files(self) -> LocalFiles:
        return LocalFiles(self.root, WorkspaceLimits(), System.LINUX)

    def teardown(self) -> None:
        for file in self.held.values():
            file.close()
        for mapped in self.mapped.values():
            mapped.close()
        for folder in [self.scratch, *self.scratch.rglob("*")]:
            if folder.is_dir() and not folder.is_symlink():
                folder.chmod(0o700)
        shutil.rmtree(self.scratch)

    @initialize(paths=st.lists(PATHS, max_size=4))
    def begin(self, paths: list[str]) -> None:
        for path in paths:
            self.write(path, 3)

    def free(self, path: str) -> Path:
        """Return a place for a file, in folders that are there."""
        place = self.root / path
        for above in reversed(place.relative_to(self.root).parents):
            folder = self.root / above
            if folder.is_symlink() or folder.is_file():
                folder.unlink()
            folder.mkdir(parents=True, exist_ok=True)
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        return place

    def existing(self, path: str) -> Path | None:
        """Return a file in its own place, `None` where there is none."""
        place = self.root / path
        return place if place.is_file() and place.resolve() == self.root.resolve() / path else None

    @rule(path=PATHS, size=SIZES)
    def write(self, path: str, size: int) -> None:
        place = self.free(path)
        if place.is_symlink():
            place.unlink()
        place.write_bytes(b"x" * size)

    @rule(path=PATHS, size=SIZES)
    def append(self, path: str, size: int) -> None:
        if place := self.existing(path):
            with place.open("ab") as file:
                file.write(b"y" * size)

    @rule(path=PATHS, size=SIZES)
    def truncate(self, path: str, size: int) -> None:
        if place := self.existing(path):
            os.truncate(place, size)

    @rule(path=PATHS, size=SIZES)
    def replace(self, path: str, size: int) -> None:
        """Save as editors do."""
        place = self.free(path)
        new = place.with_name(".new")
        new.write_bytes(b"z" * size)
        new.replace(place)

    @rule(path=PATHS, to=PATHS)
    def rename(self, path: str, to: str) -> None:
        source, target = self.root / path, self.root / to
        if os.path.lexists(source) and target.parent.is_dir():
            try:
                source.rename(target)
            except OSError:
                return  # a folder into itself, or onto a file, or onto one that is not empty

    @rule(path=PATHS)
    def leave_and_come_back(self, path: str) -> None:
        source, elsewhere = self.root / path, self.scratch / "elsewhere"
        if os.path.lexists(source):
            source.rename(elsewhere)
            if elsewhere.is_dir() and not elsewhere.is_symlink():
                (elsewhere / "more").write_text("more")
            elsewhere.rename(source)

    @rule(path=PATHS, mode=st.sampled_from([0o644, 0o755, 0o600]))
    def change_mode(self, path: str, mode: int) -> None:
        place = self.root / path
        if place.exists():
            place.chmod(mode | (0o700 if place.is_dir() else 0))

    @rule(path=PATHS, time=st.integers(1, 10**9))
    def set_time(self, path: str, time: int) -> None:
        if (self.root / path).exists():
            os.utime(self.root / path, (time, time))

    @rule(path=PATHS, to=PATHS)
    def link(self, path: str, to: str) -> None:
        place = self.free(path)
        place.unlink(missing_ok=True)
        place.symlink_to(self.root / to)

    @rule(path=PATHS, to=PATHS)
    def link_hard(self, path: str, to: str) -> None:
        place = self.free(to)
        if (source := self.existing(path)) and not os.path.lexists(place):
            place.hardlink_to(source)
            source.chmod(source.stat().st_mode)  # of another name in a folder that nobody watches nothing is told

    @rule(path=PATHS)
    def remove(self, path: str) -> None:
        place = self.root / path
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            with contextlib.suppress(OSError):  # nothing, below a file, or below a circle of links
                place.unlink()

    @rule(path=PATHS)
    def make_folders(self, path: str) -> None:
        self.free(f"{path}/deep/deeper")
        (self.root / path / "deep/deeper").mkdir(parents=True)

    @rule(path=PATHS)
    def remove_folder(self, path: str) -> None:
        place = self.root / path
        if place.is_dir() and not place.is_symlink() and not any(place.iterdir()):
            place.rmdir()

    @rule(path=PATHS, text=st.sampled_from(["a\n", "d/\n", "*.csv\n", "!.hidden\n", ""]))
    def write_rules(self, path: str, text: str) -> None:
        while self.mapped:  # what is not looked at for a while is not seen to be mapped
            self.mapped.popitem()[1].close()
        folder = self.root / path
        name = ".remoteignore" if path.endswith("b") else ".gitignore"
        self.write(f"{path}/{name}" if folder.is_dir() and not folder.is_symlink() else name, 0)
        place = folder if folder.is_dir() and not folder.is_symlink() else self.root
        (place / name).write_text(text)

    @rule(path=PATHS)
    def hold(self, path: str) -> None:
        """Have a program keep a file open, and write to it later."""
        if place := self.existing(path):
            if path in self.held:
                self.held.pop(path).close()
            self.held[path] = place.open("r+b")

    @precondition(lambda self: self.held)
    @rule(number=st.integers(0, 5), closes=st.booleans())
    def write_held(self, number: int, closes: bool) -> None:
        path = sorted(self.held)[number % len(self.held)]
        self.held[path].write(b"w")
        self.held[path].flush()
        if closes:
            self.held.pop(path).close()

    @rule(path=PATHS)
    def map(self, path: str) -> None:
        """Have a program map a file to its memory, where somebody looks at it: of others nothing is told."""
        self.looks = True
        self.looks_agree()
        place = self.existing(path)
        if place and place.stat().st_size and path in self.pod_knows and path in self.local.look().files:
            with place.open("r+b") as file:
                if path in self.mapped:
                    self.mapped.pop(path).close()
                self.mapped[path] = mmap.mmap(file.fileno(), 0)

    @precondition(lambda self: self.mapped)
    @rule(number=st.integers(0, 5), closes=st.booleans())
    def store(self, number: int, closes: bool) -> None:
        path = sorted(self.mapped)[number % len(self.mapped)]
        mapped = self.mapped[path]
        place = self.existing(path)
        if place is None or place.stat().st_size < len(mapped):
            return  # what was cut cannot be stored to
        mapped[0] = (mapped[0] + 1) % 256
        mapped.flush()
        if closes:
            self.mapped.pop(path).close()

    @rule(path=PATHS)
    def read(self, path: str) -> None:
        if place := self.existing(path):
            place.read_bytes()

    @rule()
    def replace_root(self) -> None:
        other = self.scratch / "other"
        shutil.copytree(self.root, other, symlinks=True)
        self.root.rename(self.scratch / "old")
        other.rename(self.root)
        shutil.rmtree(self.scratch / "old")

    @rule()
    def look_later(self) -> None:
        """Have several things happen before the next look."""
        self.looks = False

    @invariant()
    def looks_agree(self) -> None:
        if not self.looks:
            self.looks = True
            return
        assert described(self.local.look()) == described(self.local_files().look())
        found = self.pod.look()
        assert found.versions == look(self.root).versions
        if not self.is_first:
            known = {path: version for path, version in self.pod_knows.items() if path not in found.removed}
            assert found.is_compared
            assert known | {file.path: file.version for file in found.changed} == found.versions
        self.is_first, self.pod_knows = False, found.versions


def described(snapshot: Snapshot) -> tuple[object, ...]:
    lists = (sorted(each) for each in (snapshot.empty, snapshot.outside, snapshot.odd, snapshot.closed))
    return (snapshot.files, snapshot.bytes, *lists)


TestEdits = Edits.TestCase
TestEdits.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_what_is_told_late_of_a_folder_is_not_looked_for_behind_a_link_in_its_place() -> None:
    edits = Edits()
    try:
        edits.begin(paths=["d/e/f"])
        edits.looks_agree()
        edits.replace(path="d/b", size=37)
        edits.looks_agree()
        edits.rename(path="d", to="b.csv")
        edits.looks_agree()
        edits.link(path="d", to="b.csv")
        edits.looks_agree()
        edits.replace_root()
        edits.looks_agree()
        edits.looks_agree()
    finally:
        edits.teardown()
