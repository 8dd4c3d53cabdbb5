"""The files of a workspace on this machine: what travels of them, and how they are.

A look is made before each cell, so it is quick. Where the system tells what has happened since the last one
(`io.folder_watch`), it looks at nothing else. Where it does not, or more has happened than to files, a look goes
through the whole folder: what the rules say of a name is remembered for as long as the rules stand, and of each file
nothing is read but what the system says of it.
"""

import os
import stat
import sys
from collections.abc import Collection, Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from remote_kernel.client.workspace.folder_rules import PROJECT_FILE, Folder, Refusals, RuleFolders, Verdict
from remote_kernel.client.workspace.stamps import Measured, measure, stamp_of
from remote_kernel.core.download_paths import System, shown
from remote_kernel.core.errors import TransferError
from remote_kernel.core.workspace.base import NO_STAMP, Stamp
from remote_kernel.core.workspace.limits import WorkspaceLimits
from remote_kernel.core.workspace.rules import (
    ENVIRONMENT_MARKS,
    RULE_FILES,
    FolderRules,
    is_environment,
)
from remote_kernel.io.folder_watch import FolderWatch

# So many files are looked at one by one; for more of them a look through the folder is no slower.
MAX_TOUCHED = 500

# On Windows, a listing knows no inodes, and may be behind what was written just now: each file is asked by itself.
_ASKS_EACH = sys.platform == "win32"

# The bits of a mode that say what kind of file it is.
_KIND = 0o170000

_Children = dict[str, os.DirEntry[str]]


@dataclass(slots=True)
class Snapshot:
    """The workspace at one moment.

    Attributes:
        files: what travels, by path; also links to such files.
        empty: folders without anything that travels.
        outside: links that lead elsewhere, or to what does not travel.
        odd: what has a name that cannot be on the other side, or that nobody could read.
        closed: folders that may not be read.
        bytes: of all files together.
    """

    files: dict[str, Stamp] = field(default_factory=dict)
    empty: set[str] = field(default_factory=set)
    outside: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    bytes: int = 0


@dataclass(slots=True)
class _LastLook:
    """Outcome of a look, as the next one has to know it.

    Attributes:
        above: the rules of the folders above.
        linked: files that can be changed by another name.
        links: symbolic ones, and what they led to.
    """

    snapshot: Snapshot
    above: FolderRules | None
    linked: set[str]
    links: list[str]
    followed: dict[str, Stamp | None]


