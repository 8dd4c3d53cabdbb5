"""Folders of notebooks, as `remote-kernel run` takes them."""

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from remote_kernel.cli.run.result_files import RESCUED
from remote_kernel.core.errors import UsageError

EXECUTED = "executed"

# A folder with more is somebody's home, or the root of a disk, and was not meant.
MAX_NOTEBOOKS = 1_000
MAX_FOLDERS = 20_000

# Of an environment, whose packages may bring notebooks.
_MARKS = frozenset({"pyvenv.cfg", "conda-meta"})

# Of an earlier run.
_RESULTS = (f".{EXECUTED}.ipynb", f".{RESCUED}.ipynb")


def find_notebooks(paths: Sequence[Path]) -> list[Path]:
    """Return the notebooks, with those that are in folders and in the folders below, each folder's sorted by path.

    Hidden ones are left out, and with them Jupyter's checkpoints, and so are the results of earlier runs, and Python's
    environments.

    Raises:
        UsageError: there is none in a folder, or there are too many, or too many folders.
    """
    return [notebook for path in paths for notebook in (_find(path) if path.is_dir() else [path])]


def _find(folder: Path) -> list[Path]:
    found = sorted(islice(_walk(folder), MAX_NOTEBOOKS + 1))
    if not found:
        raise UsageError(f"there is no notebook in the folder {folder}")
    if len(found) > MAX_NOTEBOOKS:
        raise _too_much(folder, f"{MAX_NOTEBOOKS:,} notebooks")
    return found


def _walk(folder: Path) -> Iterator[Path]:
    for count, (root, folders, files) in enumerate(os.walk(folder)):
        if count > MAX_FOLDERS:
            raise _too_much(folder, f"{MAX_FOLDERS:,} folders")
        is_environment = not _MARKS.isdisjoint([*folders, *files])
        folders[:] = [] if is_environment else [name for name in folders if not name.startswith(".")]
        yield from (Path(root) / name for name in files if _is_notebook(name))


def _too_much(folder: Path, what: str) -> UsageError:
    return UsageError(f"the folder {folder} has more than {what} in it: name a smaller one, or the notebooks")


def _is_notebook(name: str) -> bool:
    return name.endswith(".ipynb") and not name.startswith(".") and not name.endswith(_RESULTS)
