"""Checks of this machine, before a pool is asked for anything."""

import os
import platform
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from remote_kernel import __version__
from remote_kernel.cli.doctor.finding import Finding, Status
from remote_kernel.cli.install.kernelspecs import DISTRIBUTION, find_installed
from remote_kernel.core.errors import HOMELESS, RemoteKernelError, is_homeless
from remote_kernel.core.identity import parse_key, user_name
from remote_kernel.core.settings import Settings
from remote_kernel.io.log_files import log_folder
from remote_kernel.kernel.folders import Folders
from remote_kernel.kernel.identity.decision import login_name
from remote_kernel.kernel.identity.identity_key import KEY_FILE, load_key

# Those that decide what works; the others are only looked at.
_SHOWN = ("jupyter_client", "ipykernel", "pyzmq", "httpx")


def check_machine(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Give the findings in the order of the checks; ends after one that failed."""
    checks: tuple[tuple[str, Callable[[Mapping[str, str]], tuple[Status, str]]], ...] = (
        ("versions", _check_versions),
        ("kernels", _check_kernels),
        ("folders", _check_folders),
        ("settings", _check_settings),
        ("identity", _check_identity),
    )
    for name, check in checks:
        try:
            status, text = check(environ)
        except RemoteKernelError as error:
            status, text = Status.FAILED, str(error)
        except RuntimeError as error:
            if not is_homeless(error):
                raise
            status, text = Status.FAILED, HOMELESS
        yield Finding(check=name, status=status, text=text)
        if status is Status.FAILED:
            return


def _check_versions(_environ: Mapping[str, str]) -> tuple[Status, str]:
    wrong = [text for text in map(_describe_wrong, requires(DISTRIBUTION) or ()) if text]
    if wrong:
        text = f"{'; '.join(wrong)}: run 'pip install --upgrade {DISTRIBUTION}'"
        return Status.FAILED, text
    found = ", ".join(f"{name} {version(name)}" for name in _SHOWN)
    return Status.OK, f"{DISTRIBUTION} {__version__}, Python {platform.python_version()}, {found}"


def _describe_wrong(line: str) -> str:
    """Return what is wrong with a requirement; "" for nothing."""
    requirement = Requirement(line)
    if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
        return ""
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return f"{requirement.name} is not installed"
    fits = requirement.specifier.contains(found, prereleases=True)
    return "" if fits else f"{requirement.name} is {found}, and must be {requirement.specifier}"


def _check_kernels(_environ: Mapping[str, str]) -> tuple[Status, str]:
    kernels = find_installed()
    if not kernels:
        text = "Jupyter finds no kernel of ours: run 'remote-kernel install'"
        return Status.FAILED, text
    broken = [f"{kernel.name!r}: {kernel.problem}" for kernel in kernels if kernel.problem]
    if broken:
        return Status.NOTE, "; ".join(broken)
    return Status.OK, ", ".join(kernel.name for kernel in kernels)


def _check_folders(environ: Mapping[str, str]) -> tuple[Status, str]:
    folders = Folders.of_user()
    for variable, folder in (("JUPYTER_RUNTIME_DIR", folders.runtime), ("JUPYTER_DATA_DIR", folders.data)):
        if not _is_writable(folder):
            text = f"{folder} cannot be written: make it yours, or set {variable} to a folder that is"
            return Status.FAILED, text
    logs = log_folder(environ, folders.runtime)
    if not _is_writable(logs):
        text = (
            f"{logs} cannot be written, so there are no logs: make it yours, or set REMOTE_KERNEL_LOG to another folder"
        )
        return Status.NOTE, text
    return Status.OK, f"{folders.runtime}, {folders.data}, logs in {logs}"


def _is_writable(folder: Path) -> bool:
    """Return whether files can be made there, or the folder can."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


def _check_settings(environ: Mapping[str, str]) -> tuple[Status, str]:
    settings = Settings.from_environ(environ)
    known = {f"REMOTE_KERNEL_{name}" for name in ("ENDPOINT", "TOKEN", "IDENTITY_KEY", "IDENTIFIER")}
    given = {name for name in environ if name.startswith("REMOTE_KERNEL_") and environ[name]}
    shown = sorted(given - known)
    text = f"scope {settings.scope}, kernel in the pod {settings.pod_kernel!r}"
    return Status.OK, f"{text}; set: {', '.join(shown)}" if shown else text


def _check_identity(environ: Mapping[str, str]) -> tuple[Status, str]:
    if Settings.from_environ(environ).identifier is not None:
        return Status.NOTE, "REMOTE_KERNEL_IDENTIFIER pins one session for all"
    user = user_name(environ, login_name())
    if text := environ.get("REMOTE_KERNEL_IDENTITY_KEY"):
        parse_key(text)
        return Status.OK, f"user {user}, key from REMOTE_KERNEL_IDENTITY_KEY"
    path = Folders.of_user().data / KEY_FILE
    if not path.exists():
        return Status.OK, f"user {user}, key made with the first cell in {path}"
    load_key(environ, Folders.of_user().data)
    return Status.OK, f"user {user}, key in {path}"
