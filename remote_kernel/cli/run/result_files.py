"""Result files of a run: checked before it and written after it, so that no finished run is lost.

A regular file is replaced in one step. What is none, such as `/dev/stdout` or a pipe, is written in place, and so is a
file that cannot be replaced, such as one that is mounted by itself.
"""

import contextlib
import errno
import os
import secrets
import shutil
import stat
import sys
import tempfile
from pathlib import Path

from remote_kernel.cli.terminal import was_closed
from remote_kernel.core.errors import NotWritten, UsageError
from remote_kernel.io.private_files import replace

STANDARD_OUTPUT = 1

# A file that is mounted by itself, and one in a folder that takes no other.
_IRREPLACEABLE = frozenset({errno.EBUSY, errno.EXDEV, errno.EACCES, errno.EPERM, errno.EROFS})

# As many as Linux follows.
MAX_LINKS = 40

# Of a file that was written under another name than the user gave.
RESCUED = "rescued"

# Of a notebook's name, so that there is room for the rest of the new one.
MAX_STEM_BYTES = 150


def check_writable(path: Path) -> None:
    """Raise `UsageError` when a file at `path` could not be written, before any work is lost to it."""
    if _is_closed(path):
        raise UsageError(f"cannot write {path}: it is closed")
    status = _status(path)
    folder = path.resolve().parent
    has_folder = folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
    if status is None:
        if not folder.is_dir():
            raise UsageError(f"cannot write {path}: there is no folder {folder}")
        if not has_folder:
            raise UsageError(f"cannot write {path}: the folder {folder} is not yours to write to")
    elif stat.S_ISDIR(status.st_mode):
        raise UsageError(f"cannot write {path}: it is a folder")
    elif stat.S_ISBLK(status.st_mode) or stat.S_ISSOCK(status.st_mode):
        raise UsageError(f"cannot write {path}: it is neither a file nor a pipe")
    elif stat.S_ISREG(status.st_mode) and not status.st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
        raise UsageError(f"cannot write {path}: it is write-protected ('chmod u+w' ends that), or name another file")
    elif not os.access(path, os.W_OK) and not (stat.S_ISREG(status.st_mode) and has_folder):
        raise UsageError(f"cannot write {path}: it is not yours to write to")


def _is_closed(path: Path) -> bool:
    """Return whether `path` leads to a descriptor that is not open, such as `/dev/stdout` under `>&-`.

    Of the first three it counts how they were as Python began; by now another file may have such a number.
    """
    with contextlib.suppress(OSError, RuntimeError):
        for _ in range(MAX_LINKS):
            if path.parent.resolve() in {Path("/dev/fd").resolve(), Path("/proc/self/fd").resolve()}:
                return was_closed(path.name) if path.name in {"0", "1", "2"} else not path.exists()
            path = path.parent / path.readlink()
    return False


def is_standard_output(path: Path) -> bool:
    """Return whether `path` leads to where this process's standard output goes, and other text must not."""
    try:
        status = os.fstat(STANDARD_OUTPUT)
        return os.path.samestat(path.stat(), status) and not _is_bottomless(status)
    except OSError:
        return False


def _is_bottomless(status: os.stat_result) -> bool:
    """Return whether text goes nowhere there, as in `/dev/null`."""
    return stat.S_ISCHR(status.st_mode) and not os.isatty(STANDARD_OUTPUT)


def write_whole(path: Path, text: str, *, errors: str = "strict") -> None:
    """Write `text` to `path`: a regular file in one step, with the mode of the one that is there already.

    Readers of a regular file see the old one or the new one, and a failure leaves the old one.

    Args:
        errors: the error handler for text that UTF-8 cannot hold, such as half of a surrogate pair.

    Raises:
        NotWritten: the file system said no.
    """
    data = text.encode("utf-8", errors)
    try:
        status = _status(path)
        if is_standard_output(path):
            _write_all(os.dup(STANDARD_OUTPUT), data)
        elif status is None or stat.S_ISREG(status.st_mode):
            _replace(path.resolve(), data)  # a link stays a link
        else:
            _write_in_place(path, data)
    except OSError as error:
        why = "nobody reads this pipe" if error.errno == errno.ENXIO and path.is_fifo() else reason(error)
        raise NotWritten(f"cannot write {path}: {why}") from error


def rescue(path: Path, text: str, notebook: Path, *, errors: str = "strict") -> Path | None:
    """Write `text`, which could not be written to `path`, under a new name nearby and return that path.

    Args:
        notebook: whose result it is; its folder is tried as well.

    Returns:
        `None` where it can be written nowhere.
    """
    suffix = path.suffix or ".ipynb"
    stem = os.fsencode(notebook.stem)[:MAX_STEM_BYTES].decode(errors="ignore")
    status = _status(path)
    # Beside a device there are other devices.
    beside = [path.resolve().parent] if status is None or stat.S_ISREG(status.st_mode) else []
    for folder in (*beside, notebook.resolve().parent, Path.cwd(), Path(tempfile.gettempdir())):
        for name in (f"{stem}.{RESCUED}{suffix}", f"{stem}.{RESCUED}-{secrets.token_hex(4)}{suffix}"):
            target = folder / name
            try:
                _write_new(target, text.encode("utf-8", errors))
            except FileExistsError:
                continue
            except OSError:
                with contextlib.suppress(OSError):  # a disk that takes no file may let none go either
                    target.unlink()
                break
            return target
    return None


def reason(error: OSError) -> str:
    """Return in a few words why the file system said no."""
    return (error.strerror or type(error).__name__).lower()


def _status(path: Path) -> os.stat_result | None:
    """Return the status of what `path` leads to; `None` where there is nothing."""
    try:
        return path.stat()
    except OSError:
        return None


def _replace(target: Path, data: bytes) -> None:
    partial = target.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        try:
            _write_new(partial, data)
            if target.exists():
                shutil.copymode(target, partial)
            replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        if error.errno not in _IRREPLACEABLE or not os.access(target, os.W_OK):
            raise
        _write_in_place(target, data)


def _write_in_place(path: Path, data: bytes) -> None:
    if sys.platform == "win32":
        descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_BINARY)
    else:
        # A pipe that nobody reads is an error at once, and not a wait for ever.
        descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_NONBLOCK | os.O_NOCTTY)
        os.set_blocking(descriptor, True)
    _write_all(descriptor, data)


def _write_all(descriptor: int, data: bytes) -> None:
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _write_new(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())  # a renamed file without its contents is what a power cut would leave
