"""Libraries: those that pickle, which the program brings along, and the versions of those that objects need."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import re
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

PACKAGE = __name__.rpartition(".pickling.")[0]
# What is longer is no name of a library that somebody could install.
MAX_NAME = 100
_VERSION = re.compile(r"[\w.+!~*-]{1,100}", re.ASCII)
# Of Python's own library, and of this program: nothing that could be missing.
_OURS = {"cloudpickle", "dill", PACKAGE.partition(".")[0], "__main__", "builtins"}


def load(name: str) -> Any:
    """Return cloudpickle or dill: the interpreter's own, else the one beside this program."""
    if name in sys.modules:
        return sys.modules[name]
    beside = os.path.dirname(os.path.dirname(sys.modules[PACKAGE].__file__ or ""))
    sys.path.append(beside)
    try:
        module = importlib.import_module(name)
    finally:
        sys.path.remove(beside)
    if name == "dill":
        module.extend(use_dill=False)  # it teaches Python's own pickle when it is loaded
    return module


def requirements(names: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return versions by top-level module, and the names of those that pip knows otherwise."""
    tops = {name.partition(".")[0] for name in names} - _OURS
    versions = {top: version_of(top) for top in sorted(tops) if not is_standard(top) and len(top) <= MAX_NAME}
    return versions, {top: name for top in versions if (name := distribution_of(top)) != top}


def is_standard(top: str) -> bool:
    """Return whether a module is Python's own, or of no file."""
    known: frozenset[str] | None = getattr(sys, "stdlib_module_names", None)
    file = getattr(sys.modules.get(top), "__file__", None)
    if known is not None:
        return top in known or not file
    return not file or (file.startswith(os.path.dirname(os.__file__)) and "site-packages" not in file)


def version_of(top: str) -> str:
    """Return the version of a module that is loaded, or nothing."""
    return plain_version(getattr(sys.modules.get(top), "__version__", ""))


def plain_version(version: object) -> str:
    """Return a version without what a file around it has left, or nothing where it is no version."""
    text = version.strip() if isinstance(version, str) else ""
    return text if _VERSION.fullmatch(text) else ""


@functools.cache
def distribution_of(top: str) -> str:
    """Return the name by which pip knows a module, or the module's, if it is of no distribution."""
    from importlib import metadata

    try:
        return metadata.distribution(top).metadata["Name"] and top
    except (metadata.PackageNotFoundError, ValueError):
        of_modules: dict[str, list[str]] = getattr(metadata, "packages_distributions", dict)()
        return next(iter(of_modules.get(top, ())), top)


def is_installed(top: str) -> bool:
    """Return whether a module is here, without loading it."""
    if top in sys.modules:
        return True
    try:
        return importlib.util.find_spec(top) is not None
    except (ImportError, ValueError):
        return False


def differences(requires: dict[str, str]) -> list[str]:
    """Return a sentence for each module that is here in another version than it was saved with."""
    return [
        f"{top} is {here} in the session, and was {version} when this was saved"
        for top, version in requires.items()
        if version and top != "python" and (here := installed_version(top)) not in ("", version)
    ]


def installed_version(top: str) -> str:
    """Return a module's version without loading it, or nothing."""
    from importlib import metadata

    if top in sys.modules:
        return version_of(top)
    try:
        return plain_version(metadata.version(distribution_of(top)))
    except (metadata.PackageNotFoundError, ValueError):
        return ""
