"""Variables of a notebook: what its user has in the namespace, and not IPython."""

from __future__ import annotations

import re
from typing import Any

# Results and inputs, which are history; IPython gives them new values after each cell.
_HISTORY = re.compile(r"_{1,3}|_i{1,3}|_i?\d+|_[iod]h|In|Out|_exit_code")
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
        and name not in _MODULE
        and not (name in hidden and hidden[name] is value)
    }


def type_name(value: Any) -> str:
    """Return the name of a value's class, for people."""
    name = getattr(type(value), "__qualname__", "")
    return name[:100] if isinstance(name, str) else ""
