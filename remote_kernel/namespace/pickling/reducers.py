"""Reducers: how objects are taken apart that picklers would refuse, or copy into something else."""

from __future__ import annotations

import copyreg
import functools
import sys
import types
from typing import TYPE_CHECKING, Any, Callable

from remote_kernel.namespace.pickling import arrays, classes, plain, rebuilding, refusals
from remote_kernel.namespace.pickling.refusals import Refused
from remote_kernel.namespace.pickling.standing import DEFINITION, is_importable, is_made_by_hand

if TYPE_CHECKING:
    from collections.abc import Iterator

_SINGLETONS = (type(None), type(...), type(NotImplemented))


class Reducers:
    """Mix-in for cloudpickle's and dill's picklers, which ask it for each object that is none of Python's plain ones.

    Attributes:
        last: what was asked for last.
        by_value: functions and classes that are in the pickle themselves, by `id`; others are known by their names.
        by_name: other objects that are known by their names.
        dispatch: types that the library has a way for.
        spans: views, by their owner and what they reach of it; functions of no module, by their names' dict.
        seen_by_functions: such dicts, by `id`.
        copied: modules that are in the pickle themselves, by the `id` of their names' dict.
        wants: variables whose definitions are named.
    """

    dispatch: Any

    def set_up(
        self, standing: dict[int, str], namespace: dict[str, Any], shared: set[int], max_bytes: int
    ) -> None:  # fmt: skip
        """Begin.

        Args:
            standing: names of what is not to be in the pickle, by `id`.
            namespace: the notebook's.
            shared: by `id`, arrays whose views are to be views, and namespaces whose functions are to see them.
            max_bytes: of what is taken at once.
        """
        self._max_bytes = max_bytes
        self._begun: set[int] = set()
        self.seen_by_functions: set[int] = set()
        self.copied: dict[int, types.ModuleType] = {}
        self._standing, self._namespace, self._shared = standing, namespace, shared
        self._by_type: dict[type, Callable[[Any], Any]] = {}
        self._alone: set[int] = set()
        self._filled: set[int] = set()
        self.last: Any = None
        self.by_value: set[int] = set()
        self.by_name: set[int] = set()
        self.spans: list[arrays.Span] = []
        self.wants: set[str] = set()

    def persistent_id(self, item: Any) -> Any:
        """Return the name of a standing object, or of a definition that is another variable's; None for all others."""
        name = self._standing.get(id(item))
        if name is not None and name.startswith(DEFINITION):
            self.wants.add(name[len(DEFINITION) :])
        return name

    def reducer_override(self, item: Any) -> Any:
        """Return what an object is made of, or `NotImplemented` where the library's own way is right."""
        kind = type(item)
        self.last = item
        reduce = self._by_type.get(kind)
        if reduce is None:
            reduce = self._by_type[kind] = self._reducer_of(kind)
        return reduce(item)

    def reduce_by_library(self, item: Any) -> Any:
        """Reduce a function or a class as the library does, for what is not its own way otherwise."""
        return NotImplemented

    def _reducer_of(self, kind: type) -> Callable[[Any], Any]:
        if issubclass(kind, type):
            return self._class
        ways: dict[type, Callable[[Any], Any]] = {
            **plain.WAYS, types.FunctionType: self._function, types.CellType: self._cell,
            types.ModuleType: self._module, types.CodeType: self._leave, types.MethodType: self._leave,
        }  # fmt: skip
        if kind in ways:
            return ways[kind]
        phrase = refusals.phrase_of(kind)
        if phrase:
            return functools.partial(_refuse, phrase)
        if refusals.is_lock(kind):
            return plain.lock
        if refusals.is_file(kind):
            return self._open_file
        return self._reducer_of_library(kind)

    def _reducer_of_library(self, kind: type) -> Callable[[Any], Any]:
        if plain.is_plain_exception(kind):
            return plain.exception
        numpy = sys.modules.get("numpy")
        if numpy is not None and issubclass(kind, numpy.ndarray):
            return self._array if kind is numpy.ndarray else self._array_of_class
        if kind.__module__ == "pandas.core.internals.managers" and arrays.copies_on_write():
            return self._frame
        if kind is plain.NEW_TYPE:
            return plain.new_type
        if kind in copyreg.dispatch_table or kind in self.dispatch or kind in _SINGLETONS:
            return self._leave
        has_own_way: bool = getattr(kind, "__reduce__", None) is not object.__reduce__
        if has_own_way:
            return self._other
        return plain.quietly if plain.answers_for_all(kind) else self._leave

    def _leave(self, item: Any) -> Any:
        return NotImplemented

    def _other(self, item: Any) -> Any:
        """Ask the object, and look whether it is known by a name that no other interpreter knows."""
        reduced = item.__reduce_ex__(5)
        if isinstance(reduced, str):
            self.by_name.add(id(item))
            if getattr(item, "__module__", None) == "__main__":
                raise Refused(f"known by the name {reduced!r} only", item)
        return reduced

    def _module(self, module: types.ModuleType) -> Any:
        """Note the names of a module that no `import` would find, which is copied."""
        if sys.modules.get(module.__name__) is not module:
            self.copied[id(vars(module))] = module
        return NotImplemented

    def refuse_divided(self) -> None:
        """Refuse a module that is copied, if functions in the pickle see the names of the one that it is a copy of."""
        for names in self.copied.keys() & self.seen_by_functions:
            raise Refused("a module that no file has, with functions of its own", self.copied[names])

    def _class(self, item: Any) -> Any:
        reduced = self.reduce_by_library(item)
        if (
            reduced is not NotImplemented and len(reduced) > 2
        ):  # those of Python's own that have no name are made by one
            self.by_value.add(id(item))
            return classes.without_hooks(item, reduced)
        return reduced

    def _function(self, function: types.FunctionType) -> Any:
        if is_importable(function):
            return NotImplemented
        self.by_value.add(id(function))
        owner = self._owner_of(function)
        if owner is None:
            names = function.__globals__
            self.spans.append((id(names), 0, 1))
            self.seen_by_functions.add(id(names))
            if id(names) not in self._shared:
                return self.reduce_by_library(function)
            if id(names) not in self._begun:
                self._begun.add(id(names))
                return rebuilding.make_later, (names, function)
            owner = names
        attributes = dict(_attributes_of(function))
        cells = function.__closure__ or ()
        self._filled.update(map(id, cells))
        contents = [(cell, cell.cell_contents) for cell in cells if cell != types.CellType()]
        return (
            rebuilding.make_function,
            (function.__code__, owner, function.__name__, function.__closure__),
            (attributes, dict(function.__dict__), contents), None, None, rebuilding.set_function,
        )  # fmt: skip

    def _owner_of(self, function: types.FunctionType) -> Any:
        """Return whose names a function sees: the notebook's, a module's by its name, or None for others."""
        if function.__globals__ is self._namespace:
            return self._namespace
        name = function.__globals__.get("__name__")
        module = sys.modules.get(name) if isinstance(name, str) else None
        if getattr(module, "__dict__", None) is not function.__globals__:
            return None
        if is_made_by_hand(module):
            raise Refused("a part of a module that no file has", function)
        return name

    def _cell(self, cell: Any) -> Any:
        """Reduce a cell to an empty one, if what it holds comes with its function, which the cell may hold itself."""
        if id(cell) in self._filled or cell == types.CellType():
            return rebuilding.make_cell, ()
        return rebuilding.make_cell, (), (cell.cell_contents,), None, None, rebuilding.set_cell

    def _open_file(self, file: Any) -> Any:
        phrase = refusals.file_phrase(file)
        if phrase:
            raise Refused(phrase, file)
        return NotImplemented

    def _frame(self, manager: Any) -> Any:
        for block in manager.blocks:
            self._alone.update(map(id, arrays.arrays_of_block(block)))
        return NotImplemented

    def _array(self, array: Any) -> Any:
        owner = self._shared_owner_of(array)
        if owner is not None:
            return arrays.reduce_view(array, owner)
        return arrays.reduce_array(array, self._max_bytes, self._alone) if arrays.is_plain(array) else NotImplemented

    def _array_of_class(self, array: Any) -> Any:
        """Reduce an array of a class of its own to a plain one and its attributes, where that is all."""
        if not arrays.is_simple(type(array)):
            if self._shared_owner_of(array) is not None:
                raise Refused("a view of another array's memory", array)
            return self._other(array)
        plain = sys.modules["numpy"].ndarray.view(array, sys.modules["numpy"].ndarray)
        if array.base is None:
            self._alone.add(id(plain))
        names = getattr(array, "__dict__", None)
        return (
            rebuilding.make_typed_array, (plain, type(array)), names or None, None, None, rebuilding.set_attributes,
        )  # fmt: skip

    def _shared_owner_of(self, array: Any) -> Any:
        """Return in whose memory an array is, if others are to see its changes; else None, and note it."""
        owner = arrays.owner_of(array) if id(array) not in self._alone else None
        if owner is None:
            return None
        self.spans.append(arrays.span_of(array, owner))
        return owner if id(owner) in self._shared else None


def _refuse(phrase: str, item: Any) -> Any:
    raise Refused(phrase, item)


def _attributes_of(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    for name in rebuilding.ATTRIBUTES:
        try:
            yield name, getattr(function, name)
        except (AttributeError, NameError):
            continue  # of another Python; or annotations with a name that is not there yet
