"""Paths on this machine, as users write them."""

from pathlib import Path

from remote_kernel.core.errors import UsageError


def expand_user(text: str) -> Path:
    """Return a path with the home folder in place of `~`; raises `UsageError` where that is nobody's."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise UsageError(f"there is no user for '~' in '{text}': write the whole path") from None


def current_folder() -> Path:
    """Return the folder that relative paths are in; raises `UsageError` where somebody has removed it."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise UsageError("the current folder is not there any more: change to another one") from None
