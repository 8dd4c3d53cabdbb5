"""Files as transfers read them, at either end: a checksum, and pieces.

All raise `OSError`, also for what is no ordinary file: whoever opens a pipe would wait for its writer.
"""

import hashlib
from pathlib import Path

from remote_kernel.io.private_files import open_ordinary


def digest(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    with open_ordinary(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_piece(path: Path, offset: int, length: int) -> bytes:
    """Return up to `length` bytes from `offset` on."""
    with open_ordinary(path) as file:
        file.seek(offset)
        return file.read(length)
