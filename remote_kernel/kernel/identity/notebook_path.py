"""Path of the kernel's notebook, from whoever knows: settings, Jupyter, VS Code, papermill."""

import ast
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from remote_kernel.client.files.local_paths import current_folder, expand_user
from remote_kernel.core.errors import WireError
from remote_kernel.core.identity import has_drive_prefix
from remote_kernel.core.jupyter.messages import parse_object
from remote_kernel.kernel.identity.jupyter_server import Server, find_server, sessions_of

# A Jupyter server writes a session down as soon as the process of its kernel has been started.
SESSION_SECONDS = 1.0
LOOK_AGAIN_SECONDS = 0.05

if sys.platform == "win32":
    from remote_kernel.core.windows_paths import spell_windows_path, windows_path_of_url

_ASSIGNMENT = re.compile(r"^(__vsc_ipynb_file__|PAPERMILL_INPUT_PATH)\s*=\s*(.+?)\s*$", re.MULTILINE)


@dataclass(slots=True)
class Hints:
    """Hints about the notebook's path in a front end's messages; the first counts."""

    vscode: str = ""
    papermill: str = ""

    def read(self, metadata_part: bytes, content_part: bytes) -> None:
        """Look at an `execute_request`, as long as nothing is known."""
        if self.vscode or self.papermill:
            return
        try:
            cell_id = parse_object(metadata_part).get("cellId")
            code = parse_object(content_part).get("code")
        except WireError:
            return
        if isinstance(cell_id, str):
            self.vscode = path_of_cell(cell_id)
        for name, value in assignments(code if isinstance(code, str) else ""):
            if name == "PAPERMILL_INPUT_PATH":
                self.papermill = value
            else:
                self.vscode = self.vscode or value


def path_of_cell(cell_id: str) -> str:
    """Return the path in VS Code's `vscode-notebook-cell:/folder/notebook.ipynb#W0sZ…`, or ""."""
    try:
        parts = urlsplit(cell_id)
    except ValueError:  # an address with half a pair of brackets
        return ""
    path = unquote(parts.path)
    # A notebook that was never saved has a name and no path.
    is_path = parts.scheme == "vscode-notebook-cell" and path.startswith("/") and path.endswith(".ipynb")
    if is_path and sys.platform == "win32":
        return windows_path_of_url(unquote(parts.netloc), path)
    return path if is_path else ""


def assignments(code: str) -> Iterator[tuple[str, str]]:
    """Yield the assignments with which VS Code and papermill tell the code where it comes from."""
    for name, expression in _ASSIGNMENT.findall(code):
        try:
            value = ast.literal_eval(expression)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):  # all that it says it raises
            continue
        if isinstance(value, str) and value:
            yield name, value


def find_notebook(
    environ: Mapping[str, str],
    hints: Hints,
    *,
    configured: str,
    connection_file: Path,
    runtime_folder: Path,
    parent: int,
) -> Path | None:
    """Return the notebook's canonical path, or `None` when nobody knows it.

    Args:
        configured: `REMOTE_KERNEL_NOTEBOOK`.
        connection_file: names the kernel as the Jupyter server knows it.
        runtime_folder: where Jupyter servers write their runtime files.
        parent: process id of who started this kernel.
    """
    if configured:
        return canonical(configured)
    session_name = environ.get("JPY_SESSION_NAME", "")
    server = find_server(runtime_folder, parent)
    session = _find_session(server, parent, connection_file, is_sure=bool(session_name)) if server else None
    if server and session:
        if path := _path_of_session(server, session):
            return path
    elif Path(session_name).is_absolute() and session_name.endswith(".ipynb") and is_file_path(session_name):
        return canonical(session_name)
    if Path(hints.vscode).is_absolute():  # a notebook that was never saved has a name only
        return canonical(hints.vscode)
    return _papermill_path(hints.papermill, environ)


def _papermill_path(path: str, environ: Mapping[str, str]) -> Path | None:
    """Return the file that papermill was given, in words relative to its own folder, which need not be the kernel's."""
    for folder in (environ.get("PWD", ""), ""):
        if path and (found := Path(folder, path)).is_file():
            return canonical(str(found))
    return None


def canonical(path: str) -> Path:
    """Return the one spelling of a path: absolute, without links or `~`, on Windows as `spell_windows_path` has it;
    raises `UsageError`."""
    expanded = expand_user(path)
    real = os.path.realpath(expanded if expanded.is_absolute() else current_folder() / expanded)
    if sys.platform == "win32":
        real = spell_windows_path(real)
    return Path(real)


def is_file_path(path: str) -> bool:
    """Return whether `path` is one of a file, and not of a contents drive such as `RTC:`, which may name anything."""
    return not has_drive_prefix(path) or Path(path).exists()


def _find_session(server: Server, parent: int, connection_file: Path, *, is_sure: bool) -> dict[str, object] | None:
    """Return the session of this kernel, as a Jupyter server describes it; `None` where it does not.

    Args:
        is_sure: whether there is one, which the server may be about to write down.
    """
    kernel_id = connection_file.stem.removeprefix("kernel-")
    ends_at = time.monotonic() + (SESSION_SECONDS if is_sure else 0.0)
    while (sessions := sessions_of(server, parent)) is not None:
        for session in sessions:
            kernel = session.get("kernel")
            if isinstance(kernel, dict) and kernel.get("id") == kernel_id:
                return session
        if time.monotonic() >= ends_at:
            break
        time.sleep(LOOK_AGAIN_SECONDS)
    return None


def _path_of_session(server: Server, session: Mapping[str, object]) -> Path | None:
    """Return the notebook that a session belongs to; `None` where it only has a notebook's path and name.

    MyST executes a notebook as one of its pages in a session of type "console": what its author has in memory is not to
    show in the page, nor what the page does there.
    """
    path = session.get("path")
    if session.get("type", "notebook") != "notebook" or not isinstance(path, str):
        return None
    found = str(server.root / path)
    return canonical(found) if found.endswith(".ipynb") and is_file_path(found) else None
