"""Synchronisation of a workspace: up before a cell runs, down after it has ended, and nothing lost on either side."""

import asyncio
import sys
import threading
import time
from asyncio import Future
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from remote_kernel.client.files.patient_files import PatientFiles
from remote_kernel.client.files.remote_files import RemoteFiles
from remote_kernel.client.files.transfer import Progress, Told, list_names
from remote_kernel.client.workspace.admission import There
from remote_kernel.client.workspace.comparison import Changes, compare
from remote_kernel.client.workspace.down import Down
from remote_kernel.client.workspace.local_files import LocalFiles, Snapshot
from remote_kernel.client.workspace.state_file import StateFile
from remote_kernel.client.workspace.up import Up
from remote_kernel.core.download_paths import System
from remote_kernel.core.errors import SessionLost
from remote_kernel.core.wire.frames import ChangedFile, Files
from remote_kernel.core.workspace.base import NO_STAMP, Base, Stamp
from remote_kernel.core.workspace.limits import WorkspaceLimits
from remote_kernel.core.workspace.plan import Change

P = ParamSpec("P")
T = TypeVar("T")

DEFAULT_PATIENCE_SECONDS = 60.0

# So many files are looked at without a thread: in less time than it takes to start one.
AT_ONCE = 50

# What could not be fetched is tried again behind each cell where it is no more: nobody waits long for what fails again.
MAX_AGAIN = 20
MAX_AGAIN_BYTES = 1_000_000

# How often it is looked whether another thread has ended its look.
_LOOK_SECONDS = 0.005

IN_BOTH = "in both"
TO_BE_SENT = "is sent before the next cell"
IN_CONFLICT = "was changed on both sides: the one here is sent before the next cell"
REMOVED_HERE = "was removed here, and is removed in the session before the next cell"
REMOVED_THERE = "was removed in the session, and stays here"
NOT_SENT = "could not be sent, and is tried again when it has changed"
LEADS_OUT = "stays here: a link that leads out of the workspace, or to what does not travel"
ODD_NAME = "stays here: its name cannot be in the session"
OWN = "stays here: it is the notebook that runs, and is saved all the time"
CLOSED = "stays here: the folder may not be read"


@dataclass(frozen=True, slots=True)
class SyncRow:
    """A file of the workspace, and its state in words."""

    path: str
    state: str


@dataclass(frozen=True, slots=True)
class SyncStatus:
    """State of a workspace: all files, by path."""

    rows: list[SyncRow]

    @property
    def in_both(self) -> int:
        """Number of files that are the same on both sides."""
        return sum(row.state == IN_BOTH for row in self.rows)


