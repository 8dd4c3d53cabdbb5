"""The files of a workspace on this machine: what travels of them, and how they are.

A look is made before each cell, so it is quick. Where the system tells what has happened since the last one
(`io.folder_watch`), it looks at nothing else. Where it does not, or more has happened than to files, a look goes
through the whole folder: what the rules say of a name is remembered for as long as the rules stand, and of each file
nothing is read but what the system says of it.
"""

import hashlib
import os
import stat
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from pathlib import Path

from remote_kernel.core.download_paths import MAX_DEPTH, MAX_PATH_BYTES, System, find_problem, shown
from remote_kernel.core.errors import TransferError
from remote_kernel.core.workspace.base import NO_STAMP, Stamp
from remote_kernel.core.workspace.limits import WorkspaceLimits
from remote_kernel.core.workspace.rules import (
    ENVIRONMENT_MARKS,
    MAX_RULE_FILE_BYTES,
    RULE_FILES,
    FolderRules,
    is_environment,
)
from remote_kernel.io.folder_watch import FolderWatch

# Clocks of file systems tick every few milliseconds, those of FAT every two seconds.
TICK_NS = 50_000_000
COARSE_TICK_NS = 2_000_000_000

# A file that changes while it is read is read again.
READS = 3

# So many files are looked at one by one; for more of them a look through the folder is no slower.
MAX_TOUCHED = 500

# What says which files travel, and what else of this machine a session gets, is not changed by the session.
_SETTINGS = frozenset({*RULE_FILES, "pyproject.toml"})

# On Windows, a listing knows no inodes, and may be behind what was written just now: each file is asked by itself.
_ASKS_EACH = sys.platform == "win32"

# A pipe must not be waited for, and Windows has line ends of its own.
_PLAIN = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

# The bits of a mode that say what kind of file it is.
_KIND = 0o170000

_Children = dict[str, os.DirEntry[str]]

# The stamps of the files of rules in a folder without any.
_NO_RULES = [NO_STAMP] * len(RULE_FILES)


class _Verdict(Enum):
    TRAVELS = auto()
    STAYS = auto()
    ODD = auto()  # it would travel if it had another name


@dataclass(frozen=True, slots=True)
class Measured:
    """A file that was read, and did not change meanwhile.

    Attributes:
        is_racy: see `Agreed`.
    """

    sha256: str
    stamp: Stamp
    is_racy: bool
    content: bytes = b""


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


