"""Locks between processes. The system frees them however the process ends that holds them."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    from filelock import FileLock as _LockFile
    from filelock import Timeout

    # Windows lets nobody read or replace a file that is locked, so what is locked there is a file beside it.
    SUFFIX = ".lock"

    # A byte that no file of ours has, as nobody else could write one that is locked.
    _FAR = 1 << 40

    def lock_open_file(descriptor: int) -> bool:
        """Take an open file for ourselves until it is closed; return whether nobody else has it."""
        place = os.lseek(descriptor, 0, os.SEEK_CUR)
        try:
            os.lseek(descriptor, _FAR, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        except OSError:
            pass  # a file system without locks
        finally:
            os.lseek(descriptor, place, os.SEEK_SET)
        return True

    class FileLock:
        """A lock that belongs to a file which is there. All methods raise `OSError`."""

        def __init__(self, path: Path) -> None:
            self._path = path
            self._lock = _LockFile(path.with_suffix(SUFFIX), thread_local=False)

        def acquire(self) -> None:
            """Wait until nobody else has it."""
            self._lock.acquire()

        def try_acquire(self, *, is_look: bool = False) -> bool:
            """Take it if nobody has it; `is_look` is for who lets go of it at once."""
            self._path.stat()
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                return False
            return True

        def release(self) -> None:
            """Let go of it."""
            self._lock.release()

else:
    import fcntl

    def lock_open_file(descriptor: int) -> bool:
        """Take an open file for ourselves until it is closed; return whether nobody else has it."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            pass  # a file system without locks
        return True

    class FileLock:
        """A lock that belongs to a file which is there. All methods raise `OSError`."""

        def __init__(self, path: Path) -> None:
            self._path = path
            self._file: int | None = None

        def acquire(self) -> None:
            """Wait until nobody else has it."""
            self._take(fcntl.LOCK_EX)

        def try_acquire(self, *, is_look: bool = False) -> bool:
            """Take it if nobody has it; `is_look` is for who lets go of it at once, who is not in the way of others
            that look."""
            try:
                self._take((fcntl.LOCK_SH if is_look else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        def _take(self, operation: int) -> None:
            file = os.open(self._path, os.O_RDWR if operation & fcntl.LOCK_EX else os.O_RDONLY)
            try:
                fcntl.flock(file, operation)
            except BaseException:
                os.close(file)
                raise
            self._file = file

        def release(self) -> None:
            """Let go of it."""
            if self._file is not None:
                os.close(self._file)
                self._file = None


@contextlib.contextmanager
def hold(path: Path) -> Iterator[None]:
    """Wait for the lock of a file that is there, and hold it. Raises `OSError`."""
    lock = FileLock(path)
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def try_hold(path: Path) -> Iterator[bool]:
    """Hold the lock of a file, unless somebody else does or there is no such file; give whether that worked."""
    lock = FileLock(path)
    try:
        has_it = lock.try_acquire()
    except OSError:
        has_it = False
    try:
        yield has_it
    finally:
        lock.release()


def is_held(path: Path) -> bool:
    """Return whether somebody holds the lock of a file."""
    lock = FileLock(path)
    try:
        return not lock.try_acquire(is_look=True)
    except OSError:
        return False
    finally:
        lock.release()
