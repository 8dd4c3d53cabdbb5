"""Stamps of files here, by which a change shows, and their content, read so that it belongs to a stamp."""

import hashlib
import os
import stat
import time
from dataclasses import dataclass

from remote_kernel.core.workspace.base import NO_STAMP, Stamp

# Clocks of file systems tick every few milliseconds, those of FAT every two seconds.
TICK_NS = 50_000_000
COARSE_TICK_NS = 2_000_000_000

# A file that changes while it is read is read again.
READS = 3

# A pipe must not be waited for, and Windows has line ends of its own.
_PLAIN = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


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


def stamp_of(status: os.stat_result) -> Stamp:
    """Return what tells whether a file has changed."""
    return status.st_mode, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def stamp_at(path: str) -> Stamp:
    try:
        return stamp_of(os.lstat(path))
    except OSError:
        return NO_STAMP


def is_racy(stamp: Stamp, seen_ns: int) -> bool:
    """Return whether a file that was read at `seen_ns` (nanoseconds since 1970) may change without a new stamp."""
    *_, modified, changed = stamp
    is_coarse = not modified % 1_000_000_000 and not changed % 1_000_000_000
    return max(modified, changed) >= seen_ns - (COARSE_TICK_NS if is_coarse else TICK_NS)


def measure(path: str, *, max_content: int = -1) -> Measured | None:
    """Read a file; return `None` where it is none, or changes all the time.

    Args:
        max_content: the content is returned of a file of at most so many bytes.

    Raises:
        OSError: it is not there, or cannot be read.
    """
    for _ in range(READS):
        seen = time.time_ns()
        descriptor = os.open(path, os.O_RDONLY | _PLAIN)
        with os.fdopen(descriptor, "rb") as file:
            stamp = stamp_of(os.fstat(descriptor))
            if not stat.S_ISREG(stamp[0]):
                return None
            content = file.read(max_content + 1) if stamp[2] <= max_content else b""
            digest = hashlib.sha256(content) if content else hashlib.file_digest(file, "sha256")
            if stamp == stamp_of(os.fstat(descriptor)) and (not content or len(content) == stamp[2]):
                return Measured(digest.hexdigest(), stamp, is_racy(stamp, seen), content)
    return None
