"""A watch over the folders of a tree: what has happened there, up to the moment at which it is read (Linux's inotify).

No thread waits for anything: the system queues what has happened before the call that does it returns, so that reading
the queue tells all up to then. Where there is no such thing, or it would not tell all, there is no watch, and whoever
looks goes through all folders: other systems, and file systems that are changed from elsewhere.
"""

import ctypes
import errno
import os
import select
import struct
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Self

from remote_kernel.core.workspace.notices import OVERFLOW, WANTED, Event, Notices

# Of statfs(2): what is stored on this machine, and changes through it alone. Of a network, a virtual machine's host, or
# a program (fuse) nothing would be told.
LOCAL_TYPES = frozenset(
    {
        0xEF53,  # ext2, ext3, ext4
        0x58465342,  # XFS
        0x9123683E,  # Btrfs
        0xF2F52010,  # F2FS
        0x2FC12FC1,  # ZFS
        0x01021994,  # tmpfs
        0x794C7630,  # overlayfs, as in containers; to change what is below one is not allowed
    }
)

_ONLY_FOLDERS = 0x01000000
_NO_LINK = 0x02000000
_NO_UNLINKED = 0x04000000

# A folder that is not there any more, or may not be read: the one above tells of it.
_PASSING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EACCES})

_EVENT = struct.Struct("iIII")
_READ_BYTES = 1 << 16

# More than the queue of a system holds.
_MAX_READS = 64

_MOUNTS = "/proc/self/mountinfo"

_STATFS_BYTES = 512


class FolderWatch:
    """Watch over a tree of folders. Closes itself when nobody has it any more.

    Args:
        root: its topmost folder.

    Attributes:
        notices: what has to be looked at.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._path = Path(root)
        self._inotify = _Inotify()
        self.close: Callable[[], object] = weakref.finalize(self, self._inotify.close)
        self.notices = Notices()
        self._place = (0, 0)
        self._local: set[int] = set()

    @classmethod
    def begin(cls, root: str) -> Self | None:
        """Return a watch, which needs a round first; `None` where there can be none."""
        if sys.platform != "linux":
            return None
        try:
            return cls(root)
        except (OSError, AttributeError):  # too many of them, or a C library without it
            return None

    def begin_round(self) -> None:
        """Note that all folders are about to be looked through; each is to be entered before that."""
        self.notices.take(self._inotify.read())  # which is of folders as they were called before
        self.notices.begin_round()
        self._place = _place_of(self._path)
        self._inotify.has_new_mounts()

    def enter(self, folder: str) -> Self | None:
        """Watch a folder, "" for the topmost one; return `None` where that cannot be, which ends the whole watch."""
        path = f"{self._root}/{folder}" if folder else self._root
        try:
            watch = self._inotify.add(path, _ONLY_FOLDERS | _NO_UNLINKED | (_NO_LINK if folder else 0))
            self.notices.enter(watch, folder)
            device = Path(path).stat().st_dev
            if device in self._local or self._inotify.type_of(path) in LOCAL_TYPES:
                self._local.add(device)
                return self
        except OSError as error:
            if error.errno in _PASSING:
                return self
        self.close()
        return None

    def end_round(self) -> None:
        """Note that all folders have been looked through."""
        for watch in self.notices.end_round():
            self._inotify.remove(watch)

    def read(self) -> bool:
        """Take what has happened up to now; return whether the notices tell it all."""
        self.notices.take(self._inotify.read())
        if _place_of(self._path) != self._place or self._inotify.has_new_mounts():
            self.notices.is_lost = True
        return not (self.notices.is_lost or self.notices.is_overrun)


def _place_of(root: Path) -> tuple[int, int]:
    """Return which folder is at a path: it, or one above, may have been replaced."""
    try:
        status = root.stat()
    except OSError:
        return (0, 0)
    return status.st_dev, status.st_ino


class _Inotify:
    """The calls of the system."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptors = [_checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))]
        self._mounts = select.poll()
        try:
            self._descriptors.append(os.open(_MOUNTS, os.O_RDONLY | os.O_CLOEXEC))
            self._mounts.register(self._descriptors[1], select.POLLPRI)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        while self._descriptors:
            os.close(self._descriptors.pop())

    def add(self, path: str, flags: int) -> int:
        """Watch a folder; return its watch, which is the same each time."""
        return _checked(self._libc.inotify_add_watch(self._descriptors[0], os.fsencode(path), WANTED | flags))

    def remove(self, watch: int) -> None:
        """End a watch, unless the system has done so."""
        self._libc.inotify_rm_watch(self._descriptors[0], watch)

    def read(self) -> list[Event]:
        """Return all that has happened since."""
        events: list[Event] = []
        for _ in range(_MAX_READS):
            try:
                data = os.read(self._descriptors[0], _READ_BYTES)
            except BlockingIOError:
                return events
            start = 0
            while start < len(data):
                watch, mask, cookie, size = _EVENT.unpack_from(data, start)
                start += _EVENT.size + size
                name = data[start - size : start].rstrip(b"\0")
                events.append(Event(watch, mask, os.fsdecode(name), cookie))
        return [*events, Event(-1, OVERFLOW)]

    def has_new_mounts(self) -> bool:
        """Return whether something was mounted since this was asked last, which may be in the tree."""
        return bool(self._mounts.poll(0))

    def type_of(self, path: str) -> int:
        """Return the number of the kind of a file system; raises `OSError`."""
        buffer = ctypes.create_string_buffer(_STATFS_BYTES)
        _checked(self._libc.statfs(os.fsencode(path), buffer))
        return ctypes.c_ulong.from_buffer(buffer).value  # the first of its fields, whatever else there is


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
