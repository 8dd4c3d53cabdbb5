"""A workspace under all that two users and a bad line can do to it: nothing is lost, and in the end both agree."""

import asyncio
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from remote_kernel.client.files.remote_files import RemoteFiles
from remote_kernel.client.files.transfer import Progress
from remote_kernel.client.workspace.sync import REMOVED_THERE, WorkspaceSync
from remote_kernel.core.errors import PoolUnreachable
from remote_kernel.core.wire.files import BATCH_PATH, CONTENT_PATH
from remote_kernel.core.wire.frames import ChangedFile, Files
from remote_kernel.pod.files.data_folder import DataFolder
from tests.client.pod_folder import PodFolder

pytestmark = pytest.mark.timeout(400)  # for a machine that does much else

T = TypeVar("T")

PATHS = st.sampled_from(["a", "b.csv", "d", "d/a", "d/b", "d/e/a", "e/d"])
HERE, THERE = "here", "there"
SIDES = st.sampled_from([HERE, THERE])


class Inline(ThreadPoolExecutor):
    """Does in the event loop's own thread what others do in one of theirs: thousands of times, it is quicker."""

    def submit(self, function: Callable[..., T], /, *arguments: Any, **named: Any) -> "Future[T]":
        future: Future[T] = Future()
        try:
            future.set_result(function(*arguments, **named))
        except BaseException as error:
            future.set_exception(error)
        return future


