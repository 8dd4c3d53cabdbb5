"""Folder of the pod with what was installed for the interpreters of one kernelspec."""

import hashlib
import os
import shutil
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path

from remote_kernel.core.wire.packages import normalized


def packages_folder(scratch: Path, kernelspec: str) -> Path:
    """Return the folder, which need not exist; `scratch` is the pod's private one."""
    return scratch / "packages" / hashlib.sha256(kernelspec.encode()).hexdigest()[:16]


def with_packages(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return the environment of an interpreter that is to find what is in the folder.

    Before what the image has, so that a newer version counts; its programs come behind those of the image. The folder
    has to be there when the interpreter starts: one that is not is never looked at again.
    """
    paths = {"PYTHONPATH": (str(folder), environ.get("PYTHONPATH")), "PATH": (environ.get("PATH"), str(folder / "bin"))}
    return {**environ, **{name: os.pathsep.join(filter(None, parts)) for name, parts in paths.items()}}


def make(folder: Path) -> None:
    """Make the folder, unless it is there."""
    folder.mkdir(parents=True, exist_ok=True)


def merge(new: Path, folder: Path) -> None:
    """Move what an installer has put into `new` to the folder, file by file, in place of other versions of the same.

    Packages may share a folder of modules (PEP 420), so that none can be moved whole.
    """
    names = {normalized(each.name) for each in distributions(path=[str(new)])}
    for old in [each for each in distributions(path=[str(folder)]) if normalized(each.name) in names]:
        _remove(old, folder)
    for root, _, files in os.walk(new):
        target = folder / Path(root).relative_to(new)
        target.mkdir(parents=True, exist_ok=True)
        for name in files:
            os.replace(Path(root) / name, target / name)
    shutil.rmtree(new)


def _remove(old: Distribution, folder: Path) -> None:
    """Remove the files of a distribution that are in the folder, and the folders that are empty then."""
    files = [Path(os.path.abspath(folder / file)) for file in old.files or ()]  # noqa: PTH100 - no link is followed
    for path in files:
        if path.is_relative_to(folder):
            path.unlink(missing_ok=True)
    _remove_empty({parent for path in files for parent in path.parents if folder in parent.parents})


def _remove_empty(folders: Iterable[Path]) -> None:
    for path in sorted(folders, key=lambda path: len(path.parts), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
