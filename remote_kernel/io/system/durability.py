"""Files and folders that outlive a power cut: written through to the disk, as far as a system and its drives do that.

A file is there then when its content, and the entry in its folder, have been flushed, in this order.
"""

import contextlib
import errno
import os
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

if sys.platform == "darwin":
    import fcntl

# A disk takes a millisecond or two for each file by itself, and for a thousand at once not much longer.
MAX_EACH = 100

# What drives on networks answer that flush by themselves, or not at all.
_UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF})


def flush(descriptor: int) -> None:
    """Return when the disk has what was written to an open file; raises `OSError` where it does not take that."""
    with _where_supported():
        if sys.platform == "darwin":
            with contextlib.suppress(OSError):  # not every file system there has it
                fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)  # `fsync` leaves it in the cache of the disk
                return
        os.fsync(descriptor)


def flush_files(folder: Path, names: Collection[str]) -> None:
    """Return when the disk has files of a folder, whoever has written them; raises `OSError`."""
    if len(names) <= MAX_EACH or not _flush_file_system(folder):
        for name in names:
            with _opened(folder / name, os.O_RDWR | getattr(os, "O_BINARY", 0)) as descriptor:
                flush(descriptor)
    flush_folder(folder)


def flush_folder(folder: Path) -> None:
    """Return when the disk knows which files are in a folder, if that can be read; Windows sees to that itself.

    Raises `OSError`.
    """
    if sys.platform == "win32":
        return
    with contextlib.suppress(PermissionError), _opened(folder, os.O_RDONLY) as descriptor:
        flush(descriptor)


def _flush_file_system(folder: Path) -> bool:
    """Flush all that the drive of a folder is to have; return whether that could be done."""
    if sys.platform != "linux":
        return False
    import ctypes  # late, as it is seldom needed

    syncfs = getattr(ctypes.CDLL(None), "syncfs", None)
    with _opened(folder, os.O_RDONLY) as descriptor:
        return syncfs is not None and syncfs(descriptor) == 0


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _where_supported() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