class TwoSides(RuleBasedStateMachine):
    """Two users, one at each side, who write, remove and rename; and synchronisations, some of which are cut."""

    def __init__(self) -> None:
        super().__init__()
        self.scratch = Path(tempfile.mkdtemp(prefix="rk-"))
        self.roots = {HERE: self.scratch / HERE, THERE: self.scratch / THERE / "work"}
        for root in self.roots.values():
            root.mkdir(parents=True)
        self.runner = asyncio.Runner()
        self.runner.get_loop().set_default_executor(Inline())
        self.pod = PodFolder(self.scratch / THERE)
        self.numbers = itertools.count(10_000)
        self.precious: set[str] = set()
        self.last_there: dict[str, str] = {}
        self.seen_there: dict[str, str] = {}
        self.frames: list[Files] = []
        self.is_synced = True
        self.restart()

    def teardown(self) -> None:
        self.runner.close()
        shutil.rmtree(self.scratch)

    @initialize(count=st.integers(0, 2))
    def begin(self, count: int) -> None:
        for path in ["a", "d/a"][:count]:
            self.write(HERE, path)

    @rule()
    def restart(self) -> None:
        """Have another process take over."""
        state = self.scratch / "state.json"
        self.sync = WorkspaceSync(self.roots[HERE], "work", state_file=state, patience_seconds=0)
        self.files = RemoteFiles(self.pod)

    @rule(side=SIDES, path=PATHS)
    def write(self, side: str, path: str) -> None:
        """Write a file with new content of the same size, in place; what is in its way goes."""
        file = self.roots[side] / path
        for above in (parent for parent in file.parents if parent.is_file()):
            self.remove(side, str(above.relative_to(self.roots[side])))
        if file.is_dir():
            self.remove(side, path)
        self.give_up(side, path, file.read_text() if file.exists() else "")
        content = f"content {next(self.numbers)}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        if side == THERE:  # its clock ticks for each change; what comes over a network takes longer than a tick
            os.utime(file, ns=(time.time_ns(), time.time_ns()))
        self.precious.add(content)

    @rule(side=SIDES, path=PATHS)
    def remove(self, side: str, path: str) -> None:
        target = self.roots[side] / path
        for file in [target] if target.is_file() else [each for each in target.rglob("*") if each.is_file()]:
            self.give_up(side, str(file.relative_to(self.roots[side])), file.read_text(), is_removed=True)
        if target.is_dir():
            shutil.rmtree(target)
        elif target.is_file():
            target.unlink()

    @rule(side=SIDES, path=PATHS, to=PATHS)
    def rename(self, side: str, path: str, to: str) -> None:
        source, target = self.roots[side] / path, self.roots[side] / to
        if source.exists() and not target.is_dir() and target.parent.is_dir() and source not in target.parents:
            if source.is_dir() and target.exists():
                return
            if target.exists():
                self.give_up(side, to, target.read_text())
            source.rename(target)
            for file in [target] if target.is_file() else target.rglob("*"):
                self.give_up(side, str(file.relative_to(self.roots[side])), "")  # what was removed there before

    def give_up(self, side: str, path: str, content: str, *, is_removed: bool = False) -> None:
        """Note that a user does away with a file. What was removed there stays here, until it is there again."""
        before = self.last_there.pop(path, "") if side == THERE else ""
        if is_removed and side == THERE and content in dict(contents(self.roots[HERE])).values():
            self.last_there[path] = content
        else:
            self.precious -= {before, content}

    @rule(is_cut=st.booleans(), number=st.integers(0, 5), is_answer=st.booleans())
    def up(self, is_cut: bool, number: int, is_answer: bool) -> None:
        self.run(is_up=True, said=None, cut=(number, is_answer) if is_cut else None)

    @rule(number=st.integers(0, 100))
    def up_while_a_cell_writes(self, number: int) -> None:
        """Have a file change there between the look at it and its replacement."""
        paths = [path for path, _ in contents(self.roots[THERE])]
        pending = [paths[number % len(paths)]] if paths else []

        def write(path: str) -> None:
            # One that is not there any more could be in the way of what is sent, which is told, and not tried again.
            if pending and path in (BATCH_PATH, CONTENT_PATH) and (self.roots[THERE] / pending[0]).is_file():
                self.write(THERE, pending.pop())

        self.run(is_up=True, said=None, cut=None, before=write)

    @rule(is_cut=st.booleans(), number=st.integers(0, 5), is_answer=st.booleans())
    def down(self, is_cut: bool, number: int, is_answer: bool) -> None:
        self.run(is_up=False, said=None, cut=(number, is_answer) if is_cut else None)

    @rule()
    def end_cell(self) -> None:
        """Have the agent look at what has changed there since its last look; the kernel hears of it later."""
        entries = DataFolder(self.pod.root).entries("work", recursive=True)
        found = {
            f"{entry.directory}/{entry.name}" if entry.directory else entry.name: entry
            for entry in entries
            if not entry.is_directory
        }
        changed = [
            ChangedFile(path=path, size=entry.size, modified=entry.modified.timestamp(), version=entry.version)
            for path, entry in found.items()
            if self.seen_there.get(path) != entry.version
        ]
        removed = [path for path in self.seen_there if path not in found]
        self.seen_there = {path: entry.version for path, entry in found.items()}
        self.frames.append(Files(folder="work", cell="1", sequence=1, is_whole=True, changed=changed, removed=removed))

    @precondition(lambda self: self.frames)
    @rule()
    def hear(self) -> None:
        self.run(is_up=False, said=self.frames.pop(0), cut=None)

    def run(
        self,
        *,
        is_up: bool,
        said: Files | None,
        cut: tuple[int, bool] | None,
        before: "Callable[[str], None] | None" = None,
    ) -> None:
        countdown = itertools.count()

        def fail(_path: str) -> None:
            if cut is not None and next(countdown) == cut[0]:
                raise PoolUnreachable("The line was cut.")

        self.pod.before, self.pod.after = (fail, passing) if cut and not cut[1] else (before or passing, fail)
        progress = Progress(is_upload=is_up)
        try:
            if is_up:
                told = self.runner.run(self.sync.up(self.files, progress))
            else:
                told = self.runner.run(self.sync.down(self.files, progress, said))
        except PoolUnreachable:
            assert cut is not None
        else:
            assert told.failures == []
        self.pod.before = self.pod.after = passing

    @invariant()
    def nothing_is_lost(self) -> None:
        found = {content for root in self.roots.values() for _, content in contents(root)}
        assert self.precious <= found

    @rule()
    def become_quiet(self) -> None:
        """Have nothing happen but synchronisations; both sides agree then."""
        self.frames.clear()
        for _ in range(2):
            self.run(is_up=True, said=None, cut=None)
            self.run(is_up=False, said=None, cut=None)
        here, there = dict(contents(self.roots[HERE])), dict(contents(self.roots[THERE]))
        stays = {row.path for row in self.sync.status().rows if row.state == REMOVED_THERE}
        assert {path: content for path, content in here.items() if path not in stays} == there
        assert not self.sync.has_changed()


def passing(_path: str) -> None:
    """Let a request pass."""


def contents(root: Path) -> Iterator[tuple[str, str]]:
    for file in sorted(root.rglob("*")):
        if file.is_file() and not file.name.startswith((".",)):
            yield str(file.relative_to(root)), file.read_text()


TestTwoSides = TwoSides.TestCase
TestTwoSides.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
