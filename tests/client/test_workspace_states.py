"""A workspace under all that two users, two kernels and a bad line can do to it: nothing is lost, and in the end both
sides agree."""

import asyncio
import itertools
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum, auto
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
KERNELS = st.integers(0, 1)

# Less than any file has.
FULL_BYTES = 4


class Time(Enum):
    """Time that a file is given when it is written."""

    NOW = auto()
    SKEWED = auto()  # as by a clock that is an hour late
    FIXED = auto()  # as archives have it
    RESTORED = auto()  # that of the file that was there


class Fault(Enum):
    """Fault of one synchronisation, from its nth request on."""

    CUT = auto()
    LOST_ANSWER = auto()
    INTERRUPT = auto()
    FULL_HERE = auto()
    FULL_THERE = auto()


TIMES = st.sampled_from(Time)
FAULTS = st.none() | st.tuples(st.sampled_from(Fault), st.integers(0, 9))


@dataclass
class Kernel:
    """One of two kernels that have the same workspace, in the same session.

    Attributes:
        seen: versions of the session's files at the end of its last cell.
        frames: what the agent has said, and the kernel has not heard so far.
    """

    state: Path
    sync: WorkspaceSync
    files: RemoteFiles
    seen: dict[str, str] = field(default_factory=dict)
    frames: list[Files] = field(default_factory=list)


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
    """Two users, one at each side, who write, remove and rename; and synchronisations of two kernels, some of which
    fail."""

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
        self.kernels = [self.start(self.scratch / f"state-{number}.json") for number in range(2)]

    def start(self, state: Path) -> Kernel:
        sync = WorkspaceSync(self.roots[HERE], "work", state_file=state, patience_seconds=0)
        return Kernel(state, sync, RemoteFiles(self.pod))

    def teardown(self) -> None:
        try:
            self.become_quiet()
            self.nothing_is_lost()
        finally:
            self.runner.close()
            shutil.rmtree(self.scratch)

    @initialize(count=st.integers(0, 2), is_same_notebook=st.booleans())
    def begin(self, count: int, is_same_notebook: bool) -> None:
        if is_same_notebook:
            self.kernels[1] = self.start(self.kernels[0].state)
        for path in ["a", "d/a"][:count]:
            self.write(HERE, path, Time.NOW)

    @rule(number=KERNELS, forgets=st.booleans())
    def restart(self, number: int, forgets: bool) -> None:
        """Have another process take over, which may find nothing of what was agreed on."""
        state = self.kernels[number].state
        if forgets:
            state.unlink(missing_ok=True)
        self.kernels[number] = self.start(state)

    @rule(side=SIDES, path=PATHS, time=TIMES)
    def write(self, side: str, path: str, time: Time) -> None:
        """Write a file with new content of the same size, in place; what is in its way goes."""
        self.put(side, path, f"content {next(self.numbers)}", time)

    @rule(path=PATHS, one=TIMES, two=TIMES)
    def write_both(self, path: str, one: Time, two: Time) -> None:
        """Write a file on both sides."""
        self.write(HERE, path, one)
        self.write(THERE, path, two)

    @rule(side=SIDES, path=PATHS, time=TIMES)
    def write_the_same(self, side: str, path: str, time: Time) -> None:
        """Write what is on the other side."""
        other = self.roots[THERE if side == HERE else HERE] / path
        if other.is_file():
            self.put(side, path, other.read_text(), time)

    def put(self, side: str, path: str, content: str, time: Time) -> None:
        file = self.roots[side] / path
        for above in (parent for parent in file.parents if parent.is_file()):
            self.remove(side, str(above.relative_to(self.roots[side])))
        if file.is_dir():
            self.remove(side, path)
        before = file.stat().st_mtime_ns if file.exists() else 0
        self.give_up(side, path, file.read_text() if file.exists() else "")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        self.set_time(file, time, before)
        self.precious.add(content)

    def set_time(self, file: Path, time_kind: Time, before: int) -> None:
        """Give a file its time, a tick later than all that was done before: nothing comes over a network in less."""
        now = time.time_ns()
        modified = {
            Time.NOW: now, Time.SKEWED: now - 3_600_000_000_000, Time.FIXED: 10**18, Time.RESTORED: before or now,
        }[time_kind]  # fmt: skip
        clock = self.scratch / "clock"
        clock.touch()
        while file.stat().st_ctime_ns <= clock.stat().st_ctime_ns:
            os.utime(file, ns=(modified, modified))

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

    @rule(number=KERNELS, fault=FAULTS)
    def up(self, number: int, fault: "tuple[Fault, int] | None") -> None:
        self.run(self.kernels[number], is_up=True, fault=fault)

    @rule(number=KERNELS, fault=FAULTS)
    def down(self, number: int, fault: "tuple[Fault, int] | None") -> None:
        self.run(self.kernels[number], is_up=False, fault=fault)

    @rule(kernel=KERNELS, number=st.integers(0, 100), time=TIMES)
    def up_while_a_cell_writes(self, kernel: int, number: int, time: Time) -> None:
        """Have a file change there between the look at it and its replacement."""
        pending = self.one_of(THERE, number)

        def write(path: str) -> None:
            # One that is not there any more could be in the way of what is sent, which is told, and not tried again.
            if pending and path in (BATCH_PATH, CONTENT_PATH) and (self.roots[THERE] / pending[0]).is_file():
                self.write(THERE, pending.pop(), time)

        self.run(self.kernels[kernel], is_up=True, before=write)

    @rule(kernel=KERNELS, number=st.integers(0, 100), time=TIMES)
    def down_while_the_user_writes(self, kernel: int, number: int, time: Time) -> None:
        """Have a file change here between the look at it and its replacement."""
        pending = self.one_of(HERE, number)

        def write(path: str) -> None:
            if pending and path == CONTENT_PATH and (self.roots[HERE] / pending[0]).is_file():
                self.write(HERE, pending.pop(), time)

        self.run(self.kernels[kernel], is_up=False, before=write)

    @rule(is_up=st.booleans(), crosses_up=st.booleans(), number=st.integers(0, 5))
    def cross(self, is_up: bool, crosses_up: bool, number: int) -> None:
        """Have the other kernel synchronise in the middle of a synchronisation."""
        countdown = itertools.count()

        async def other(_path: str) -> None:
            if next(countdown) == number:
                one = self.kernels[1]
                progress = Progress(is_upload=crosses_up)
                told = await (
                    one.sync.up(one.files, progress) if crosses_up else one.sync.down(one.files, progress, None)
                )
                assert told.failures == []

        self.pod.between = other
        try:
            self.run(self.kernels[0], is_up=is_up)
        finally:
            self.pod.between = None

    def one_of(self, side: str, number: int) -> list[str]:
        paths = [path for path, _ in contents(self.roots[side])]
        return [paths[number % len(paths)]] if paths else []

    @rule(number=KERNELS)
    def end_cell(self, number: int) -> None:
        """Have the agent look at what has changed there since its last look; the kernel hears of it later."""
        kernel = self.kernels[number]
        entries = DataFolder(self.pod.root).entries("work", recursive=True)
        found = {
            f"{entry.directory}/{entry.name}" if entry.directory else entry.name: entry
            for entry in entries
            if not entry.is_directory
        }
        changed = [
            ChangedFile(path=path, size=entry.size, modified=entry.modified.timestamp(), version=entry.version)
            for path, entry in found.items()
            if kernel.seen.get(path) != entry.version
        ]
        removed = [path for path in kernel.seen if path not in found]
        kernel.seen = {path: entry.version for path, entry in found.items()}
        kernel.frames.append(
            Files(folder="work", cell="1", sequence=1, is_whole=True, changed=changed, removed=removed)
        )

    @precondition(lambda self: any(kernel.frames for kernel in self.kernels))
    @rule(fault=FAULTS)
    def hear(self, fault: "tuple[Fault, int] | None") -> None:
        kernel = next(kernel for kernel in self.kernels if kernel.frames)
        self.run(kernel, is_up=False, said=kernel.frames.pop(0), fault=fault)

    def run(
        self,
        kernel: Kernel,
        *,
        is_up: bool,
        said: Files | None = None,
        fault: "tuple[Fault, int] | None" = None,
        before: "Callable[[str], None] | None" = None,
    ) -> None:
        kind, start = fault or (None, 0)
        faults = Faults(kind, start)
        self.pod.before = before or faults.before
        self.pod.after = faults.after
        progress = Progress(is_upload=is_up)
        try:
            if is_up:
                told = self.runner.run(kernel.sync.up(kernel.files, progress))
            else:
                told = self.runner.run(kernel.sync.down(kernel.files, progress, said))
        except PoolUnreachable:
            assert kind in (Fault.CUT, Fault.LOST_ANSWER)
        except asyncio.CancelledError:
            assert kind is Fault.INTERRUPT
        else:
            assert told.failures == [] or kind in (Fault.FULL_HERE, Fault.FULL_THERE)
        finally:
            faults.end()
            self.pod.before = self.pod.after = passing

    @invariant()
    def nothing_is_lost(self) -> None:
        found = {content for root in self.roots.values() for _, content in contents(root)}
        assert self.precious <= found

    @rule()
    def become_quiet(self) -> None:
        """Have nothing happen but synchronisations; both sides agree then."""
        for _ in range(3):
            for kernel in self.kernels:
                kernel.frames.clear()
                self.touch_all()
                self.run(kernel, is_up=True)
                self.run(kernel, is_up=False)
        here, there = dict(contents(self.roots[HERE])), dict(contents(self.roots[THERE]))
        for kernel in self.kernels:
            stays = {row.path for row in kernel.sync.status().rows if row.state == REMOVED_THERE}
            assert {path: content for path, content in here.items() if path not in stays} == there
            assert not kernel.sync.has_changed()

    def touch_all(self) -> None:
        """Touch all files here, so that those are tried again that a full disk has kept from being sent."""
        for path, _ in contents(self.roots[HERE]):
            (self.roots[HERE] / path).touch()


