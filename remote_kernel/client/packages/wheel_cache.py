"""Wheels that were downloaded, kept on this machine for the next session."""

import contextlib
import os
import shutil
from pathlib import Path

from remote_kernel.io.file_pieces import digest
from remote_kernel.io.private_files import make_private_folder

MAX_BYTES = 2_000_000_000


class WheelCache:
    """Folder of wheels, each under its checksum: an index may have two of one name. All methods may raise `OSError`.

    Args:
        max_bytes: how much `trim` leaves; what was not used for longest goes.
    """

    def __init__(self, folder: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self._folder = folder
        self._max_bytes = max_bytes

    def get(self, name: str, sha256: str) -> Path | None:
        """Return the wheel with this name and checksum, if it is here and whole."""
        path = self._folder / sha256 / name
        with contextlib.suppress(FileNotFoundError):  # another kernel may trim meanwhile
            if sha256 and path.is_file() and digest(path) == sha256:
                os.utime(path)
                return path
        return None

    def put(self, path: Path) -> Path:
        """Move a wheel here and return its new path."""
        folder = self._folder / digest(path)
        make_private_folder(self._folder)
        folder.mkdir(exist_ok=True)
        shutil.move(path, folder / path.name)
        return folder / path.name

    def trim(self) -> None:
        """Remove what is too much."""
        found = {}
        for path in self._folder.glob("*/*.whl"):
            with contextlib.suppress(FileNotFoundError):  # another kernel may trim meanwhile
                found[path] = path.stat()
        kept = 0
        for path, status in sorted(found.items(), key=lambda each: each[1].st_mtime, reverse=True):
            kept += status.st_size
            if kept > self._max_bytes:
                path.unlink(missing_ok=True)
                with contextlib.suppress(OSError):
                    path.parent.rmdir()
