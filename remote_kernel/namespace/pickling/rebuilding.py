"""Functions that pickles name: they make again what no library does, or not as it was.

Saves of earlier versions name them as well: none of them is to be renamed, or to want other arguments.
"""

from __future__ import annotations

import functools
import importlib
import threading
import types
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

ATTRIBUTES = (
    "__qualname__", "__module__", "__defaults__", "__kwdefaults__", "__annotations__", "__doc__", "__type_params__",
)  # fmt: skip


def make_function(code: types.CodeType, owner: Any, name: str, cells: Any) -> types.FunctionType:
    """Return a function whose globals are a namespace, or those of the module of that name."""
    names = importlib.import_module(owner).__dict__ if isinstance(owner, str) else owner
    return types.FunctionType(code, names, name, None, cells)


def set_function(function: types.FunctionType, state: tuple[dict[str, Any], dict[str, Any], Sequence[Any]]) -> None:
    """Give a function its attributes, and its cells what they hold."""
    attributes, names, contents = state
    for name in ATTRIBUTES:
        if name in attributes:
            setattr(function, name, attributes[name])
    function.__dict__.update(names)
    for cell, content in contents:
        cell.cell_contents = content


def make_cell() -> Any:
    """Return an empty cell of a closure."""
    return types.CellType()


def set_cell(cell: Any, contents: tuple[Any]) -> None:
    """Fill a cell."""
    (cell.cell_contents,) = contents


def make_reference(item: Any) -> Any:
    """Return a weak reference."""
    return weakref.ref(item)


def make_dead_reference() -> Any:
    """Return a weak reference to what is gone."""
    return weakref.ref(set())


def make_cache(function: Any, parameters: dict[str, Any]) -> Any:
    """Return a function with an empty cache."""
    return functools.lru_cache(**parameters)(function)


def make_lock(is_reentrant: bool) -> Any:
    """Return a lock that nobody holds."""
    return threading.RLock() if is_reentrant else threading.Lock()


def make_array(data: Any, dtype: Any, shape: tuple[int, ...], order: Any, is_writeable: bool) -> Any:
    """Return an array that owns its memory."""
    import numpy

    array = numpy.empty(shape, dtype, order)
    array.reshape(-1, order="A").view(numpy.uint8)[:] = numpy.frombuffer(data, numpy.uint8)
    array.flags.writeable = is_writeable
    return array


def make_view(
    owner: Any, offset: int, dtype: Any, shape: tuple[int, ...], strides: tuple[int, ...], is_writeable: bool
) -> Any:
    """Return an array in the memory of another one, `offset` bytes from its first."""
    import numpy

    memory = owner.reshape(-1, order="A").view(numpy.uint8)
    array = numpy.ndarray(shape, dtype, memory, offset, strides)
    if array.flags.writeable and not is_writeable:
        array.flags.writeable = False
    return array
