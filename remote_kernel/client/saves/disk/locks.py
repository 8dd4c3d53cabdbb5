"""Locks of a folder with saves: who is alone in it, and who uses its objects."""

import contextlib
import errno
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from remote_kernel.io.private_files import open_descriptor
from remote_kernel.io.system.file_locks import FileLock

# Where a file system has no locks, whoever began to use objects so long ago counts as gone.
MAX_USE_SECONDS = 86_400.0

# What is done alone takes a moment: whoever is alone for longer is stopped.
WAIT_SECONDS = 3.0
_LOOK_AGAIN_SECONDS = 0.02

_GUARD = "guard"
_USE = "use-"


@contextlib.contextmanager
def alone(folder: Path, wait_seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """Wait until nobody else is alone in a folder that is there; where there are no locks, nobody waits.

    Raises:
        OSError: the folder cannot be written, or somebody else is alone in it for long.
    """
    lock = _made(folder / _GUARD)
    _wait(lock, wait_seconds)
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def in_use(folder: Path) -> Iterator[None]:
    """Tell other processes that the objects in a folder are used; raises `OSError`, as `alone`."""
    path = folder / f"{_USE}{secrets.token_hex(8)}"
    with alone(folder):
        lock = _made(path)
        with contextlib.suppress(OSError):
            lock.try_acquire()
    try:
        yield
    finally:
        lock.release()
        _remove(path)


def _wait(lock: FileLock, seconds: float) -> None:
    """Take a lock. Raises `OSError` where another process has it for long: it may be one that is stopped."""
    gives_up_at = time.monotonic() + seconds
    while not _try(lock):
        if time.monotonic() > gives_up_at:
            raise OSError(errno.EBUSY, "another process is at work there")
        time.sleep(_LOOK_AGAIN_SECONDS)


def _try(lock: FileLock) -> bool:
    try:
        return lock.try_acquire()
    except OSError:
        return True  # a file system without locks


def is_used(folder: Path) -> bool:
    """Return whether a process that lives uses the objects of a folder, for who is alone in it. Raises `OSError`."""
    for path in [path for path in folder.iterdir() if path.name.startswith(_USE) and not path.suffix]:
        if _is_held(path):
            return True
        _remove(path)
    return False


def _made(path: Path) -> FileLock:
    if path.is_symlink():  # nothing of ours makes one, and a file at its other end is not ours to make
        path.unlink()
    os.close(open_descriptor(path))
    return FileLock(path)


def _is_held(path: Path) -> bool:
    lock = FileLock(path)
    try:
        return not lock.try_acquire()
    except FileNotFoundError:
        return False
    except OSError:
        return time.time() - path.stat().st_mtime < MAX_USE_SECONDS
    finally:
        lock.release()


def _remove(path: Path) -> None:
    """Remove the file of a lock, and the one beside it that Windows locks."""
    for each in (path, path.with_suffix(".lock")):
        with contextlib.suppress(OSError):
            each.unlink(missing_ok=True)
