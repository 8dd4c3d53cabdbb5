"""Notebook files: read, mended where other tools are lenient, rendered as HTML."""

import json
import re
import warnings
from copy import deepcopy
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Any, cast

import nbformat
from nbformat.v4 import new_output
from nbformat.v4.rwbase import rejoin_lines

from remote_kernel.cli.run.result_files import reason
from remote_kernel.core.errors import UsageError
from remote_kernel.core.text.terminal_text import overwrite

FORMAT = 4

# Ends a line, or goes on with the name of a branch or commit.
_CONFLICT = re.compile(r"^(?:<{7}|={7}|>{7}|\|{7})(?:[ \r]|$)", re.MULTILINE)


def read_notebook(path: Path) -> nbformat.NotebookNode:
    """Read a notebook of any version as one of version 4, with cell ids where the version has them.

    Raises:
        UsageError: there is no such file, or it is not a notebook.
    """
    try:
        if not path.is_file() and path.exists():
            raise UsageError(f"cannot read {path}: it is {'a folder' if path.is_dir() else 'not a file'}")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {reason(error)}") from error
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not a notebook: it is not text in UTF-8") from None
    return parse_notebook(text, path)


def parse_notebook(text: str, path: Path) -> nbformat.NotebookNode:
    """Read the text of a notebook; `path` is for the error.

    Whatever nbconvert and papermill execute is taken, whether or not it is valid to the letter of its version. Stored
    outputs are not looked at: they may be of no use to anybody, and the notebook fine.

    Raises:
        UsageError: it is not a notebook.
    """
    try:
        fields = json.loads(text)
    except RecursionError:
        raise UsageError(f"{path} is not a notebook: it is nested too deeply") from None
    except ValueError as error:
        raise UsageError(f"{path} is not a notebook: {_explain_text(text, error)}") from None
    if not isinstance(fields, dict) or not ({"cells", "worksheets"} & fields.keys()):
        raise UsageError(f"{path} is not a notebook: it is JSON, but has no cells")
    try:
        with warnings.catch_warnings():
            # The missing or double cell ids that nbformat would warn about are mended in the next line.
            warnings.simplefilter("ignore")
            if fields.get("nbformat") == FORMAT:
                _mend(fields)
                notebook = rejoin_lines(nbformat.from_dict(fields))
            else:
                notebook = nbformat.reads(text, as_version=FORMAT)
            _, notebook = nbformat.validator.normalize(notebook)
    except nbformat.ValidationError as error:
        raise UsageError(f"{path} is not a valid notebook: {error.message}") from None
    except _Unusable as error:
        raise UsageError(f"{path} is not a notebook: {error}") from None
    # nbformat has no error of its own for JSON that is anything but a notebook.
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UsageError(f"{path} is not a notebook of a version that nbformat knows") from None
    return cast(nbformat.NotebookNode, notebook)


class _Unusable(ValueError):
    """Something without which a notebook cannot be executed is not there."""


def _explain_text(text: str, error: ValueError) -> str:
    if not text.strip():
        return "the file is empty"
    if (marker := _CONFLICT.search(text)) is not None:
        line = text.count("\n", 0, marker.start()) + 1
        return f"line {line} is a conflict marker of git's, so resolve the conflict first"
    if isinstance(error, json.JSONDecodeError):
        if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string"):
            return f"it ends in the middle, in line {error.lineno}"
        return f"line {error.lineno}, column {error.colno} is not JSON ({error.msg.lower()})"
    return "it is not JSON"


def _mend(notebook: dict[str, Any]) -> None:
    """Put right in place what other tools overlook; raises `_Unusable` for what nobody can execute."""
    if not isinstance(notebook.get("cells"), list):
        raise _Unusable("its cells are no list")
    if not isinstance(notebook.get("metadata"), dict):
        notebook["metadata"] = {}
    if not isinstance(notebook.get("nbformat_minor"), int):
        notebook["nbformat_minor"] = 0
    for name in ("kernelspec", "language_info"):
        if not isinstance(notebook["metadata"].get(name, {}), dict):
            del notebook["metadata"][name]
    for number, cell in enumerate(notebook["cells"], start=1):
        if not isinstance(cell, dict) or not isinstance(cell.get("cell_type"), str):
            raise _Unusable(f"cell {number} of {len(notebook['cells'])} has no type")
        if isinstance(cell.get("source"), list) and all(isinstance(line, str) for line in cell["source"]):
            cell["source"] = "".join(cell["source"])
        if not isinstance(cell.get("source"), str):
            raise _Unusable(f"cell {number} of {len(notebook['cells'])} has no source")
        _mend_cell(cell)


def _mend_cell(cell: dict[str, Any]) -> None:
    if not isinstance(cell.get("metadata"), dict):
        cell["metadata"] = {}
    metadata = cell["metadata"]
    for name in [name for name, value in metadata.items() if value is None]:
        del metadata[name]
    tags = metadata.get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        metadata["tags"] = [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
    attachments = cell.get("attachments", {})
    if not isinstance(attachments, dict) or not all(isinstance(bundle, dict) for bundle in attachments.values()):
        del cell["attachments"]
    if cell["cell_type"] == "code":
        cell.setdefault("execution_count", None)
        outputs = cell.get("outputs")
        cell["outputs"] = [_mend_output(output) for output in outputs] if isinstance(outputs, list) else []
    else:
        cell.pop("outputs", None)


def _mend_output(output: Any) -> dict[str, Any]:
    """Return an output that can be looked at; one that is none has a type that no output has."""
    is_one = (
        isinstance(output, dict)
        and isinstance(output.get("output_type", ""), str)
        and isinstance(output.get("data", {}), dict)
        and _is_text(output.get("text", ""))
    )
    return output if is_one else {"output_type": "malformed"}


def _is_text(value: object) -> bool:
    """Return whether something is a text, or the lines of one."""
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(line, str) for line in value))


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
    for name, group in groupby(outputs, key=_stream_name):
        if name is None:
            merged += group
        else:
            text = "".join(output.text for output in group)
            merged.append(new_output("stream", name=name, text="\n".join(map(overwrite, text.split("\n")))))
    return merged


def _stream_name(output: object) -> str | None:
    """Return the stream of an output; `None` for what is none, or not as its version has it."""
    if not isinstance(output, dict) or output.get("output_type") != "stream":
        return None
    is_whole = isinstance(output.get("name"), str) and isinstance(output.get("text"), str)
    return str(output["name"]) if is_whole else None


def to_text(notebook: nbformat.NotebookNode) -> str:
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
