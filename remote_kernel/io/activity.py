"""Activity of a pod: when it was last called, and how often, for the pool that would otherwise not know.

A kernel on the pool's machine speaks to its pod directly. So the pod writes two numbers into a file of its private
folder with each call, and the pool reads them before it takes a pod for unused: neither waits for the other.
"""

import contextlib
import struct
from dataclasses import dataclass
from pathlib import Path

FILE_NAME = "activity"

# Seconds of the system's monotonic clock, which is the same in all processes, and a count.
_LAYOUT = struct.Struct("=dQ")


@dataclass(frozen=True, slots=True)
class Activity:
    """Calls of a pod: when the last one came, in seconds of `time.monotonic`, and how many there were."""

    called_at: float
    calls: int


class ActivityFile:
    """File that a pod keeps of its calls.

    Args:
        folder: the pod's private folder.
    """

    def __init__(self, folder: Path) -> None:
        self._calls = 0
        self._file = (folder / FILE_NAME).open("wb", buffering=0)

    def note(self, now: float) -> None:
        """Write that there was a call."""
        self._calls += 1
        with contextlib.suppress(OSError):  # a disk that fails must not fail the call
            self._file.seek(0)
            self._file.write(_LAYOUT.pack(now, self._calls))

    def close(self) -> None:
        """Close the file, which stays."""
        self._file.close()


def read_activity(folder: Path) -> Activity | None:
    """Return what the pod with this folder has written; `None` where that is nothing."""
    try:
        with (folder / FILE_NAME).open("rb", buffering=0) as file:
            return Activity(*_LAYOUT.unpack(file.read(_LAYOUT.size)))
    except (OSError, struct.error):
        return None
