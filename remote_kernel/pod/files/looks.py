"""Looks through a folder, each of which tells what is different from the one before."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG

from remote_kernel.core.wire.frames import ChangedFile
from remote_kernel.pod.files.data_folder import version_of

# Folders that nobody's work is in, beside those whose names begin with a dot.
PASSED_OVER = frozenset({"__pycache__", "node_modules"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LookLimits:
    """Limits of one look; of what has more only a part is seen.

    Attributes:
        entries: files and folders, those that are passed over included. Of what has more the reader asks for a list
            behind each cell, which takes much longer than a look.
        depth: folders within one another.
        seconds: how long it may take, as on a file system that is far away.
    """

    entries: int = 100_000
    depth: int = 100
    seconds: float = 10.0


DEFAULT_LIMITS = LookLimits()


@dataclass(slots=True)
class Look:
    """Look through a folder.

    Attributes:
        versions: of the files, by their paths below the folder.
        is_whole: whether these are all.
        changed: what is new, or has another version than at the look before; sorted.
        removed: paths of what is not there any more; sorted.
        is_compared: whether these two name all, as both looks have seen the whole folder.
        folders: those that were looked into, by their paths; "" for the folder itself.
        linked: links to files, and files that have other names, by which they may change.
    """

    versions: dict[str, str] = field(default_factory=dict)
    is_whole: bool = True
    changed: list[ChangedFile] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    is_compared: bool = False
    folders: set[str] = field(default_factory=set)
    linked: set[str] = field(default_factory=set)


def look(
    folder: Path,
    before: Look | None = None,
    limits: LookLimits = DEFAULT_LIMITS,
    enter: Callable[[str], None] = lambda _folder: None,
) -> Look:
    """Look through a folder, which need not exist; it takes some 10 ms for each 1,000 files, and belongs into a thread.

    Files are what can be read as such, and links to them that stay in the folder. Names that are no Unicode, by which
    nobody could ask for a file, are passed over.

    Args:
        enter: called with each folder before it is read.
    """
    found = Look()
    for path, status in _Walk(folder, found, limits, enter).files():
        version = found.versions[path] = version_of(status)
        if before is not None and before.versions.get(path) != version:
            found.changed.append(describe(path, status, version))
    if before is not None:
        found.is_compared = before.is_whole and found.is_whole
        found.changed.sort(key=lambda file: file.path)
        found.removed = sorted(before.versions.keys() - found.versions.keys())
    return found


def file_at(folder: Path, place: "os.DirEntry[str] | str", *, is_link: bool) -> os.stat_result | None:
    """Return what the system says of a file, or of that which a link leads to; `None` for what is none, or is outside
    the folder; raises `OSError`."""
    try:
        if is_link and not Path(place).resolve(strict=True).is_relative_to(folder):
            return None
    except RuntimeError:
        return None  # a link that leads in a circle
    status = Path(place).stat()
    return status if S_ISREG(status.st_mode) else None


def describe(path: str, status: os.stat_result, version: str) -> ChangedFile:
    return ChangedFile(path=path, size=status.st_size, modified=max(status.st_mtime, 0.0), version=version)


class _Walk:
    """A way through a folder, which notes in `found` where it does not see all."""

    def __init__(self, folder: Path, found: Look, limits: LookLimits, enter: Callable[[str], None]) -> None:
        self._folder = folder
        self._enter = enter
        self._found = found
        self._depth = limits.depth
        self._left = limits.entries
        self._ends_at = time.monotonic() + limits.seconds

    def files(self) -> Iterator[tuple[str, os.stat_result]]:
        folders = [(str(self._folder), "", 0)]
        while folders and self._left > 0:
            path, prefix, depth = folders.pop()
            self._found.folders.add(prefix[:-1])
            self._enter(prefix[:-1])
            for entry in self._entries(path, depth):
                if self._is_folder(entry):
                    folders.append((entry.path, f"{prefix}{entry.name}/", depth + 1))
                    continue
                is_link = entry.is_symlink()
                status = self._status(entry, is_link=is_link)
                if is_link or (status is not None and status.st_nlink > 1):
                    self._found.linked.add(prefix + entry.name)
                if status is not None:
                    yield prefix + entry.name, status
        if folders:
            self._found.is_whole = False

    def _entries(self, path: str, depth: int) -> Iterator["os.DirEntry[str]"]:
        """Yield what is in a folder and is not passed over, as far as it may and can be read."""
        if depth > self._depth or time.monotonic() > self._ends_at:
            self._found.is_whole = False
            return
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if self._left == 0:
                        self._found.is_whole = False
                        return
                    self._left -= 1
                    if not is_passed_over(entry.name):
                        yield entry
        except OSError as error:
            self._note(error)

    def _is_folder(self, entry: "os.DirEntry[str]") -> bool:
        try:
            return entry.is_dir(follow_symlinks=False)
        except OSError as error:
            self._note(error)
            return False

    def _status(self, entry: "os.DirEntry[str]", *, is_link: bool) -> os.stat_result | None:
        """Return what the system says of a file; `None` for what is none."""
        try:
            return file_at(self._folder, entry, is_link=is_link)
        except OSError as error:
            self._note(error)
            return None

    def _note(self, error: OSError) -> None:
        """Note that something could not be read, unless it is only that it has been removed meanwhile."""
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            self._found.is_whole = False


def is_passed_over(name: str) -> bool:
    """Return whether nobody's work is in a file or folder of this name, or nobody could ask for it."""
    return name.startswith(".") or name in PASSED_OVER or not (name.isascii() or _is_unicode(name))


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
