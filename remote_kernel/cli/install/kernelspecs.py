"""Kernelspecs of ours: each makes one pool, with one set of settings, a kernel that front ends offer.

Source: "Kernel specs" in jupyter_client's documentation.
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager, NoSuchKernel

from remote_kernel.core.errors import NotWritten, UsageError

DISTRIBUTION = "remote-session-kernel"
# Below the environment's prefix, where the wheel puts the kernelspec that it brings.
SHIPPED_FILE = ("share", "jupyter", "kernels", "remote", "kernel.json")

# What starts our kernel: as it is written now, and as earlier versions wrote it.
_STARTS = (["-P", "-m", "remote_kernel"], ["-m", "remote_kernel"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A kernelspec of ours as Jupyter finds it.

    Attributes:
        endpoint: of its pool; "" for the local pool, or for what the environment says.
        is_shipped: whether it came with the package.
        problem: why it cannot work; "" where nothing is known.
    """

    name: str
    display_name: str
    endpoint: str
    environ: Mapping[str, str]
    folder: Path
    is_shipped: bool
    problem: str


def find_shipped(name: str = DISTRIBUTION) -> Path:
    """Return the folder of the kernelspec that the installed distribution `name` brought.

    It stands in the distribution's own record of files ("Recording installed projects" in Python's packaging
    specifications), for a wheel as for an editable install.

    Raises:
        UsageError: the package runs without having been installed, or its kernelspec is gone.
    """
    try:
        recorded = distribution(name).files or []
    except PackageNotFoundError:
        recorded = []
    for file in recorded:
        path = Path(str(file.locate()))
        if file.parts[-len(SHIPPED_FILE) :] == SHIPPED_FILE and path.is_file():
            return path.resolve().parent
    raise UsageError(f"the kernelspec of {name} is not there: install the package again, with pip")


def make_spec(*, display_name: str, language: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the contents of a kernel.json that starts our kernel with this very Python and with `environ`."""
    spec: dict[str, Any] = json.loads((find_shipped() / "kernel.json").read_text(encoding="utf-8"))
    # With its whole path: the Jupyter that reads it may belong to another environment.
    spec["argv"] = [sys.executable, *spec["argv"][1:]]
    spec["display_name"] = display_name
    spec["language"] = language
    if environ:
        spec["env"] = dict(environ)
    return spec


def write_spec(spec: Mapping[str, Any], name: str, *, prefix: Path | None, is_private: bool) -> Path:
    """Install a kernelspec with its logos and return its folder; one of ours that is there is replaced.

    Args:
        prefix: installs into `prefix`/share/jupyter; `None` into the user's folder.
        is_private: makes a folder that only the user can read.

    Raises:
        UsageError: the name is not one, or belongs to a kernel that is not ours.
        NotWritten: the file system said no.
    """
    manager = KernelSpecManager()
    parent = Path(manager.user_kernel_dir) if prefix is None else prefix.absolute() / "share" / "jupyter" / "kernels"
    _check_is_ours(parent / name)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            source = Path(scratch) / name
            source.mkdir()
            for logo in find_shipped().glob("logo-*"):
                shutil.copyfile(logo, source / logo.name)
            (source / "kernel.json").write_text(json.dumps(spec, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            for path in (source, *source.iterdir()):
                path.chmod((0o700 if is_private else 0o755) if path.is_dir() else (0o600 if is_private else 0o644))
            folder = manager.install_kernel_spec(
                str(source), name, user=prefix is None, prefix=None if prefix is None else str(prefix)
            )
    except OSError as error:
        remedy = (
            "set JUPYTER_DATA_DIR to a folder of yours, or name another with --prefix"
            if prefix is None
            else "try --user, or another --prefix"
        )
        raise NotWritten(f"cannot write {parent / name} ({error.strerror}): {remedy}") from None
    return Path(folder)


def find_installed() -> list[Installed]:
    """Return the kernelspecs of ours that Jupyter finds, by name."""
    found = []
    for name, folder in sorted(KernelSpecManager().find_kernel_specs().items()):
        spec = _read(Path(folder))
        if spec is not None and is_ours(spec):
            found.append(_describe(name, Path(folder), spec))
    return found


def remove_spec(name: str) -> Path:
    """Remove a kernelspec of ours and return the folder that it was in.

    Raises:
        UsageError: there is none of this name, it is not ours, or it came with the package.
        NotWritten: the file system said no.
    """
    manager = KernelSpecManager()
    try:
        folder = Path(manager.get_kernel_spec(name).resource_dir)
    except NoSuchKernel:
        raise UsageError(f"there is no Jupyter kernel named {name!r}: see 'remote-kernel list'") from None
    _check_is_ours(folder)
    spec = _read(folder)
    if spec is not None and _describe(name, folder, spec).is_shipped:
        raise UsageError(f"{name!r} came with the package: 'pip uninstall remote-session-kernel' removes both")
    try:
        manager.remove_kernel_spec(name)
    except OSError as error:
        raise NotWritten(f"cannot remove {folder}: {error.strerror}") from None
    return folder


def _describe(name: str, folder: Path, spec: KernelSpec) -> Installed:
    python = Path(spec.argv[0])
    is_gone = python.is_absolute() and not python.exists()
    return Installed(
        name=name,
        display_name=spec.display_name,
        endpoint=spec.env.get("REMOTE_KERNEL_ENDPOINT", ""),
        environ=spec.env,
        folder=folder,
        is_shipped=not python.is_absolute(),
        problem=f"{python} is gone: install it again" if is_gone else "",
    )


def _read(folder: Path) -> KernelSpec | None:
    try:
        return KernelSpec.from_resource_dir(str(folder))
    except (OSError, ValueError, TypeError):
        return None


def is_ours(spec: KernelSpec) -> bool:
    """Return whether a kernelspec starts our kernel."""
    return any(list(spec.argv[1 : len(words) + 1]) == words for words in _STARTS)


def _check_is_ours(folder: Path) -> None:
    """Raise `UsageError` for a kernelspec of somebody else."""
    if not folder.exists():
        return
    spec = _read(folder)
    if spec is None or not is_ours(spec):
        raise UsageError(f"the kernel in {folder} is not one of remote-kernel's: choose another name")
