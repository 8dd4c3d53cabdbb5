"""Notebook files: read, checked, written in one step, rendered as HTML."""

import os
import secrets
import shutil
import warnings
from copy import deepcopy
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path

import nbformat
from nbformat.v4 import new_output

from remote_kernel.core.errors import NotWritten, UsageError
from remote_kernel.core.terminal_text import overwrite

FORMAT = 4


def read_notebook(path: Path) -> nbformat.NotebookNode:
    """Read a notebook of any version as one of version 4, with cell ids where the version has them.

    Raises:
        UsageError: there is no such file, or it is not a notebook.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {_reason(error)}") from error
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not a notebook: it is not text in UTF-8") from None
    return parse_notebook(text, path)


def parse_notebook(text: str, path: Path) -> nbformat.NotebookNode:
    """Read the text of a notebook; `path` is for the error.

    Stored outputs are not looked at: they may be of no use to anybody, and the notebook fine.

    Raises:
        UsageError: it is not a notebook.
    """
    try:
        with warnings.catch_warnings():
            # The missing or double cell ids that nbformat would warn about are mended in the next line.
            warnings.simplefilter("ignore")
            notebook: nbformat.NotebookNode = nbformat.reads(text, as_version=FORMAT)
            _, notebook = nbformat.validator.normalize(notebook)
        nbformat.validate(without_outputs(notebook))
    except nbformat.ValidationError as error:
        raise UsageError(f"{path} is not a valid notebook: {error.message}") from None
    # nbformat has no error of its own for JSON that is anything but a notebook.
    except (nbformat.reader.NotJSONError, AttributeError, KeyError, TypeError, ValueError):
        raise UsageError(f"{path} is not a notebook") from None
    return notebook


def without_outputs(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return a copy with nothing of an earlier execution, so that no old output passes for a new one."""
    copy = deepcopy(notebook)
    for cell in copy.cells:
        if cell.cell_type == "code":
            cell.outputs = []
            cell.execution_count = None
    copy.metadata.pop("widgets", None)
    return copy


def with_merged_streams(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return a copy whose streams look as front ends store them: one output for what arrived in many pieces."""
    copy = deepcopy(notebook)
    for cell in copy.cells:
        if cell.cell_type == "code":
            cell.outputs = _merge_streams(cell.outputs)
    return copy


def _merge_streams(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Join neighbours of the same stream and drop what carriage returns have overwritten."""
    merged: list[nbformat.NotebookNode] = []
    for name, group in groupby(outputs, key=lambda output: output.get("name")):
        if name is None:
            merged += group
        else:
            text = "".join(output.text for output in group)
            merged.append(new_output("stream", name=name, text="\n".join(map(overwrite, text.split("\n")))))
    return merged


def to_text(notebook: nbformat.NotebookNode) -> str:
    """Return the text of the notebook's file."""
    return str(nbformat.writes(notebook)) + "\n"


def render_html(notebook: nbformat.NotebookNode, title: str) -> str:
    """Return the notebook as one HTML page; needs nbconvert."""
    from nbconvert import HTMLExporter

    html, _ = HTMLExporter().from_notebook_node(notebook, resources={"metadata": {"name": title}})
    return str(html)


def check_html_is_possible() -> None:
    """Raise `UsageError` when nbconvert is not installed."""
    if find_spec("nbconvert") is None:
        raise UsageError('--html needs nbconvert: pip install "remote-session-kernel[html]"')


def check_writable(path: Path) -> None:
    """Raise `UsageError` when a file at `path` could not be written, before any work is lost to it."""
    folder = path.resolve().parent
    if path.is_dir():
        raise UsageError(f"cannot write {path}: it is a folder")
    if not folder.is_dir():
        raise UsageError(f"cannot write {path}: there is no folder {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"cannot write {path}: the folder {folder} is not yours to write to")


def write_whole(path: Path, text: str) -> None:
    """Write `text` to `path` in one step, keeping the mode of a file that is there already.

    Readers see the old file or the new one, and a failure leaves the old one.

    Raises:
        NotWritten: the file system said no.
    """
    target = path.resolve()  # a link stays a link
    partial = target.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        _write_new(partial, text)
        if target.exists():
            shutil.copymode(target, partial)
        os.replace(partial, target)
    except OSError as error:
        raise NotWritten(f"cannot write {path}: {_reason(error)}") from error
    finally:
        partial.unlink(missing_ok=True)


def _write_new(path: Path, text: str) -> None:
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())  # a renamed file without its contents is what a power cut would leave


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
