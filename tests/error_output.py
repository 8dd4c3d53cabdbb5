"""What the programs that a test starts write to standard error, and into their logs: shown when the test fails.

Each program has a file of its own, as what the programs of one test say would otherwise run together, and what a kernel
said that outlives the test that started it belongs to the test in which it was said.
"""

import itertools
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Of a flood, its end.
MAX_SHOWN_BYTES = 16 * 1024

Section = tuple[str, str]


class ErrorOutput:
    """The files of one test process, and how much of each an earlier test has written."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._numbers = itertools.count(1)
        self._marks: dict[Path, int] = {}

    def open(self, program: str) -> int:
        """Return the descriptor of a new file for the standard error of `program`; who starts it closes it."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="rk-stderr-")
        path = Path(self._folder.name) / f"{program} {next(self._numbers)}"
        self._marks[path] = 0
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    @contextmanager
    def opened(self, program: str) -> Iterator[int]:
        """Give the descriptor of such a file, for as long as it takes to start the program."""
        descriptor = self.open(program)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def mark(self) -> None:
        """Begin a test: what has been written so far is none of its own."""
        self._marks = {path: path.stat().st_size for path in self._marks}

    def sections(self) -> Iterator[Section]:
        """Return what has been written since the mark."""
        for path, mark in self._marks.items():
            if text := _read_end(path, mark):
                yield f"Standard error of {path.name}", text


error_output = ErrorOutput()


def log_sections(folder: Path) -> Iterator[Section]:
    """Return the ends of the logs in a test's own folders."""
    for path in sorted(folder.rglob("*.log")):
        if text := _read_end(path, 0):
            yield f"Log {path.relative_to(folder)}", text


def _read_end(path: Path, start: int) -> str:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(start, size - MAX_SHOWN_BYTES))
        return file.read().decode(errors="replace")
