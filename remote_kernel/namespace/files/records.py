"""Records of a job for who follows it: progress, manifest and report, each replaced as a whole."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

from remote_kernel.namespace.files.objects import write_file

MANIFEST, PROGRESS, REPORT, OBJECTS = "manifest.json", "progress.json", "report.json", "objects"

# Who follows waits for changes; more of them nobody can see.
SECONDS_BETWEEN_RECORDS = 0.1


def data_folder(folder: str) -> str:
    """Return the session's data folder, which has a folder for saves with that of a job in it."""
    return os.path.dirname(os.path.dirname(folder))


@dataclass
class Progress:
    """Steps of a job, and the one that it is at.

    Attributes:
        state: "running", "done" or "failed".
        step: "looking", "saving" or "loading".
        name: of the variable that it is at.
        done: steps that are over, of `total`.
        bytes: what has been taken so far.
        problem: one sentence, if it has failed.
    """

    state: str = "running"
    step: str = "looking"
    name: str = ""
    done: int = 0
    total: int = 0
    bytes: int = 0
    problem: str = ""


class Reporter:
    """Writes a job's progress, not more often than somebody would look.

    Args:
        folder: of the job.
        clock: in seconds.
    """

    def __init__(self, folder: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = os.path.join(folder, PROGRESS), clock
        self._next_at = 0.0
        self.progress = Progress()

    def update(self, **changes: Any) -> None:
        """Note what has changed, and write it when it is time."""
        for name, value in changes.items():
            setattr(self.progress, name, value)
        if self._clock() >= self._next_at:
            self.write()

    def write(self) -> None:
        """Write it now. `OSError` if there is no room."""
        self._next_at = self._clock() + SECONDS_BETWEEN_RECORDS
        write_json(self._path, asdict(self.progress))


def write_json(path: str, value: dict[str, Any]) -> None:
    """Write a JSON object that is there whole or not at all. `OSError` if there is no room."""
    write_file(path, json.dumps(value).encode())
