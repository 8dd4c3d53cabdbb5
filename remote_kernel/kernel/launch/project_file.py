"""The pyproject.toml of a notebook's project."""

import os
import sys
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from remote_kernel.core.errors import SettingsError

if TYPE_CHECKING:
    from remote_kernel.core.project_settings import ProjectSettings

NAME = "pyproject.toml"

MAX_BYTES = 1024 * 1024

# Of the table that is ours.
_KEY = "remote-kernel"


def find_project(start: Path) -> "ProjectSettings | None":
    """Return what the nearest pyproject.toml says, in the folder `start` or above it; `None` where it says nothing.

    A file of somebody else counts only where the folder `start` is theirs as well: above a user's own folders, as in
    `/tmp`, others may write. Windows does not tell whose a file is: there, one above the user's profile counts for
    nothing.

    Raises:
        SettingsError: it cannot be used.
    """
    for folder in (start, *start.parents):
        path = folder / NAME
        if _is_file(path):
            return _read(path) if _is_trusted(path, start) else None
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # in a folder that is closed to us
        return False


def _is_trusted(path: Path, start: Path) -> bool:
    if sys.platform == "win32":
        return not is_above(path.parent, Path.home())
    try:
        return path.stat().st_uid in {os.getuid(), 0, start.stat().st_uid}
    except OSError:
        return False


def is_above(folder: PurePath, home: PurePath) -> bool:
    """Return whether a folder holds the user's profile, and so may be everybody's."""
    return folder in home.parents


def _read(path: Path) -> "ProjectSettings | None":
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        text = data.decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None  # whoever needs it will say so
    if _KEY not in text:
        return None
    from remote_kernel.core.project_settings import TABLE, parse_project_settings  # late: most projects need neither

    if len(data) > MAX_BYTES:
        raise SettingsError(f"{path} has more than {MAX_BYTES // 1024} KB: put [{TABLE}] into a smaller one")
    return parse_project_settings(text, folder=str(path.parent), file=str(path))
