"""Variables of a notebook: what its user has in the namespace, and not IPython."""

from __future__ import annotations

import re
from typing import Any

# IPython gives these new values after each cell.
_HISTORY = re.compile(r"_{1,3}|_i{1,3}|_[iod]h|In|Out|_exit_code")
_NUMBERED = re.compile(r"_(i?)(\d{1,9})", re.ASCII)
_MODULE = {"__name__", "__doc__", "__package__", "__loader__", "__spec__", "__builtins__", "__builtin__", "__file__",
           "__annotations__", "__session__", "__vsc_ipynb_file__"}  # fmt: skip


def variables_of(shell: Any) -> dict[str, Any]:
    """Return the variables by their names, in the order in which they came."""
    hidden = shell.user_ns_hidden
    return {
        name: value
        for name, value in list(shell.user_ns.items())
        if isinstance(name, str)
        and not _HISTORY.fullmatch(name)
        and not _is_numbered(name, value, shell)
        and name not in _MODULE
        and not (name in hidden and hidden[name] is value)
    }


def _is_numbered(name: str, value: Any, shell: Any) -> bool:
    """Return whether a name is that of a cell's result or input, and has it; `_2020` may be the user's."""
    match = _NUMBERED.fullmatch(name)
    if match is None:
        return False
    number, manager = int(match[2]), shell.history_manager
    if match[1]:
        return any(inputs[number : number + 1] == [value] for inputs in _inputs(manager)) if _is_text(value) else False
    return number in manager.output_hist and manager.output_hist[number] is value


def _inputs(manager: Any) -> tuple[list[str], list[str]]:
    return manager.input_hist_raw, manager.input_hist_parsed


def _is_text(value: Any) -> bool:
    return type(value) is str


def type_name(value: Any) -> str:
    """Return the name of a value's class, for people."""
    name = getattr(type(value), "__qualname__", "")
    return name[:100] if isinstance(name, str) else ""