class WorkspaceSync:
    """Keeps a folder the same here and in a session.

    `up` and `down` wait for one another, and can be cancelled at any time: what was done is noted, and goes on with the
    next call, which waits for a look that has not ended.

    Args:
        root: the workspace here.
        folder: the workspace in the session, below its data folder; "" for that itself.
        state_file: where it is kept what was agreed on; `None` for nowhere.
        patience_seconds: how long nothing at all may get through before a call fails.
        system: the names that can be here.
        own: the path below the workspace of the notebook that runs, which stays here; "" for none.
        find_settings: given folders here with settings of a project, returns the files and folders that say what a
            session gets of this machine, and that no session changes; it may block.
    """

    def __init__(
        self,
        root: Path,
        folder: str = "",
        *,
        limits: WorkspaceLimits | None = None,
        state_file: Path | None = None,
        patience_seconds: float = DEFAULT_PATIENCE_SECONDS,
        system: System | None = None,
        own: str = "",
        find_settings: Callable[[Iterable[Path]], Collection[Path]] = lambda _projects: (),
    ) -> None:
        self.root = root.absolute()
        self.folder = folder
        self._patience_seconds = patience_seconds
        self._local = LocalFiles(
            self.root, limits or WorkspaceLimits(), system or System.of_platform(sys.platform), own
        )
        self._find_settings = find_settings
        self._state_file = StateFile(state_file, self.root, folder)
        self._base = self._state_file.load()
        self._failed: dict[str, Stamp] = {}
        self._left_there: dict[str, There] = {}
        self._told_failures: set[str] = set()
        # All files as they were when nothing had changed, so that the next look can compare them at once.
        self._unchanged: dict[str, Stamp] | None = None
        self._told_of: set[str] = set()
        self._lock = asyncio.Lock()
        self._looks = threading.Lock()
        self._work: Future[Any] | None = None

    def is_known_unchanged(self) -> bool:
        """Return whether it can be told at once that there is nothing to be sent."""
        if not self._looks.acquire(blocking=False):
            return False
        try:
            snapshot = self._local.look_at_touched(AT_ONCE)
            return snapshot is not None and self._is_unchanged(snapshot)
        finally:
            self._looks.release()

    def has_changed(self) -> bool:
        """Return whether there is anything to be sent. Blocks, for some milliseconds per thousand files at most.

        Raises:
            TransferError: the folder is beyond the limits, or cannot be read.
        """
        if not self._looks.acquire(blocking=False):
            return True  # `up` waits for its turn
        try:
            return bool(self._compare(self._local.look()))
        finally:
            self._looks.release()

    async def up(self, files: RemoteFiles, progress: Progress) -> Told:
        """Make the session have what is here; return what the user may not expect.

        What has changed in the session, too, is saved here first, beside the file that is sent. A file that changes
        while it is sent is sent again.

        Raises:
            TransferError: the folder is beyond the limits, or cannot be read; nothing was sent.
            PoolError: it may be called again, and goes on.
            SessionLost: the pod is another one; the next call sends everything.
        """
        async with self._alone():
            snapshot = await self._run(self._look)
            changes = await self._run(self._compare, snapshot)
            told = Told()
            self._tell_left_out(snapshot, told)
            if changes:
                async with self._session(files, progress, told) as (up, _, is_new):
                    if is_new:
                        changes = await self._run(self._compare, snapshot)
                    await up.run(changes)
            return told

    async def down(self, files: RemoteFiles, progress: Progress, said: Files | None) -> Told:
        """Bring here what has changed in the session; return what the user may not expect.

        What could not be fetched by the last call is tried again, unless it is much; the same failure is told again
        only where `said` is `None`.

        Args:
            said: what the pod said behind a cell; `None` for all that has changed since it was looked last.

        Raises:
            TransferError: the folder here is beyond the limits, or cannot be read.
            PoolError: it may be called again, with `None`.
            SessionLost: the pod is another one; the next `up` sends everything.
        """
        async with self._alone():
            told = Told()
            if said is not None and said.is_whole and not (self._left_there or self._concerns(said)):
                return told
            async with self._session(files, progress, told) as (_, down, _):
                there, gone = await self._look_there(down, said)
                for path in gone:
                    down.note_gone(path)
                changed = {path: each for path, each in there.items() if self._has_changed_there(path, each)}
                if changed:
                    await down.run(changed, await self._run(self._look))
                left = {path: each for path, each in changed.items() if path in down.failed}
                is_quick = len(left) <= MAX_AGAIN and sum(each.size for each in left.values()) <= MAX_AGAIN_BYTES
                self._left_there = left if is_quick else {}
            failures, known = told.failures, self._told_failures if said is not None else set()
            told.failures = [sentence for sentence in failures if sentence not in known]
            self._told_failures = {*failures}
            return told

    @property
    def has_left_files(self) -> bool:
        """Return whether files could not be fetched, which the next `down` tries again."""
        return bool(self._left_there)

    @property
    def pod(self) -> str:
        """The pod with which something was agreed on; "" for none."""
        return self._base.pod

    @property
    def agreed(self) -> dict[str, str]:
        """The SHA-256 of each file that is the same on both sides, as far as both have looked."""
        return {path: agreed.sha256 for path, agreed in self._base.files.items() if agreed.version}

    def forget(self) -> None:
        """Forget what was agreed on, as the pod is gone: the next `up` sends everything."""
        self._begin(Base())
        self._state_file.save(self._base)

    def status(self) -> SyncStatus:
        """Return how each file is. Blocks, also for as long as a transfer takes; raises as `has_changed` does."""
        with self._looks:
            snapshot = self._local.look()
            changes = self._compare(snapshot)
            states = {path: self._state_of(path, changes) for path in snapshot.files}
            states |= dict.fromkeys(changes.removed, REMOVED_HERE)
            states |= dict.fromkeys(snapshot.outside, LEADS_OUT)
            states |= dict.fromkeys(snapshot.odd, ODD_NAME)
            states |= dict.fromkeys(snapshot.closed, CLOSED)
            if self._local.own and self._local.has_file(self._local.own):
                states[self._local.own] = OWN
            return SyncStatus([SyncRow(*each) for each in sorted(states.items())])

    def _state_of(self, path: str, changes: Changes) -> str:
        agreed = self._base.files.get(path)
        if path in changes.files:
            return IN_CONFLICT if agreed and agreed.stamp == NO_STAMP and agreed.version else TO_BE_SENT
        if agreed is None or path in self._failed:
            return NOT_SENT
        return IN_BOTH if agreed.version else REMOVED_THERE

    def _look(self) -> Snapshot:
        """Return how the files are, with what may not be changed as it is named now."""
        snapshot = self._local.look()
        self._local.name_settings(self._find_settings(self._local.projects(snapshot)))
        return snapshot

    def _begin(self, base: Base) -> None:
        self._base = base
        self._unchanged = None
        self._failed.clear()
        self._left_there.clear()

    def _is_unchanged(self, snapshot: Snapshot) -> bool:
        """Return whether files are those that were compared last, and need not be compared again."""
        return snapshot.files is self._unchanged and snapshot.empty == self._base.folders

    def _compare(self, snapshot: Snapshot) -> Changes:
        if self._unchanged == snapshot.files:
            self._unchanged = snapshot.files
        if self._is_unchanged(snapshot):
            return Changes()
        base = self._base
        changes = compare(self._local, base, snapshot, self._failed)
        is_racy = any(agreed.is_racy for agreed in base.files.values())
        # What was agreed on may have been forgotten meanwhile.
        self._unchanged = None if changes or is_racy or base is not self._base else snapshot.files
        return changes

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Wait until nobody else reads or changes the base."""
        async with self._lock:
            while not self._looks.acquire(blocking=False):  # noqa: ASYNC110 - a thread has it, and for milliseconds
                await asyncio.sleep(_LOOK_SECONDS)
            try:
                yield
            finally:
                if self._work is None or self._work.done():
                    self._looks.release()
                else:
                    self._work.add_done_callback(self._end_turn)

    async def _run(self, function: Callable[P, T], /, *args: P.args, **named: P.kwargs) -> T:
        """Call a function in a thread; one that nobody waits for any more ends, and then others have their turn."""
        self._work = work = asyncio.get_running_loop().run_in_executor(None, partial(function, *args, **named))
        await asyncio.wait([work])
        return work.result()

    def _end_turn(self, work: "Future[Any]") -> None:
        self._looks.release()
        work.exception()  # which was for who has been interrupted

    @asynccontextmanager
    async def _session(
        self, files: RemoteFiles, progress: Progress, told: Told
    ) -> AsyncIterator[tuple[Up, Down, bool]]:
        """Give both ways to a pod, and say whether it is another one than before; keep the base in the end."""
        patient = PatientFiles(files, progress, self._patience_seconds)
        try:
            if not files.pod or self._base.pod not in ("", files.pod):  # which may be one that is gone by now
                await patient.describe("")
            is_new = self._base.pod != files.pod
            self._unchanged = None
            if is_new:
                self._begin(Base(files.pod))
                await self._run(self._state_file.remove_stale, time.time())
            base = self._base
            down = Down(patient, self.folder, self._local, base, self._state_file, told)
            yield (
                Up(patient, self.folder, self._local, base, down, told, self._failed),
                down,
                is_new,
            )
        except SessionLost:
            if self._base.pod == files.pod:
                self._begin(Base())
            raise
        finally:
            progress.wait = None
            await self._run(self._state_file.save, self._base)

    async def _look_there(self, down: Down, said: Files | None) -> tuple[dict[str, There], list[str]]:
        """Return the files that are there, or those that were named, and what is gone."""
        if said is not None and said.is_whole:
            named = {each.path: There(size=each.size, version=each.version) for each in said.changed}
            named = {path: each for path, each in self._left_there.items() if path not in said.removed} | named
            return named, [path for path in said.removed if path not in named]
        listed = await down.list_there()
        there = {path: each for path, each in listed.items() if each is not None}
        return there, [path for path, agreed in self._base.files.items() if agreed.version and path not in there]

    def _concerns(self, said: Files) -> bool:
        """Return whether anything of what was said is news."""
        known = self._base.files
        return any(self._has_changed_there(each.path, each) for each in said.changed) or any(
            path in known and known[path].version for path in said.removed
        )

    def _has_changed_there(self, path: str, there: "There | ChangedFile") -> bool:
        return self._base.change_there(path, there.version) is Change.CHANGED

    def _tell_left_out(self, snapshot: Snapshot, told: Told) -> None:
        """Tell once of what does not travel although the rules let it."""
        for paths, why in (
            (snapshot.outside, "Links that lead out of the workspace, or to what does not travel, are not sent"),
            (snapshot.odd, "What has a name that cannot be in the session is not sent"),
            (snapshot.closed, "Folders that may not be read are not sent"),
        ):
            new = sorted(set(paths) - self._told_of)
            self._told_of.update(new)
            if new:
                told.notes.append(f"{why}: {list_names(new)}.")
