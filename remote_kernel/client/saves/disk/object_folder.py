"""Folder with the objects of one owner's saves: read and checked, written, and removed.

The folder may be on a drive of others. So what is read is an ordinary file of bounded size whose content is what its
name says, and what is removed has a name that this module gives.
"""

import contextlib
import os
import re
from collections.abc import Collection, Iterable
from pathlib import Path

from remote_kernel.client.saves.folder import unreadable
from remote_kernel.core.errors import SaveError, WireError
from remote_kernel.core.saves.objects import MAX_FILE_BYTES, Object, check_object, content_of, is_hash, parse_hash
from remote_kernel.core.saves.packs import header_bytes
from remote_kernel.io.private_files import read_ordinary, write_private
from remote_kernel.io.system.durability import flush_files

# Of an object that is not what its name says: it is of no use, but may be of interest while a save needs it.
_DAMAGED_SUFFIX = ".damaged"

# Objects, those that are damaged, and what a writer that was killed has left of one.
_OURS = re.compile(r"\.?(?P<hash>[0-9a-f]{64})(\..+)?")

# A file's number, size, and time of the last change.
_Stamp = tuple[int, int, int]


class ObjectFolder:
    """Folder with objects, which need not be there.

    It remembers which files it has checked, so that those that nobody has touched since are not read again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._checked: dict[str, _Stamp] = {}

    def sizes(self) -> dict[str, int]:
        """Return the sizes of the objects' files, in bytes, by hash; raises `SaveError`."""
        try:
            with os.scandir(self.path) as entries:
                found = {entry.name: _size_of(entry) for entry in entries if is_hash(entry.name)}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise unreadable(self.path, error) from error
        return {name: size for name, size in found.items() if size}

    def path_of(self, name: str) -> Path:
        return self.path / parse_hash(name)

    def read(self, name: str) -> bytes:
        """Return the file of an object, whose content is what its name says; raises `SaveError`."""
        path = self.path_of(name)
        stamp = _stamp_of(path)
        try:
            file = read_ordinary(path, MAX_FILE_BYTES)
            check_object(name, file)
        except OSError as error:
            raise SaveError(f"A part of the save, {path}, cannot be read ({error.strerror}).") from error
        except WireError as error:
            kept = path.with_suffix(_DAMAGED_SUFFIX)
            with contextlib.suppress(OSError):  # the next save writes it again
                os.replace(path, kept)
            raise SaveError(f"A part of the save was changed or is damaged, and is not used: {kept}.") from error
        if stamp is not None:
            self._checked[name] = stamp
        return file

    def damaged(self, names: Iterable[str]) -> list[str]:
        """Return those that are not what their names say, which are set aside, and those that are not there."""
        return [name for name in names if not (self._is_checked(name) or self._is_whole(name))]

    def _is_checked(self, name: str) -> bool:
        return name in self._checked and self._checked[name] == _stamp_of(self.path_of(name))

    def _is_whole(self, name: str) -> bool:
        try:
            self.read(name)
        except SaveError:
            return False
        return True

    def header(self, pack: Iterable[Object]) -> bytes:
        """Return the header of a pack; raises `SaveError` and `WireError`."""
        content = bytearray()
        for each in pack:
            content += content_of(each.hash, self.read(each.hash))
            if (header := header_bytes(content)) is not None:
                return header
        raise WireError("a pack ends in the middle of its header")

    def write(self, each: Object, file: bytes) -> None:
        """Write an object, given as its file, unless it is there; raises `WireError` and `OSError`."""
        check_object(each.hash, file, each.size)
        path = self.path_of(each.hash)
        if not _is_there(path):
            write_private(path, file)
            remove_file(path.with_suffix(_DAMAGED_SUFFIX))
            if (stamp := _stamp_of(path)) is not None:
                self._checked[each.hash] = stamp

    def flush(self, names: Collection[str]) -> None:
        """Return when the disk has these objects; raises `OSError`."""
        if names:
            flush_files(self.path, names)

    def remove_others(self, needed: Collection[str]) -> None:
        """Remove what is ours, and belongs to no object that is needed; raises `OSError`."""
        for path in self.path.iterdir():
            ours = _OURS.fullmatch(path.name)
            is_kept = ours is None or (ours["hash"] in needed and not path.name.startswith("."))
            if not is_kept:
                remove_file(path)


def _stamp_of(path: Path) -> "_Stamp | None":
    """Return what changes with the content of a file, as far as the system tells; `None` where it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def remove_file(path: Path) -> None:
    """Remove a file; what is none, or is in use, stays."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def _size_of(entry: "os.DirEntry[str]") -> int:
    """Return the size of an object's file; 0 of what cannot be one, or is gone."""
    try:
        return entry.stat(follow_symlinks=False).st_size if entry.is_file(follow_symlinks=False) else 0
    except OSError:
        return 0


def _is_there(path: Path) -> bool:
    """Return whether an object's file is there, as far as its size tells."""
    return path.is_file() and not path.is_symlink() and path.stat().st_size > 0
