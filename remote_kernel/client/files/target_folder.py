"""The folder on this machine that a download goes to: written by steps that follow no symbolic link.

The folder itself is the user's own word, and may be a link. Below it, every step is made from the folder above, which
is held open, so that nobody can put a link in the way between a look and the use. Where the system cannot do that
(Windows), every step is looked at just before it.
"""

import contextlib
import errno
import hashlib
import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedRandom, BufferedReader
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

from remote_kernel.core.download_paths import shown
from remote_kernel.core.errors import TransferError
from remote_kernel.io.private_files import rename, replace
from remote_kernel.io.system.file_locks import lock_open_file

# Only Unix can hold a folder open and name what is in it; a folder that may be entered need not be readable.
_CAN_HOLD = sys.platform != "win32"
_ENTER = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0)
# A pipe must not be waited for, and Windows has line ends of its own.
_PLAIN = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)

# What file systems without hard links say of one.
_NO_HARD_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES})

Parts = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A file that is here.

    Attributes:
        stamp: changes whenever the file does.
        is_link: whether it is a symbolic link to one, which may be read and is never written.
    """

    size: int
    stamp: tuple[int, int, int, int]
    is_link: bool = False


class Interfered(TransferError):
    """Another program has written what was about to be replaced."""


class TargetFolder:
    """Folder that a download goes to.

    All methods raise `OSError` as the system does, and `TransferError` for what is in the way.

    Args:
        path: the folder; made with the first file or folder that is put in it.
        can_hold: whether the system can name what is in a folder that is held open.
    """

    def __init__(self, path: Path, *, can_hold: bool = _CAN_HOLD) -> None:
        self.path = path
        self._can_hold = can_hold

    def look(self, parts: Parts) -> Found | None:
        """Return the file that is here, `None` where there is nothing."""
        try:
            with self._enter(parts[:-1]) as folder:
                return folder.look(parts[-1])
        except FileNotFoundError:
            return None

    def look_for_folder(self, parts: Parts) -> None:
        """Raise `TransferError` where no folder can be, as something else is in its place."""
        with contextlib.suppress(FileNotFoundError), self._enter(parts):
            pass

    def digest(self, parts: Parts, found: Found) -> str:
        """Return the SHA-256 of a file that was found, in hex."""
        with self._enter(parts[:-1]) as folder, folder.open(parts[-1], follows=found.is_link) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def describe_link(self, parts: Parts) -> TransferError:
        """Return what to say of a link in the place of a file."""
        return _describe_link(self.path.joinpath(*parts))

    def set_executable(self, parts: Parts, found: Found, is_executable: bool) -> None:
        """Let a file that was found be executed by those who may read it, or by nobody."""
        with self._enter(parts[:-1]) as folder, folder.open(parts[-1], follows=False) as file:
            status = os.fstat(file.fileno())
            if _found(status) == found and sys.platform != "win32":
                os.fchmod(file.fileno(), _with_executable(stat.S_IMODE(status.st_mode), is_executable))

    def make_folder(self, parts: Parts) -> None:
        """Make a folder, with those above it, unless it is there."""
        with self._enter(parts, make=True):
            pass

    @contextlib.contextmanager
    def partial(self, parts: Parts, name: str) -> Iterator["Partial"]:
        """Give a file to be written; it is called `name` until it gets its place at `parts`."""
        with self._enter(parts[:-1], make=True) as folder, Partial(folder, name, parts[-1]) as partial:
            yield partial

    @contextlib.contextmanager
    def _enter(self, parts: Parts, *, make: bool = False) -> Iterator["_Folder"]:
        if make:
            self.path.mkdir(parents=True, exist_ok=True)
        folder = _Folder(self.path, os.open(self.path, _ENTER) if self._can_hold else None)
        try:
            for part in parts:
                above, folder = folder, folder.below(part, make=make)
                above.close()
            yield folder
        finally:
            folder.close()


class _Folder:
    """A folder below the target, or that itself.

    Args:
        held: the descriptor that holds it open, `None` where the system has no such thing.
    """

    def __init__(self, path: Path, held: int | None) -> None:
        self.path = path
        self._held = held

    @property
    def is_held(self) -> bool:
        """Return whether it is held open, and what is in it can be named."""
        return self._held is not None

    def close(self) -> None:
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def below(self, name: str, *, make: bool) -> "_Folder":
        """Return a folder in it."""
        if make:
            with contextlib.suppress(FileExistsError):
                os.mkdir(self._name(name), dir_fd=self._held)
        status = self._status(name)
        if not stat.S_ISDIR(status.st_mode):
            raise TransferError(f"{self._quoted(name)} is a file here, and a folder in the session.")
        if self._held is None:
            return _Folder(self.path / name, None)
        return _Folder(self.path / name, os.open(name, _ENTER | _NO_LINK, dir_fd=self._held))

    def look(self, name: str) -> Found | None:
        """Return the file of this name; `None` where there is nothing."""
        try:
            status = os.stat(self._name(name), dir_fd=self._held, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if is_link := _is_link(status):
            try:
                status = os.stat(self._name(name), dir_fd=self._held)
            except OSError:
                raise _describe_link(self.path / name) from None  # it leads nowhere
        if stat.S_ISDIR(status.st_mode):
            raise TransferError(f"{self._quoted(name)} is a folder here, and a file in the session.")
        if not stat.S_ISREG(status.st_mode):
            raise TransferError(f"{self._quoted(name)} is no ordinary file here, and is left as it is.")
        return _found(status, is_link=is_link)

    def mode(self, name: str) -> int:
        """Return the permissions of a file."""
        return stat.S_IMODE(os.stat(self._name(name), dir_fd=self._held, follow_symlinks=False).st_mode)

    def open(self, name: str, *, follows: bool) -> BufferedReader:
        """Open a file to be read; says whether it may be a link."""
        return os.fdopen(self._open(name, os.O_RDONLY, follows=follows), "rb")

    def open_own(self, name: str) -> BufferedRandom | None:
        """Open a file that only we write, or make it; what somebody else has put in its place goes.

        Return `None` where another kernel of ours, or another transfer, is writing it.
        """
        while True:
            self._remove_foreign(name)
            try:
                descriptor = self._open(name, os.O_RDWR)
            except PermissionError:
                return None  # it has the permissions of the file that it is about to replace
            except FileNotFoundError:
                try:
                    descriptor = self._open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL)
                except FileExistsError:
                    continue  # another one has made it meanwhile
            file = os.fdopen(descriptor, "r+b")
            if not lock_open_file(descriptor):
                file.close()
                return None
            if self._is_of_name(file, name):
                return file
            file.close()

    def _remove_foreign(self, name: str) -> None:
        """Remove what no transfer of ours can have made."""
        with contextlib.suppress(FileNotFoundError):
            status = os.stat(self._name(name), dir_fd=self._held, follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode) or not _is_ours(status):
                self.unlink(name)

    def _is_of_name(self, file: BufferedRandom, name: str) -> bool:
        """Return whether a file that we have locked has this name, and no other."""
        try:
            status = os.stat(self._name(name), dir_fd=self._held, follow_symlinks=False)
        except FileNotFoundError:  # another one has completed it meanwhile
            return False
        if not os.path.samestat(status, os.fstat(file.fileno())):
            return False
        if status.st_nlink > 1:  # somebody else's file, or one whose transfer was killed as it took its place
            self.unlink(name)
            return False
        return True

    def _open(self, name: str, flags: int, *, follows: bool = False) -> int:
        """Open a file; raises also where it is a link, or no ordinary file."""
        if self._held is None and not (follows or flags & os.O_EXCL):
            self._status(name)
        flags |= _PLAIN if follows else _PLAIN | _NO_LINK
        descriptor = os.open(self._name(name), flags, 0o666, dir_fd=self._held)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise TransferError(f"{self._quoted(name)} is no ordinary file here, and is left as it is.")
        return descriptor

    def unlink(self, name: str) -> None:
        os.unlink(self._name(name), dir_fd=self._held)

    def move(self, name: str, to: str) -> None:
        """Give a file another name that is free; raises `FileExistsError` where it is not."""
        if self._held is None and sys.platform == "win32":
            rename(self.path / name, self.path / to)
            return
        try:
            os.link(
                self._name(name), self._name(to), src_dir_fd=self._held, dst_dir_fd=self._held, follow_symlinks=False
            )
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            if self.look(to) is not None:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
            self.replace(name, to)
        else:
            self.unlink(name)

    def replace(self, name: str, to: str) -> None:
        if self._held is None:
            replace(self.path / name, self.path / to)
        else:
            os.replace(name, to, src_dir_fd=self._held, dst_dir_fd=self._held)

    def set_time(self, name: str, modified: float) -> os.stat_result:
        """Set the time of a file that is not open, and return its status then."""
        os.utime(self._name(name), (modified, modified))
        return (self.path / name).lstat()

    def _status(self, name: str) -> os.stat_result:
        """Return what is of this name; raises `TransferError` for a link."""
        status = os.stat(self._name(name), dir_fd=self._held, follow_symlinks=False)
        if _is_link(status):
            raise _describe_link(self.path / name)
        return status

    def _name(self, name: str) -> str:
        return name if self._held is not None else str(self.path / name)

    def _quoted(self, name: str) -> str:
        return f"'{shown(str(self.path / name))}'"


class Partial:
    """A file that grows under a name of its own until it takes its place."""

    def __init__(self, folder: _Folder, name: str, target: str) -> None:
        self._folder = folder
        self._target = target
        self._name, self._file = _open_free(folder, name)
        self.size = self._file.seek(0, os.SEEK_END)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def append(self, piece: bytes) -> None:
        self._file.write(piece)
        self._file.flush()
        self.size += len(piece)

    def digest(self) -> str:
        """Return the SHA-256 of all of it in hex."""
        self._file.seek(0)
        return hashlib.file_digest(self._file, "sha256").hexdigest()

    def remove(self) -> None:
        with contextlib.suppress(OSError):  # what could not be written before cannot be now
            self._file.close()
        with contextlib.suppress(FileNotFoundError):
            self._folder.unlink(self._name)

    def finish(
        self, *, replaces: Found | None, modified: float | None = None, is_executable: bool | None = None
    ) -> Found:
        """Take the target's place, which nothing has, or what was found there, whose permissions it gets.

        Args:
            is_executable: whether those who may read it may execute it; `None` leaves that as it is.
            modified: the time that the file is to have, in seconds since 1970, where the system can set it.

        Raises:
            Interfered: something else has its place, or another transfer has completed it.
        """
        if sys.platform != "win32":
            with contextlib.suppress(OSError):
                mode = stat.S_IMODE(os.fstat(self._file.fileno()).st_mode)
                wanted = self._folder.mode(self._target) if replaces is not None else mode
                if is_executable is not None:
                    wanted = _with_executable(wanted, is_executable)
                if wanted != mode:
                    os.fchmod(self._file.fileno(), wanted)
        self._file.flush()
        if modified is not None and os.utime in os.supports_fd:
            os.utime(self._file.fileno(), (modified, modified))
        status = os.fstat(self._file.fileno())
        if self._folder.is_held:
            self._take_place(replaces)
            status = os.fstat(self._file.fileno())  # its time of change is that of its new name
            self._file.close()
        else:  # Windows renames no file that is open
            self._file.close()
            if modified is not None and os.utime not in os.supports_fd:
                status = self._folder.set_time(self._name, modified)
            self._take_place(replaces)
        return _found(status)

    def _take_place(self, replaces: Found | None) -> None:
        try:
            if replaces is None:
                self._folder.move(self._name, self._target)
                return
            if self._folder.look(self._target) not in (replaces, None):
                raise FileExistsError
            self._folder.replace(self._name, self._target)
        except (FileExistsError, FileNotFoundError):
            raise Interfered(
                f"'{shown(self._target)}' was written here by another program meanwhile, and stays: download it again."
            ) from None


def _with_executable(mode: int, is_executable: bool) -> int:
    return mode | (mode & 0o444) >> 2 if is_executable else mode & ~0o111


def _open_free(folder: _Folder, name: str) -> tuple[str, BufferedRandom]:
    """Open a file of this name, or of one beside it where another transfer has that, and return its name."""
    for number in count():
        free = f"{name}-{number}" if number else name
        if (file := folder.open_own(free)) is not None:
            return free, file
    raise AssertionError("there is always another name")


def _found(status: os.stat_result, *, is_link: bool = False) -> Found:
    return Found(status.st_size, (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns), is_link)


def _is_ours(status: os.stat_result) -> bool:
    return sys.platform == "win32" or status.st_uid == os.geteuid()


def _is_link(status: os.stat_result) -> bool:
    """Return whether it is a link, or what Windows calls a junction; other reparse points are files of a cloud
    service."""
    is_junction = getattr(status, "st_reparse_tag", 0) == getattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", -1)
    return stat.S_ISLNK(status.st_mode) or is_junction


def _describe_link(path: Path) -> TransferError:
    return TransferError(
        f"'{shown(str(path))}' is a symbolic link on this machine, and nothing is written through one: "
        "remove it, or name another folder with --to."
    )
