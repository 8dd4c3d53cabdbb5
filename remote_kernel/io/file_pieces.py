"""Files as transfers read them, at either end: a checksum, and pieces. All raise `OSError`."""

import hashlib
from pathlib import Path


def digest(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_piece(path: Path, offset: int, length: int) -> bytes:
    """Return up to `length` bytes from `offset` on."""
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length)
