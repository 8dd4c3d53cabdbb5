"""Registered local pools of this user: a folder for each environment, in Jupyter's runtime folder.

A pool belongs to an environment, as its pods have that interpreter and its packages.
"""

import os
import sys
from pathlib import Path

from jupyter_core.paths import jupyter_runtime_dir

from remote_kernel import __version__
from remote_kernel.core.errors import WireError
from remote_kernel.core.limits import ANSWER
from remote_kernel.core.pools.local_pool import POOLS_FOLDER, RUNTIME_FILE, Environment, RunningPool
from remote_kernel.io.private_files import make_private_folder, read_json_object


def this_environment() -> Environment:
    """Return the environment that this process runs in; a link to an environment is that environment."""
    return Environment(
        prefix=os.path.realpath(sys.prefix), executable=os.path.realpath(sys.executable), version=__version__
    )


def folder_of(name: str) -> Path:
    return _pools_folder() / name


def make_folder(folder: Path) -> None:
    """Make an environment's folder, for its owner alone. Raises `OSError`."""
    for each in (folder.parent.parent, folder.parent, folder):
        make_private_folder(each)


def registered_names() -> list[str]:
    """Return the names of the environments whose pools have a runtime file, whether or not they still run."""
    return sorted(path.parent.name for path in _pools_folder().glob(f"*/{RUNTIME_FILE}"))


def read_pool(folder: Path) -> RunningPool | None:
    """Return what a runtime file says; `None` without one, or without one that can be read."""
    try:
        return RunningPool.from_json(read_json_object(folder / RUNTIME_FILE, ANSWER))
    except (OSError, WireError):
        return None


def _pools_folder() -> Path:
    return Path(jupyter_runtime_dir()) / POOLS_FOLDER
