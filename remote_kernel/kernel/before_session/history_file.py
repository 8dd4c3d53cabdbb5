"""Cells that were run from this machine, by notebook: what arrow-up shows before there is a session to ask.

Each notebook has a file of its own, of one JSON array a line: session, line in it, code. Every writer opens the file
anew for each cell, so that it may be shortened and removed at any time; of several kernels, one writes at a time.
"""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from remote_kernel.core.numbers import MAX_SEQUENCE
from remote_kernel.io.private_files import make_private_folder, open_private, write_private
from remote_kernel.io.system.file_locks import hold

FOLDER = "remote-kernel/history"  # inside Jupyter's data folder
_SUFFIX = ".jsonl"

# A file that is longer loses its older half: some thousands of cells.
MAX_BYTES = 1 << 20
# What is longer was pasted, or made by a program.
MAX_CELL_CHARS = 64 * 1024
# Notebooks that nobody has used for longest lose theirs.
MAX_FILES = 200

# How people leave a console, which IPython does not keep either.
_LEAVING = re.compile(r"(exit|quit)\s*(\(\s*\))?")


class Entry(NamedTuple):
    """One cell.

    Attributes:
        session: number of the kernel process that it was sent by, counted from 1 in each notebook.
        line: its place there, from 1.
    """

    session: int
    line: int
    code: str


class HistoryFile:
    """History of one notebook, and of one kernel process that adds to it.

    Args:
        data_folder: Jupyter's.
        owner: what names the notebook; its digest is the file's name.
        max_bytes: how long the file may become.
        max_files: how many notebooks may have one.
    """

    def __init__(
        self, data_folder: Path, owner: str, *, max_bytes: int = MAX_BYTES, max_files: int = MAX_FILES
    ) -> None:
        digest = hashlib.sha256(owner.encode(errors="replace")).hexdigest()
        self._path = data_folder / FOLDER / f"{digest[:32]}{_SUFFIX}"
        self._lock = self._path.parent.with_suffix(".lock")
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._session = 0
        self._line = 0

    @property
    def session(self) -> int:
        """The number of this process; 0 before it has added a cell."""
        return self._session

    def read(self) -> list[Entry]:
        """Return what was kept, in order; nothing where nothing can be read."""
        return list(_parse(self._content()))

    def append(self, code: str) -> None:
        """Add a cell; a disk that does not take it costs the history, and nothing else."""
        with contextlib.suppress(OSError), self._alone():
            is_first = not self._session
            if is_first:
                self._session = max((entry.session for entry in self.read()), default=0) + 1
            self._line += 1
            line = f"{json.dumps([self._session, self._line, code])}\n".encode()
            with open_private(self._path, "a+") as file:
                size = os.fstat(file.fileno()).st_size
                if (file.write(line) or 0) < len(line):  # the disk is full
                    file.truncate(size)
                    return
            if size + len(line) > self._max_bytes:
                self._shorten()
            if is_first:
                self._remove_old()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Be the only process that writes. Raises `OSError`."""
        if not (self._lock.exists() and self._path.parent.exists()):
            make_private_folder(self._path.parent.parent)
            make_private_folder(self._path.parent)
            self._lock.touch(mode=0o600)
        with hold(self._lock):
            yield

    def _content(self) -> bytes:
        try:
            return self._path.read_bytes()
        except OSError:
            return b""

    def _shorten(self) -> None:
        """Replace the file, so that a process that is killed meanwhile leaves one of the two."""
        content = self._content()
        begin = content.find(b"\n", len(content) - self._max_bytes // 2) + 1
        write_private(self._path, content[begin:].decode(errors="replace"))

    def _remove_old(self) -> None:
        ages = {path: path.stat().st_mtime for path in self._path.parent.glob(f"*{_SUFFIX}")}
        for path in sorted(ages, key=ages.__getitem__, reverse=True)[self._max_files :]:
            path.unlink(missing_ok=True)


def can_keep(code: str) -> bool:
    """Return whether a cell has something in it that anybody wants again, and no more than people write."""
    return len(code) <= MAX_CELL_CHARS and bool(code.strip()) and not _LEAVING.fullmatch(code.strip())


def _parse(content: bytes) -> Iterator[Entry]:
    """Yield the entries, without what is none of ours."""
    for line in content.splitlines():
        try:
            session, number, code = json.loads(line)
        except (ValueError, TypeError, RecursionError):
            continue
        if type(session) is int and type(number) is int and isinstance(code, str) and 0 < session < MAX_SEQUENCE:
            yield Entry(session, number, code)