class _Folder:
    """A folder that travels: its rules, and what they say of the names in it."""

    __slots__ = ("above", "files", "folders", "prefix", "rules", "stamps")

    def __init__(self, path: str, rules: FolderRules, above: FolderRules | None, stamps: list[Stamp]) -> None:
        self.prefix = f"{path}/" if path else ""
        self.rules = rules
        self.above = above
        self.stamps = stamps
        self.files: dict[str, _Verdict] = {}
        self.folders: dict[str, _Verdict] = {}

    def decide(self, name: str, *, is_folder: bool) -> _Verdict:
        """Return what becomes of a file or folder in it, and remember it."""
        verdict = _Verdict.STAYS
        if self.rules.travels(name, is_folder=is_folder):
            verdict = _Verdict.ODD if self._is_odd(name) else _Verdict.TRAVELS
        (self.folders if is_folder else self.files)[name] = verdict
        return verdict

    def _is_odd(self, name: str) -> bool:
        path = self.prefix + name
        is_long = path.count("/") >= MAX_DEPTH or len(os.fsencode(path)) > MAX_PATH_BYTES
        return is_long or bool(find_problem(name, System.LINUX))


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
        self._folders_above = [os.fspath(folder) for folder in root.parents]
        self.limits = limits
        self.system = system
        self.own = own
        self._folders: dict[str, _Folder] = {}
        self._above: tuple[list[tuple[str, list[Stamp]]], FolderRules | None] = ([], None)
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
        if len(paths) + len(last.links) > most or self._rules_above() is not last.above:
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
        folder = self._folders.get(above)
        if folder is None or (above and name in ENVIRONMENT_MARKS):  # an environment, or about to be one
            return name not in ENVIRONMENT_MARKS or (status is None) == (folder is not None)
        if name in RULE_FILES and self._rule_stamps(above) != folder.stamps:
            return False
        return self._compare(folder, name, status, snapshot, changed)

    def _compare(
        self,
        folder: _Folder,
        name: str,
        status: os.stat_result | None,
        snapshot: Snapshot,
        changed: dict[str, Stamp],
    ) -> bool:
        stays, path = _Verdict.STAYS, folder.prefix + name
        before = snapshot.files.get(path)
        if folder.folders.get(name, stays) is not stays or folder.files.get(name) is _Verdict.ODD:
            return False  # a folder that travels may have come or gone
        if status is None:
            return before is None
        is_folder, stamp = stat.S_ISDIR(status.st_mode), stamp_of(status)
        verdict = (folder.folders if is_folder else folder.files).get(name) or folder.decide(name, is_folder=is_folder)
        is_special = not (is_folder or stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode))
        if verdict is stays or (is_special and verdict is not _Verdict.ODD):
            return before is None
        if stamp == before:
            return True
        is_first = before is None and folder.prefix[:-1] in snapshot.empty
        if verdict is _Verdict.ODD or not stat.S_ISREG(status.st_mode) or is_first:
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
        folders: dict[str, _Folder] = {}
        links: list[str] = []
        todo: list[tuple[str, FolderRules | None]] = [("", self._rules_above())]
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
            folder = folders[path] = self._folder(path, above, children)
            below = self._look_into(folder, children, snapshot, links, linked)
            todo += [(name, folder.rules) for name in below]
            if len(snapshot.files) > self.limits.max_files:
                raise self.limits.too_many(self._root)
        self._folders = folders
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
        self, folder: _Folder, children: _Children, snapshot: Snapshot, links: list[str], linked: set[str]
    ) -> list[str]:
        """Add what is in a folder; return the folders in it that travel. No more is asked of a file than it takes."""
        prefix, known, files, total = folder.prefix, folder.files, snapshot.files, 0
        travels, count, most = _Verdict.TRAVELS, len(snapshot.files), self.limits.max_file_bytes
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
            if verdict is _Verdict.ODD:
                snapshot.odd.append(prefix + name)
        snapshot.bytes += total
        if prefix and not below and count == len(files):
            snapshot.empty.add(prefix[:-1])
        return below

    def _folder(self, path: str, above: FolderRules | None, children: _Children) -> _Folder:
        """Return a folder with its rules: those that were read already, where they stand."""
        files = [f"{self._root}/{path}/{name}" for name in RULE_FILES if name in children]
        stamps = self._rule_stamps(path) if files else _NO_RULES
        known = self._folders.get(path)
        if known is not None and known.above is above and known.stamps == stamps:
            return known
        texts = [_read_rules(file) for file in files]
        name = path.rpartition("/")[2] or self.root.name
        folder = _Folder(path, FolderRules(texts, above=above, name=name), above, stamps)
        own_folder, _, own = self.own.rpartition("/")
        if own and own_folder == path:
            folder.files[own] = _Verdict.STAYS
        return folder

    def _rule_stamps(self, path: str) -> list[Stamp]:
        return [_stamp_at(f"{self._root}/{path}/{name}") for name in RULE_FILES]

    def _rules_above(self) -> FolderRules | None:
        """Return the rules of the folders above, up to that of the repository, where there is one."""
        above = [self._root, *self._folders_above]
        number = next((number for number, folder in enumerate(above) if os.path.lexists(f"{folder}/.git")), 0)
        stamps = [(folder, [_stamp_at(f"{folder}/{name}") for name in RULE_FILES]) for folder in above[1 : number + 1]]
        if stamps != self._above[0]:
            rules: FolderRules | None = None
            for folder in reversed(above[1 : number + 1]):
                texts = [_read_rules(f"{folder}/{name}") for name in RULE_FILES]
                rules = FolderRules(texts, above=rules, name=folder.rpartition(os.sep)[2])
            self._above = stamps, rules
        return self._above[1]

    def _follow(self, links: list[str], files: Mapping[str, Stamp]) -> dict[str, Stamp | None]:
        """Return what links lead to: files that travel themselves, `None` for all else."""
        root = os.path.realpath(self._root) if links else ""
        found: dict[str, Stamp | None] = {}
        for path in links:
            target = os.path.realpath(f"{self._root}/{path}")
            found[path] = files.get(os.path.relpath(target, root).replace(os.sep, "/"))
        return found

    def measure(self, path: str, *, max_content: int = -1) -> Measured | None:
        """Read a file; return `None` where it is none, or changes all the time.

        Args:
            max_content: the content is returned of a file of at most so many bytes.

        Raises:
            OSError: it is not there, or cannot be read.
        """
        for _ in range(READS):
            seen = time.time_ns()
            descriptor = os.open(f"{self._root}/{path}", os.O_RDONLY | _PLAIN)
            with os.fdopen(descriptor, "rb") as file:
                stamp = stamp_of(os.fstat(descriptor))
                if not stat.S_ISREG(stamp[0]):
                    return None
                content = file.read(max_content + 1) if stamp[2] <= max_content else b""
                digest = hashlib.sha256(content) if content else hashlib.file_digest(file, "sha256")
                if stamp == stamp_of(os.fstat(descriptor)) and (not content or len(content) == stamp[2]):
                    return Measured(digest.hexdigest(), stamp, is_racy(stamp, seen), content)
        return None

    def stamp(self, path: str) -> Stamp | None:
        """Return the stamp of a file, or of what a link to one leads to; `None` where there is nothing."""
        try:
            return stamp_of((self.root / path).stat())
        except OSError:
            return None

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

    def refuse(self, path: str) -> str | None:
        """Return why a file of the session does not come here: "" where that is as it should be; `None` where it does.

        The rules are those of the last look.
        """
        if len(path) > MAX_PATH_BYTES or path.count("/") >= MAX_DEPTH:
            return "its path is too long"
        if path == self.own:
            return ""
        *folders, name = path.split("/")
        rules, prefix = self._folders[""].rules if "" in self._folders else FolderRules(), ""
        for part in folders:
            if (problem := self._refuse_name(rules, part, is_folder=True)) is not None:
                return problem
            prefix += part
            known = self._folders.get(prefix)
            rules = known.rules if known else rules.below(part)
            prefix += "/"
        if self.system.fold(name) in _SETTINGS and rules.travels(name, is_folder=False):
            return "it says what a session gets of this machine, and a session does not change that"
        return self._refuse_name(rules, name, is_folder=False)

    def _refuse_name(self, rules: FolderRules, name: str, *, is_folder: bool) -> str | None:
        if problem := find_problem(name, self.system):
            return problem
        if not rules.travels(name, is_folder=is_folder):
            return ""
        return "its name is no Unicode there" if "\ufffd" in name else None


def stamp_of(status: os.stat_result) -> Stamp:
    """Return what tells whether a file has changed."""
    return status.st_mode, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def is_racy(stamp: Stamp, seen_ns: int) -> bool:
    """Return whether a file that was read at `seen_ns` (nanoseconds since 1970) may change without a new stamp."""
    *_, modified, changed = stamp
    is_coarse = not modified % 1_000_000_000 and not changed % 1_000_000_000
    return max(modified, changed) >= seen_ns - (COARSE_TICK_NS if is_coarse else TICK_NS)


def _stamp_at(path: str) -> Stamp:
    try:
        return stamp_of(os.lstat(path))
    except OSError:
        return NO_STAMP


def _read_rules(path: str) -> str:
    """Return the text of a file of rules; git follows no link to one."""
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_RULE_FILE_BYTES:
            return ""
        return Path(path).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


def folders_above(path: str) -> Iterator[str]:
    """Yield the folders that a path leads through, from the top."""
    end = path.find("/")
    while end >= 0:
        yield path[:end]
        end = path.find("/", end + 1)
