"""Functions that pickles name: they make again what no library does, or not as it was.

Saves of earlier versions name them as well: none of them is to be renamed, or to want other arguments.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import importlib
import threading
import types
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

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


def module_of(kind: type) -> Any:
    """Return the name of a class's module, whatever its metaclass says."""
    return type.__getattribute__(kind, "__dict__").get("__module__")


def make_class(
    constructor: Any, name: str, bases: tuple[Any, ...], names: dict[str, Any], number: str, extra: Any
) -> Any:
    """Return a class of the notebook that has no attributes yet; none of the notebook's own code sees that it is made.

    What its metaclass and its bases have noted of it when it was made comes back with what they have noted it in.
    """
    cloudpickle: Any = importlib.import_module("cloudpickle.cloudpickle")
    resolved = types.resolve_bases(bases)
    with _silent_bases(resolved):
        if module_of(constructor) != "__main__":
            return cloudpickle._make_skeleton_class(constructor, name, bases, names, number, extra)
        library = next(base for base in constructor.__mro__ if module_of(base) != "__main__")
        names = names if resolved is bases else {**names, "__orig_bases__": bases}
        return cloudpickle._lookup_class_or_track(number, library.__new__(constructor, name, resolved, {**names}))


@contextlib.contextmanager
def _silent_bases(bases: Iterable[Any]) -> Iterator[None]:
    """Let the notebook's own `__init_subclass__` do nothing."""
    hooks = {
        base: vars(base)["__init_subclass__"]
        for each in bases
        for base in each.__mro__
        if module_of(base) == "__main__" and "__init_subclass__" in vars(base)
    }
    try:
        for base in hooks:
            type.__setattr__(base, "__init_subclass__", classmethod(functools.partial(_init_subclass, base)))
        yield
    finally:
        for base, hook in hooks.items():
            type.__setattr__(base, "__init_subclass__", hook)


def _init_subclass(base: Any, kind: Any, **_: Any) -> None:
    super(base, kind).__init_subclass__()


def make_exception(kind: Any, arguments: tuple[Any, ...]) -> Any:
    """Return an exception of a class whose own `__init__` may want other arguments than it keeps."""
    error = kind.__new__(kind, *arguments)
    library = next(
        base for base in kind.__mro__ if not isinstance(vars(base).get("__init__"), (type(None), types.FunctionType))
    )
    library.__init__(error, *arguments)
    return error


def set_exception(error: Any, state: tuple[Any, Any, Any, bool]) -> None:
    """Give an exception its attributes, and those that it was raised from."""
    names, error.__cause__, error.__context__, error.__suppress_context__ = state
    error.__dict__.update(names)


def make_proxy(item: Any) -> Any:
    """Return a weak proxy."""
    return weakref.proxy(item)


def make_dict_view(mapping: Any, name: str, is_ordered: bool) -> Any:
    """Return the `keys`, `values` or `items` of a dict, which see its changes."""
    return getattr(collections.OrderedDict if is_ordered else dict, name)(mapping)


def make_later(names: Any, item: Any) -> Any:
    """Return an object that was to be made behind another one, which may hold it."""
    return item


def set_state(item: Any, state: Any) -> None:
    """Give an object its attributes, and ask none of its own methods."""
    names, slots = state if isinstance(state, tuple) else (state, None)
    if names:
        object.__getattribute__(item, "__dict__").update(names)
    for name, value in (slots or {}).items():
        object.__setattr__(item, name, value)


def is_dense(array: Any) -> bool:
    """Return whether an array is one piece of memory, in whichever order its axes are."""
    return min(array.strides, default=0) >= 0 and bool(_in_order(array).flags.c_contiguous)


def memory_of(owner: Any) -> Any:
    """Return the bytes of an array that `is_dense`, or of what has a buffer, as an array in the same memory."""
    import numpy

    if not isinstance(owner, numpy.ndarray):
        return numpy.frombuffer(owner, numpy.uint8)
    return _in_order(owner).reshape(-1).view(numpy.uint8)


def _in_order(array: Any) -> Any:
    """Return an array with its axes as they are in memory."""
    import numpy

    plain = numpy.ndarray.view(array, numpy.ndarray)
    return plain.transpose(sorted(range(plain.ndim), key=lambda axis: -plain.strides[axis]))


def make_permuted_array(
    data: Any, dtype: Any, shape: tuple[int, ...], strides: tuple[int, ...], is_writeable: bool
) -> Any:
    """Return an array that owns its memory, with its axes in the order of these strides."""
    import numpy

    pattern = numpy.lib.stride_tricks.as_strided(numpy.empty(1, dtype), shape, strides)
    array = numpy.empty_like(pattern, order="K", subok=False)
    memory_of(array)[:] = numpy.frombuffer(data, numpy.uint8)
    array.flags.writeable = is_writeable
    return array


def make_typed_array(plain: Any, kind: type) -> Any:
    """Return an array of a class of its own in the memory of a plain one."""
    import numpy

    return numpy.ndarray.view(plain, kind)


def set_attributes(item: Any, names: dict[str, Any]) -> None:
    """Give an object its attributes."""
    item.__dict__.update(names)


def make_view_of_objects(
    owner: Any, index: int, shape: tuple[int, ...], strides: tuple[int, ...], is_writeable: bool
) -> Any:
    """Return an array of objects in the memory of another one, which begins with its element `index`."""
    import numpy

    flat = _in_order(owner).reshape(-1)
    return numpy.lib.stride_tricks.as_strided(flat[index:], shape, strides, writeable=is_writeable)


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

    is_fixed = is_writeable and isinstance(owner, numpy.ndarray) and not owner.flags.writeable
    if is_fixed:  # since the view was made
        owner.flags.writeable = True
    array = numpy.ndarray(shape, dtype, memory_of(owner), offset, strides)
    if is_fixed:
        owner.flags.writeable = False
    if array.flags.writeable and not is_writeable:
        array.flags.writeable = False
    return array
