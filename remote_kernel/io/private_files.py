"""Files that only their owner may read: keys, tokens, identifiers.

On Linux and macOS, their mode says so. Windows has none: there, a file can be read by those who may read the folder
that it is in, and Jupyter's folders are in the user's profile, which is closed to other users.

Every function raises `OSError` as the system does; callers say what it means for the user.
"""

import contextlib
import errno
import os
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Any

from remote_kernel.core.json_text import parse_json_object
from remote_kernel.core.limits import Limit

# How long Windows may refuse to replace a file that another process, such as a virus scanner, is just reading.
REPLACE_SECONDS = 0.5
_LOOK_AGAIN_SECONDS = 0.01


def make_private_folder(folder: Path) -> None:
    """Create `folder` with mode 0700 where it is missing; its parents get the usual mode."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)


def close_folder(folder: Path) -> None:
    """Take a folder of this user's from everybody else, as far as its file system does that."""
    if sys.platform != "win32":
        status = folder.stat()
        if status.st_uid == os.geteuid() and status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            with contextlib.suppress(PermissionError):
                folder.chmod(0o700)


def make_private(path: Path) -> None:
    """Take a file from everybody but its owner."""
    if sys.platform != "win32" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        path.chmod(0o600)


def is_private(path: Path) -> bool:
    """Return whether a file is this user's, and closed to others; for Windows, see above."""
    status = path.lstat()
    if sys.platform == "win32":
        return stat.S_ISREG(status.st_mode)
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077


def open_private(path: Path, mode: str) -> FileIO:
    """Open a file, which is made with mode 0600 where it is missing: `r+` to be written in place, `a+` at its end."""
    return FileIO(path, mode, opener=lambda name, flags: os.open(name, flags | os.O_CREAT, 0o600))


def open_descriptor(path: Path) -> int:
    """Open a file to be written in place, which is made with mode 0600 where it is missing."""
    return os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)


@contextlib.contextmanager
def open_ordinary(path: Path) -> Iterator["BufferedReader[FileIO]"]:
    """Open an ordinary file to be read; anything else is an `OSError`: whoever reads a pipe waits for its writer."""
    raw = FileIO(path, "r", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0)))
    with BufferedReader(raw) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no ordinary file", str(path))
        yield file


def read_ordinary(path: Path, max_bytes: int) -> bytes:
    """Return what is in an ordinary file, see above; of a longer one a byte more than `max_bytes`."""
    with open_ordinary(path) as file:
        return file.read(max_bytes + 1)


def read_json_object(path: Path, limit: Limit) -> dict[str, Any]:
    """Return the JSON object in an ordinary file; raises `WireError`, too, for what is none within the limit."""
    assert limit.bytes is not None
    return parse_json_object(read_ordinary(path, limit.bytes), limit)


def write_private(path: Path, content: str | bytes, *, flush: Callable[[int], None] | None = None) -> None:
    """Replace `path` in one step by a file of mode 0600, so that a reader sees the old content or the new one.

    Args:
        flush: is given the open file, with its content, before it takes its place; see `io.system.durability`.
    """
    _put(path, content, replace, flush)


def create_private(path: Path, text: str) -> None:
    """Write a new file of mode 0600; raises `FileExistsError` when another process was first.

    The file appears complete or not at all.
    """
    # Windows replaces nothing by a `rename`, and not every file system there has links.
    _put(path, text, rename if sys.platform == "win32" else os.link)


def replace(source: str | Path, target: Path) -> None:
    """Replace a file in one step, as `os.replace`; on Windows, wait until nobody has it open."""
    _wait_until_closed(os.replace, source, target)


def rename(source: str | Path, target: Path) -> None:
    """Rename a file as `os.rename`, which replaces nothing on Windows; wait there until nobody has it open."""
    _wait_until_closed(os.rename, source, target)


def _wait_until_closed(take_place: Callable[[str | Path, Path], None], source: str | Path, target: Path) -> None:
    deadline = time.monotonic() + REPLACE_SECONDS
    while True:
        try:
            take_place(source, target)
        except PermissionError:
            if sys.platform != "win32" or time.monotonic() > deadline:
                raise
            time.sleep(_LOOK_AGAIN_SECONDS)
        else:
            return


def _put(
    path: Path, content: str | bytes, take_place: Callable[[str, Path], None],
    flush: Callable[[int], None] | None = None,
) -> None:  # fmt: skip
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # always made with 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            if flush is not None:
                file.flush()
                flush(file.fileno())
        take_place(name, path)
    finally:
        Path(name).unlink(missing_ok=True)