class LocalFiles:
    """The files of a workspace. All methods block.

    Args:
        root: the workspace.
        system: the names that it can have.
        own: the path of a file in it that does not travel, whatever the rules say; "" for none.
    """

    def __init__(self, root: Path, limits: WorkspaceLimits, system: System, own: str = "") -> None:
        self.root = root
        self._root = os.fspath(root)
        self.limits = limits
        self.system = system
        self.own = own
        self._rules = RuleFolders(root, system, own)
        self._watch = FolderWatch.begin(self._root)
        self._last: _LastLook | None = None

    def look(self) -> Snapshot:
        """Return how the files are.

        Raises:
            TransferError: they are more than the limits allow, or the folder cannot be read.
        """
        snapshot = self.look_at_touched()
        return self.look_through() if snapshot is None else snapshot

    def look_at_touched(self, most: int = MAX_TOUCHED) -> Snapshot | None:
        """Return how the files are, which is the last snapshot itself where nothing has changed since.

        Return `None` where that takes a look through the folder.

        Args:
            most: how many files may be looked at.
        """
        last = self._last
        if self._watch is None or last is None or not self._watch.read():
            return None
        paths = self._watch.notices.paths | last.linked
        if len(paths) + len(last.links) > most or self._rules.above() is not last.above:
            return None
        if not paths.isdisjoint(last.links):
            return None
        snapshot = self._renew(last.snapshot, paths)
        if snapshot is None or (last.links and self._follow(last.links, snapshot.files) != last.followed):
            return None
        self._watch.notices.settle()
        last.snapshot = snapshot
        return snapshot

    def _renew(self, snapshot: Snapshot, paths: set[str]) -> Snapshot | None:
        """Return a snapshot with files as they are now, `None` where that is not all that has changed."""
        changed: dict[str, Stamp] = {}
        for path in paths:
            if not self._look_at(path, snapshot, changed):
                return None
        if not changed:
            return snapshot
        known = snapshot.files
        total = snapshot.bytes + sum(stamp[2] - known.get(path, NO_STAMP)[2] for path, stamp in changed.items())
        files = {**known, **changed}
        limits = self.limits
        largest = max(stamp[2] for stamp in changed.values())
        if len(files) > limits.max_files or total > limits.max_bytes or largest > limits.max_file_bytes:
            return None
        return replace(snapshot, files=files, bytes=total)

    def _look_at(self, path: str, snapshot: Snapshot, changed: dict[str, Stamp]) -> bool:
        """Add a file to those that have changed, if it has; return whether nothing else has."""
        try:
            status = os.lstat(f"{self._root}/{path}")
        except (FileNotFoundError, NotADirectoryError):
            status = None
        except OSError:
            return False
        if status is not None and status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            return stamp_of(status) == snapshot.files.get(path)  # else a file of another name has changed as well
        above, _, name = path.rpartition("/")
        folder = self._rules.known.get(above)
        if folder is None or (above and name in ENVIRONMENT_MARKS):  # an environment, or about to be one
            return name not in ENVIRONMENT_MARKS or (status is None) == (folder is not None)
        if name in RULE_FILES and self._rules.stamps(above) != folder.stamps:
            return False
        return self._compare(folder, name, status, snapshot, changed)

    def _compare(
        self,
        folder: Folder,
        name: str,
        status: os.stat_result | None,
        snapshot: Snapshot,
        changed: dict[str, Stamp],
    ) -> bool:
        stays, path = Verdict.STAYS, folder.prefix + name
        before = snapshot.files.get(path)
        if folder.folders.get(name, stays) is not stays or folder.files.get(name) is Verdict.ODD:
            return False  # a folder that travels may have come or gone
        if status is None:
            return before is None
        is_folder, stamp = stat.S_ISDIR(status.st_mode), stamp_of(status)
        verdict = (folder.folders if is_folder else folder.files).get(name) or folder.decide(name, is_folder=is_folder)
        is_special = not (is_folder or stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode))
        if verdict is stays or (is_special and verdict is not Verdict.ODD):
            return before is None
        if stamp == before:
            return True
        is_first = before is None and folder.prefix[:-1] in snapshot.empty
        if verdict is Verdict.ODD or not stat.S_ISREG(status.st_mode) or is_first:
            return False
        changed[path] = stamp
        return True

    def look_through(self) -> Snapshot:
        """Return how the files are, whatever was noticed; raises as `look` does."""
        self._last = None
        if self._watch is not None:
            self._watch.begin_round()
        snapshot = Snapshot()
        linked: set[str] = set()
        folders: dict[str, Folder] = {}
        links: list[str] = []
        todo: list[tuple[str, FolderRules | None]] = [("", self._rules.above())]
        entries = 0
        rules_above = todo[0][1]
        while todo:
            path, above = todo.pop()
            self._enter(path)
            children = self._list(path, snapshot)
            entries += len(children)
            if entries > self.limits.max_entries:
                raise self.limits.too_many_entries(self._root)
            if path and is_environment(children):
                continue
            folder = folders[path] = self._rules.read(path, above, children)
            below = self._look_into(folder, children, snapshot, links, linked)
            todo += [(name, folder.rules) for name in below]
            if len(snapshot.files) > self.limits.max_files:
                raise self.limits.too_many(self._root)
        self._rules.known = folders
        followed = self._follow(links, snapshot.files)
        for path, stamp in followed.items():
            if stamp is None:
                snapshot.outside.append(path)
            else:
                snapshot.files[path] = stamp
                snapshot.bytes += stamp[2]
        self.limits.check(self._root, snapshot.bytes, 0, "")
        if self._watch is not None:
            self._watch.end_round()
            self._last = _LastLook(snapshot, rules_above, linked, links, followed)
        return snapshot

    def _enter(self, folder: str) -> None:
        """Have the system tell of a folder, as far as it can."""
        if self._watch is not None:
            self._watch = self._watch.enter(folder)

    def _list(self, path: str, snapshot: Snapshot) -> _Children:
        try:
            with os.scandir(f"{self._root}/{path}") as listing:
                return {entry.name: entry for entry in listing}
        except OSError as error:
            if not path:
                raise TransferError(f"The workspace '{shown(self._root)}' cannot be read: {error.strerror}.") from None
            if not isinstance(error, FileNotFoundError | NotADirectoryError):
                snapshot.closed.append(path)
            return {}

    def _look_into(
        self, folder: Folder, children: _Children, snapshot: Snapshot, links: list[str], linked: set[str]
    ) -> list[str]:
        """Add what is in a folder; return the folders in it that travel. No more is asked of a file than it takes."""
        prefix, known, files, total = folder.prefix, folder.files, snapshot.files, 0
        travels, count, most = Verdict.TRAVELS, len(snapshot.files), self.limits.max_file_bytes
        below: list[str] = []
        for name, entry in children.items():
            if entry.is_dir(follow_symlinks=False):
                verdict = folder.folders.get(name) or folder.decide(name, is_folder=True)
                if verdict is travels:
                    below.append(prefix + name)
            else:
                verdict = known.get(name) or folder.decide(name, is_folder=False)
                if verdict is travels:
                    try:
                        status = os.lstat(entry.path) if _ASKS_EACH else entry.stat(follow_symlinks=False)
                    except OSError:
                        continue  # removed meanwhile
                    mode = status.st_mode
                    if mode & _KIND == stat.S_IFREG:
                        size = status.st_size
                        files[prefix + name] = (mode, status.st_ino, size, status.st_mtime_ns, status.st_ctime_ns)
                        total += size
                        if status.st_nlink > 1:
                            linked.add(prefix + name)
                        if size > most:
                            self.limits.check(self._root, 0, size, prefix + name)
                    elif stat.S_ISLNK(mode):
                        links.append(prefix + name)
            if verdict is Verdict.ODD:
                snapshot.odd.append(prefix + name)
        snapshot.bytes += total
        if prefix and not below and count == len(files):
            snapshot.empty.add(prefix[:-1])
        return below

    def _follow(self, links: list[str], files: Mapping[str, Stamp]) -> dict[str, Stamp | None]:
        """Return what links lead to: files that travel themselves, `None` for all else."""
        root = os.path.realpath(self._root) if links else ""
        found: dict[str, Stamp | None] = {}
        for path in links:
            target = os.path.realpath(f"{self._root}/{path}")
            found[path] = files.get(os.path.relpath(target, root).replace(os.sep, "/"))
        return found

    def stamp(self, path: str) -> Stamp | None:
        """Return the stamp of a file, or of what a link to one leads to; `None` where there is nothing."""
        try:
            return stamp_of((self.root / path).stat())
        except OSError:
            return None

    def measure(self, path: str, *, max_content: int = -1) -> Measured | None:
        """Read a file; see `stamps.measure`."""
        return measure(f"{self._root}/{path}", max_content=max_content)

    def projects(self, snapshot: Snapshot) -> list[Path]:
        """Return the folders that have a project's file of settings."""
        return [(self.root / path).parent for path in snapshot.files if path.endswith(PROJECT_FILE)]

    def name_settings(self, paths: Collection[Path]) -> None:
        """Say which files say what a session gets of this machine; see `RuleFolders.name_settings`."""
        self._rules.name_settings(paths)

    def is_setting(self, path: str) -> bool:
        """Return whether a file says what a session gets of this machine, so that no session changes it."""
        return self._rules.is_setting(path)

    def refuse(self, path: str) -> str | None:
        """Return why a file of the session does not come here; see `Refusals`."""
        return self._rules.refuse(path)

    def refusals(self, environments: Container[str]) -> Refusals:
        """Return what finds that for many files, of which those in `environments` stay there."""
        return self._rules.refusals(environments)

    def has_folder(self, path: str) -> bool:
        try:
            return stat.S_ISDIR(os.lstat(f"{self._root}/{path}").st_mode)
        except OSError:
            return False

    def has_file(self, path: str) -> bool:
        """Return whether something other than a folder is at a path, or may be, as nobody lets us see it."""
        try:
            return not stat.S_ISDIR(os.lstat(f"{self._root}/{path}").st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True


def folders_above(path: str) -> Iterator[str]:
    """Yield the folders that a path leads through, from the top."""
    end = path.find("/")
    while end >= 0:
        yield path[:end]
        end = path.find("/", end + 1)
