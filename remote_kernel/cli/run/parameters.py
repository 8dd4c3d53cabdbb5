"""Parameters of a notebook, by papermill's conventions.

A cell tagged `parameters` holds the defaults. A cell tagged `injected-parameters` is put after it, or first where there
is none, and takes the place of one from an earlier run. Source: "Parameterize" in papermill's documentation.
"""

import ast
import json
import math
import re
from collections.abc import Mapping
from keyword import iskeyword
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from remote_kernel.cli.run.result_files import reason
from remote_kernel.core.errors import UsageError

DEFAULTS_TAG = "parameters"
INJECTED_TAG = "injected-parameters"

# Digits behind a zero, as in a postal code, and hours with minutes: YAML 1.1 has numbers of base 8 and 60 for them.
_TEXT = re.compile(r"[-+]?(?:0\d+(?::\d+)*|\d+(?::\d+)+)(?:\.\d*)?")

_WORDS: Mapping[str, bool | None] = {"True": True, "False": False, "None": None}


def parse_value(text: str) -> Any:
    """Return what a value on the command line means: True, False, None, a number, or the text itself.

    Digits behind a zero are text.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _TEXT.fullmatch(text):
        return text
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def read_parameters(path: Path) -> dict[str, Any]:
    """Return the parameters in a file of JSON or, where PyYAML is installed, of YAML.

    Raises:
        UsageError: it cannot be read, or holds anything but names with values.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = reason(error) if isinstance(error, OSError) else "it is not text"
        raise UsageError(f"cannot read {path}: {why}") from None
    value = _parse(text, path) if text.strip() else {}
    if value is None:  # nothing but comments
        return {}
    if not isinstance(value, dict):
        raise UsageError(f"{path} does not hold parameters: write one 'name: value' on each line, or a JSON object")
    return value


def _parse(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        pass
    except RecursionError:
        raise UsageError(f"{path} is nested too deeply") from None
    try:
        import yaml
    except ImportError:
        raise UsageError(f"{path} is not JSON, and to read YAML takes PyYAML: pip install pyyaml") from None

    class Loader(yaml.SafeLoader):  # type: ignore[misc]  # published without annotations
        """Reads dates, times of day, and digits behind a zero as text: papermill does so with dates."""

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    as_text = ("tag:yaml.org,2002:str", re.compile(f"(?:{_TEXT.pattern})$"))
    for first in "-+0123456789":
        Loader.yaml_implicit_resolvers[first] = [as_text, *Loader.yaml_implicit_resolvers.get(first, [])]
    try:
        return yaml.load(text, Loader=Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f": look at line {mark.line + 1}"
        raise UsageError(f"{path} is neither JSON nor YAML{where}") from None
    except RecursionError:
        raise UsageError(f"{path} is nested too deeply") from None


def check_names(parameters: Mapping[str, Any]) -> None:
    """Raise `UsageError` for a name that no variable can have, or a value that has no literal."""
    for name, value in parameters.items():
        if not isinstance(name, str) or not name.isidentifier() or iskeyword(name):
            raise UsageError(f"{name!r} cannot be the name of a parameter: use a name of a Python variable")
        try:
            literal(value, name)
        except RecursionError:
            raise UsageError(f"the value of the parameter {name!r} holds itself, or is nested too deeply") from None


def literal(value: Any, name: str) -> str:
    """Return Python code for a value of JSON's or YAML's types; raises `UsageError` for another, such as a date."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"float({str(value)!r})"
    if isinstance(value, list):
        return f"[{', '.join(literal(item, name) for item in value)}]"
    if isinstance(value, dict):
        items = (f"{literal(key, name)}: {literal(item, name)}" for key, item in value.items())
        return f"{{{', '.join(items)}}}"
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    raise UsageError(f"the value of the parameter {name!r} is of the type {type(value).__name__}: put it in quotes")


def inject(notebook: NotebookNode, parameters: Mapping[str, Any]) -> None:
    """Put a cell with `parameters` into `notebook`, where papermill would."""
    source = "\n".join(["# Parameters", *(f"{name} = {literal(value, name)}" for name, value in parameters.items())])
    cell = new_code_cell(source, metadata={"tags": [INJECTED_TAG]})
    if notebook.nbformat_minor < 5:
        del cell["id"]
    injected, defaults = _find(notebook, INJECTED_TAG), _find(notebook, DEFAULTS_TAG)
    if injected is not None:
        cell.outputs = notebook.cells[injected].outputs
        notebook.cells[injected] = cell
    else:
        notebook.cells.insert(0 if defaults is None else defaults + 1, cell)


def unknown_names(notebook: NotebookNode, parameters: Mapping[str, Any]) -> list[str]:
    """Return the parameters without a default, which are likely to be misspelled."""
    index = _find(notebook, DEFAULTS_TAG)
    if index is None:
        return list(parameters)
    try:
        tree = ast.parse(notebook.cells[index].source)
    except SyntaxError:  # a magic, say
        return []
    assigned = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return [name for name in parameters if name not in assigned]


def _find(notebook: NotebookNode, tag: str) -> int | None:
    """Return the index of the first code cell with a tag."""
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "code" and tag in cell.metadata.get("tags", []):
            return index
    return None