class Faults:
    """What goes wrong at the requests of one synchronisation."""

    def __init__(self, kind: Fault | None, start: int) -> None:
        self._kind = kind
        self._left = start
        self._limit = resource.getrlimit(resource.RLIMIT_FSIZE)

    def before(self, _path: str) -> None:
        """Be called when a request has arrived there."""
        self._left -= 1
        is_due = self._left < 0
        if self._left == -1 and self._kind is Fault.CUT:
            raise PoolUnreachable("The line was cut.")
        if self._left == -1 and self._kind is Fault.INTERRUPT:
            raise asyncio.CancelledError
        self._fill(is_due and self._kind is Fault.FULL_THERE)

    def after(self, _path: str) -> None:
        """Be called when it is about to be answered."""
        if self._left == -1 and self._kind is Fault.LOST_ANSWER:
            raise PoolUnreachable("The line was cut.")
        self._fill(self._left < 0 and self._kind is Fault.FULL_HERE)

    def end(self) -> None:
        self._fill(is_full=False)

    def _fill(self, is_full: bool) -> None:
        soft, hard = self._limit
        resource.setrlimit(resource.RLIMIT_FSIZE, (FULL_BYTES if is_full else soft, hard))


def passing(_path: str) -> None:
    """Let a request pass."""


def contents(root: Path) -> Iterator[tuple[str, str]]:
    for file in sorted(root.rglob("*")):
        if file.is_file() and not file.name.startswith((".",)):
            yield str(file.relative_to(root)), file.read_text()


TestTwoSides = pytest.mark.slow(TwoSides.TestCase)
TestTwoSides.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
