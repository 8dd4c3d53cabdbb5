"""Standing objects: there is one of each in every interpreter, so that they are named and not copied."""

from __future__ import annotations

import importlib
import sys
from typing import Any

NAMESPACE, SHELL, INPUTS, OUTPUTS = "namespace", "shell", "In", "Out"

# Module and attribute. A copy of these would be another stream, another state, or no sentinel any more.
ATTRIBUTES = (
    ("sys", "stdin"),
    ("sys", "stdout"),
    ("sys", "stderr"),
    ("sys", "__stdin__"),
    ("sys", "__stdout__"),
    ("sys", "__stderr__"),
    ("sys", "path"),
    ("sys", "modules"),
    ("sys", "argv"),
    ("os", "environ"),
    ("builtins", "__dict__"),
    ("random", "_inst"),
    ("dataclasses", "MISSING"),
    ("dataclasses", "KW_ONLY"),
    ("numpy.random.mtrand", "_rand"),
    ("matplotlib", "rcParams"),
)


def standing_objects(shell: Any) -> dict[int, str]:
    """Return the names of the standing objects, by `id`."""
    names = {}
    for module, attribute in ATTRIBUTES:
        value = getattr(sys.modules.get(module), attribute, None)
        if value is not None:
            names[id(value)] = f"{module}:{attribute}"
    names[id(shell)], names[id(shell.user_ns)] = SHELL, NAMESPACE
    for name in (INPUTS, OUTPUTS):
        if isinstance(shell.user_ns.get(name), (list, dict)):
            names[id(shell.user_ns[name])] = name
    return names


def standing_object(name: str, shell: Any) -> Any:
    """Return the object of a name here; `LookupError` if it is none of a standing object."""
    if name == SHELL:
        return shell
    if name == NAMESPACE:
        return shell.user_ns
    if name in (INPUTS, OUTPUTS):
        return shell.user_ns[name]
    module, _, attribute = name.partition(":")
    if (module, attribute) not in ATTRIBUTES:
        raise LookupError(f"there is no object {name!r} in every interpreter")
    return getattr(importlib.import_module(module), attribute)
