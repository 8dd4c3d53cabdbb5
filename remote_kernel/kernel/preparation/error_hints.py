"""Hints below the traceback of a cell that misses what is on this machine and not in the session."""

import re
from itertools import islice
from pathlib import Path

SYNC_IT = "'%session sync on' keeps this folder the same in the session, and '%session upload {path}' sends it once."
INSTALL_IT = "'%session install {name}' sends it there."

# Of so many that an error quotes is asked whether they are here.
MAX_PATHS = 10

_QUOTED = re.compile(r"'(?P<path>[^'\n]{1,1000})'")
_MODULE = re.compile(r"No module named '(?P<name>[\w.]{1,200})'")


def find_hint(name: str, text: str, folder: Path, *, has_workspace: bool) -> str:
    """Return what can be done about an error; "" for nothing. Blocks, as it looks at files.

    Args:
        name: of the error, such as `FileNotFoundError`.
        text: of the error.
        folder: the notebook's on this machine.
        has_workspace: whether files here are in the session as well.
    """
    if name == "FileNotFoundError":
        return "" if has_workspace else _of_file(text, folder)
    return _of_module(text, folder, has_workspace=has_workspace)


def _of_file(text: str, folder: Path) -> str:
    paths = (match["path"] for match in islice(_QUOTED.finditer(text), MAX_PATHS))
    found = next((path for path in paths if _is_beside(path, folder)), None)
    if found is None:
        return ""
    return f"'{found}' is here, beside the notebook, and not in the session. " + SYNC_IT.format(path=found)


def _is_beside(path: str, folder: Path) -> bool:
    """Return whether a relative path means something in a folder, or below it."""
    if Path(path).is_absolute() or ".." in Path(path).parts:
        return False
    try:
        return (folder / path).exists()
    except (OSError, ValueError):
        return False


def _of_module(text: str, folder: Path, *, has_workspace: bool) -> str:
    match = _MODULE.search(text)
    if match is None:
        return ""
    from remote_kernel.client.packages.local_distributions import distribution_of  # late: 2 MB that most need not

    name = match["name"].partition(".")[0]
    beside = next((path for path in (f"{name}.py", name) if _is_beside(path, folder)), None)
    if beside is not None and not has_workspace:
        return f"'{beside}' is here, beside the notebook, and not in the session. " + SYNC_IT.format(path=beside)
    if beside is None and (found := distribution_of(name)) is not None:
        return f"'{name}' is installed here, and not in the session. " + INSTALL_IT.format(name=found.name)
    return ""
