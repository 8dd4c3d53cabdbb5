"""Standing objects: there is one of each in every interpreter, so that they are named and not copied."""

from __future__ import annotations

import importlib
import sys
import types
from typing import TYPE_CHECKING, Any

from remote_kernel.namespace.pickling.rebuilding import module_of

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMESPACE, SHELL, INPUTS, OUTPUTS = "namespace", "shell", "In", "Out"
# Before the name of a variable with a function or a class of the notebook, which others name and do not copy.
DEFINITION = "variable:"
SENTINEL = "sentinel:"

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
    ("dataclasses", "_EMPTY_METADATA"),
    ("argparse", "SUPPRESS"),
    ("numpy.random.mtrand", "_rand"),
    ("matplotlib", "rcParams"),
)


def standing_objects(shell: Any) -> dict[int, str]:
    """Return the names of the standing objects, by `id`."""
    names = dict(sentinels())
    for module, attribute in ATTRIBUTES:
        value = getattr(sys.modules.get(module), attribute, None)
        if value is not None:
            names[id(value)] = f"{module}:{attribute}"
    names[id(shell)], names[id(shell.user_ns)] = SHELL, NAMESPACE
    for name in (INPUTS, OUTPUTS):
        if isinstance(shell.user_ns.get(name), (list, dict)):
            names[id(shell.user_ns[name])] = name
    return names


def definitions_of(variables: dict[str, Any]) -> dict[int, str]:
    """Return the names of functions and classes that the notebook has defined and no module has, by `id`."""
    names: dict[int, str] = {}
    for name, value in variables.items():
        if _is_definition(value):
            names.setdefault(id(value), f"{DEFINITION}{name}")
    return names


def _is_definition(value: Any) -> bool:
    """Return whether a value is a function or a class of the notebook; its own idea of its class is not asked for."""
    kind = type(value)
    if kind is types.FunctionType:
        return not is_importable(value)
    return issubclass(kind, type) and module_of(value) == "__main__"


def sentinels() -> Iterator[tuple[int, str]]:
    """Yield the `object()`s that modules have, by `id`: all that matters of one is which one it is."""
    for module, found in list(sys.modules.items()):
        if module != "__main__" and isinstance(found, types.ModuleType):
            for name, value in list(vars(found).items()):
                if type(value) is object:
                    yield id(value), f"{SENTINEL}{module}:{name}"


def is_made_by_hand(module: Any) -> bool:
    """Return whether a module is known by its name here, and no `import` would find it elsewhere."""
    name = getattr(module, "__name__", "__main__")
    found = [getattr(module, each, None) for each in ("__spec__", "__loader__", "__file__")]
    is_known = bool(sys.modules.get(name) is module)
    return is_known and not any(found) and name != "__main__" and "." not in name


def is_importable(function: Any) -> bool:
    """Return whether a function is found where it says, in a module that can be imported."""
    name = function.__module__
    found: Any = sys.modules.get(name) if isinstance(name, str) and name != "__main__" else None
    for part in function.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is function and getattr(sys.modules[name], "__spec__", None) is not None


def standing_object(name: str, shell: Any) -> Any:
    """Return the object of a name here; `LookupError` if it is none of a standing object."""
    if name == SHELL:
        return shell
    if name == NAMESPACE:
        return shell.user_ns
    if name in (INPUTS, OUTPUTS):
        return shell.user_ns[name]
    if name.startswith(SENTINEL):
        module, _, attribute = name[len(SENTINEL) :].partition(":")
        found = getattr(importlib.import_module(module), attribute)
        if type(found) is object:
            return found
    module, _, attribute = name.partition(":")
    if (module, attribute) not in ATTRIBUTES:
        raise LookupError(f"there is no object {name!r} in every interpreter")
    return getattr(importlib.import_module(module), attribute)
