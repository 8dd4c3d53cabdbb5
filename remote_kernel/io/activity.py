"""Activity of a pod: when it was last called, and how often, for the pool that would otherwise not know.

A kernel on the pool's machine speaks to its pod directly. So the pod writes two numbers into a file with each call, and
the pool reads them before it takes a pod for unused: neither waits for the other. The pool makes the file before the
pod starts and keeps it open, so that neither a full disk, nor a want of descriptors, nor what a cell does to the pod's
folder can hide a call. A pod that cannot write empties the file: nobody takes an old time for the last one.
"""

import contextlib
import os
import struct
from dataclasses import dataclass
from pathlib import Path

# Seconds of the system's monotonic clock, which is the same in all processes, and a count.
_LAYOUT = struct.Struct("=dQ")


@dataclass(frozen=True, slots=True)
class Activity:
    """Calls of a pod: when the last one came, in seconds of `time.monotonic`, and how many there were."""

    called_at: float
    calls: int


class ActivityReader:
    """File of a pod's calls as its pool has it, who makes it; raises `OSError` where that cannot be done."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b", buffering=0)
        try:
            self._file.write(_LAYOUT.pack(0.0, 0))  # takes its place on the disk while there is room
        except OSError:
            self._file.close()
            raise

    def read(self) -> Activity | None:
        """Return what the pod has written; `None` where it could not."""
        try:
            self._file.seek(0)
            return Activity(*_LAYOUT.unpack(self._file.read(_LAYOUT.size)))
        except (OSError, struct.error):
            return None

    def close(self) -> None:
        """Close the file, which stays."""
        self._file.close()


class ActivityWriter:
    """File of a pod's calls as the pod has it; raises `OSError` where its pool has made none."""

    def __init__(self, path: Path) -> None:
        self._calls = 0
        self._file = path.open("r+b", buffering=0)

    def note(self, now: float) -> None:
        """Write that there was a call; a disk that fails does not fail the call."""
        self._calls += 1
        try:
            self._file.seek(0)
            self._file.write(_LAYOUT.pack(now, self._calls))
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file.fileno(), 0)

    def close(self) -> None:
        """Close the file, which stays."""
        self._file.close()
