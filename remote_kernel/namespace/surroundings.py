"""Surroundings of the variables: random streams, paths, history, extensions, settings of matplotlib."""

from __future__ import annotations

import importlib
import os
import random
import sys
from typing import TYPE_CHECKING, Any, Callable

from remote_kernel.namespace import bindings
from remote_kernel.namespace.pickling import refusals

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK = "@"
OUT = "@out "
HISTORY = "@history"
# These first, as what is loaded after them may want them; the streams last, as loading may draw from them.
BEFORE = ("@sys.path", "@folder", "@modules")
AFTER = (HISTORY, "@extensions", "@matplotlib", "@random", "@numpy.random")


def streams() -> dict[str, Any]:
    """Return the random streams; a child, where Python seeds its own anew, has others."""
    return _made({"@random": random.getstate, "@numpy.random": _numpy_state})


def collected(shell: Any, root: str, max_entries: int, max_bytes: int) -> dict[str, Any]:
    """Return the other surroundings by their names; of the history, so many inputs and bytes of them at most.

    Args:
        root: the session's data folder.
    """
    makers: dict[str, Callable[[], Any]] = {
        "@sys.path": lambda: [entry for entry in sys.path if isinstance(entry, str)],
        "@folder": lambda: _folder(os.getcwd(), root),
        HISTORY: lambda: _history(shell, max_entries, max_bytes),
        "@extensions": lambda: sorted(shell.extension_manager.loaded),
        "@modules": lambda: _modules(shell),
        "@matplotlib": _matplotlib_settings,
    }
    return _made(makers)


def _folder(current: str, root: str) -> str:
    """Return a folder as seen from the data folder, which is another in another pod; elsewhere its absolute path."""
    root = os.path.realpath(root)
    return os.path.relpath(current, root) if os.path.commonpath([current, root]) == root else current


def _made(makers: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    found = ((name, _try(make)) for name, make in makers.items())
    return {name: value for name, value in found if value is not None}


def outputs_of(shell: Any, max_entries: int) -> dict[str, Any]:
    """Return the newest results of cells, each as a variable of a name that no variable can have."""
    outputs = shell.user_ns.get("Out")
    numbers = [number for number in outputs if isinstance(number, int)] if isinstance(outputs, dict) else []
    return {f"{OUT}{number}": outputs[number] for number in sorted(numbers)[-max_entries:]}


def inputs_of(shell: Any) -> list[tuple[int, str]]:
    """Return the cells by their numbers."""
    inputs = shell.user_ns.get("In")
    pairs = enumerate(inputs) if isinstance(inputs, list) else ()
    return [(number, code) for number, code in pairs if number > 0 and isinstance(code, str)]


def _try(make: Callable[[], Any]) -> Any:
    try:
        return make()
    except Exception:
        return None  # a folder that is gone, a library that was taken apart: there is nothing to be saved


def _numpy_state() -> Any:
    numpy_random = sys.modules.get("numpy.random")
    return numpy_random and numpy_random.get_state(legacy=False)


def _history(shell: Any, max_entries: int, max_bytes: int) -> dict[str, Any]:
    kept, size = [], 0
    for number, code in reversed(inputs_of(shell)[-max_entries:]):
        size += len(code)
        if size > max_bytes:
            break
        kept.append((number, code))
    return {"inputs": kept[::-1], "count": shell.execution_count}


def _modules(shell: Any) -> list[str]:
    names = bindings.imported_modules(code for _, code in inputs_of(shell))
    return sorted(name for name in names if name in sys.modules)


def _matplotlib_settings() -> Any:
    matplotlib = sys.modules.get("matplotlib")
    if matplotlib is None:
        return None
    defaults = matplotlib.rcParamsDefault
    settings = {name: dict.get(matplotlib.rcParams, name) for name in matplotlib.rcParams if "backend" not in name}
    return {name: value for name, value in settings.items() if value != dict.get(defaults, name)}


def apply(name: str, value: Any, shell: Any, root: str) -> Iterator[str]:
    """Make one of the surroundings what it was; yield a sentence for each part that cannot be.

    Args:
        root: the session's data folder.
    """
    appliers: dict[str, Callable[[Any, Any], Iterator[str]]] = {
        "@random": _apply_random, "@numpy.random": _apply_numpy_random, "@sys.path": _apply_path,
        "@folder": lambda value, _shell: _apply_folder(value, root), HISTORY: _apply_history,
        "@extensions": _apply_extensions, "@modules": _apply_modules, "@matplotlib": _apply_matplotlib,
    }  # fmt: skip
    if name in appliers:
        try:
            yield from appliers[name](value, shell)
        except Exception as error:
            yield f"{name[1:]} is not as it was: {refusals.shown(error)}"


def apply_outputs(outputs: dict[int, Any], shell: Any) -> None:
    """Give IPython the results of cells again, where there are no others now."""
    for number, value in sorted(outputs.items()):
        shell.user_ns["Out"].setdefault(number, value)
        shell.user_ns.setdefault(f"_{number}", value)
    newest = [value for _, value in sorted(shell.user_ns["Out"].items())][::-1]
    for name, value in zip(("_", "__", "___"), newest):
        shell.user_ns[name] = value
        setattr(shell.displayhook, name, value)  # else it takes it for a variable of the user's


def _apply_random(value: Any, shell: Any) -> Iterator[str]:
    random.setstate(value)
    return iter(())


def _apply_numpy_random(value: Any, shell: Any) -> Iterator[str]:
    importlib.import_module("numpy.random").set_state(value)
    return iter(())


def _apply_path(value: list[str], shell: Any) -> Iterator[str]:
    """Put what is missing in `sys.path` behind what it was behind."""
    for index, entry in enumerate(value):
        if entry not in sys.path:
            before = value[index - 1] if index else None
            sys.path.insert(sys.path.index(before) + 1 if before in sys.path else 0, entry)
    return iter(())


def _apply_folder(value: str, root: str) -> Iterator[str]:
    folder = os.path.join(root, value)
    if os.path.isdir(folder):
        os.chdir(folder)
    else:
        yield f"the current folder was {value!r}, which is not there: it is {os.getcwd()!r} now"


def _apply_history(value: dict[str, Any], shell: Any) -> Iterator[str]:
    """Put the inputs of before where the session, which is younger, has none."""
    count = value["count"]
    if shell.execution_count <= count:
        manager = shell.history_manager
        for inputs in (manager.input_hist_parsed, manager.input_hist_raw):
            inputs.extend([""] * (count - len(inputs)))
            for number, code in value["inputs"]:
                inputs[number] = inputs[number] or code
        shell.execution_count = count
    return iter(())


def _apply_extensions(value: list[str], shell: Any) -> Iterator[str]:
    for name in value:
        if name not in shell.extension_manager.loaded:
            try:
                shell.extension_manager.load_extension(name)
            except Exception as error:
                yield f"the extension {name} is not loaded: {refusals.shown(error)}"


def _apply_modules(value: list[str], shell: Any) -> Iterator[str]:
    for name in value:
        try:
            importlib.import_module(name)
        except Exception as error:
            yield f"the module {name} is not loaded: {refusals.shown(error)}"


def _apply_matplotlib(value: dict[str, Any], shell: Any) -> Iterator[str]:
    if value:
        importlib.import_module("matplotlib").rcParams.update(value)
    return iter(())
