"""Files that only their owner may read: keys, tokens, identifiers.

Every function raises `OSError` as the system does; callers say what it means for the user.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def make_private_folder(folder: Path) -> None:
    """Create `folder` with mode 0700 where it is missing; its parents get the usual mode."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)


def write_private(path: Path, text: str) -> None:
    """Replace `path` in one step by a file of mode 0600, so that a reader sees the old text or the new one."""
    _put(path, text, os.replace)


def create_private(path: Path, text: str) -> None:
    """Write a new file of mode 0600; raises `FileExistsError` when another process was first.

    The file appears complete or not at all.
    """
    _put(path, text, os.link)


def _put(path: Path, text: str, take_place: Callable[[str, Path], None]) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # always made with 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        take_place(name, path)
    finally:
        Path(name).unlink(missing_ok=True)
