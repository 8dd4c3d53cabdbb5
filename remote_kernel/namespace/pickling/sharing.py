"""Sharing: which of the objects in a pickle others may hold as well, found in the pickler's memo."""

from __future__ import annotations

import datetime
import enum
import re
import sys
import types
import weakref
from typing import TYPE_CHECKING, Any

from remote_kernel.namespace.pickling.refusals import Refused
from remote_kernel.namespace.pickling.standing import is_made_by_hand

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from remote_kernel.namespace.pickling.reducers import Reducers

# A text of this size is saved once, whoever holds it.
LARGE_BYTES = 64 << 10

# What libraries share among all that use them, and nobody changes.
_ATOMS = (
    int, float, complex, bool, types.ModuleType, types.BuiltinFunctionType, types.CodeType, enum.Enum, re.Pattern,
    datetime.tzinfo, datetime.date, datetime.time, datetime.timedelta,
)  # fmt: skip
# They are called when an object is loaded.
_METHODS = (
    "__new__", "__setstate__", "__reduce__", "__reduce_ex__", "__setitem__", "__setattr__", "append", "extend", "add",
    "update",
)  # fmt: skip
_KNOWN_BY_NAME = (type, types.FunctionType)


class Memo:
    """Objects of a pickle, by `id`, taken out of the pickler, which forgets them.

    Args:
        pickler: has `Reducers`.
        values: list that it has pickled, which is nobody's object.

    Attributes:
        objects: those that the pickler made itself, on its way, are not among them.
        modules: names of the modules that the pickle wants.
        has_code: there is code in it, which another Python could not run.
        is_harmless: loading it runs no code of the notebook's that is there for that.
    """

    def __init__(self, pickler: Any, values: list[Any]) -> None:
        entries = pickler.memo.copy()
        pickler.clear_memo()
        entries.pop(id(values), None)
        self._reducers: Reducers = pickler
        self.modules: set[str] = set()
        self.has_code = False
        self.is_harmless = True
        self.objects: dict[int, Any] = {}
        self._atoms = _ATOMS + tuple(_atoms_of_libraries())
        self._sort(entries)

    def _sort(self, entries: dict[int, tuple[int, Any]]) -> None:
        only_here = holders_of((0, object()))
        self._of_classes = self._held_by_classes(item for _, item in entries.values())
        for key in list(entries):
            self._note(entries[key][1])
            if self._is_atom(entries[key][1]):
                del entries[key]
        # What was made on the way is held by nothing, once what holds it is gone as well.
        for key in [*reversed(list(entries)), *entries]:
            if key in entries and holders_of(entries[key]) <= only_here:
                del entries[key]
        self.objects = {key: item for key, (_, item) in entries.items()}

    def _held_by_classes(self, items: Iterable[Any]) -> set[int]:
        """Return the attributes, by `id`, of a library's classes, some of which objects take with them."""
        own = self._reducers.by_value
        classes = [item for item in items if isinstance(item, type) and id(item) not in own]
        bases = {id(base): base for kind in classes for base in kind.__mro__}
        return {id(value) for base in bases.values() for value in vars(base).values()}

    def _note(self, item: Any) -> None:
        if is_made_by_hand(item if isinstance(item, types.ModuleType) else _module_of(item)):
            raise Refused("a part of a module that no file has", item)
        if _is_of_notebook(item) and not _is_made_plainly(type(item)):
            self.is_harmless = False
        if isinstance(item, types.CodeType):
            self.has_code = True
        elif isinstance(item, types.ModuleType):
            self.modules.add(item.__name__)
        elif isinstance(item, (type, types.FunctionType, types.BuiltinFunctionType)):
            name = item.__module__
            if isinstance(name, str):
                self.modules.add(name)

    def _is_atom(self, item: Any) -> bool:
        if type(item) in weakref.ProxyTypes or _is_of_notebook(item):
            return id(item) in self._reducers.by_name
        if isinstance(item, (str, bytes)):
            return len(item) < LARGE_BYTES
        if id(item) in self._of_classes:
            return True
        if isinstance(item, _KNOWN_BY_NAME):
            return id(item) not in self._reducers.by_value
        return isinstance(item, self._atoms) or id(item) in self._reducers.by_name


def _is_of_notebook(item: Any) -> bool:
    """Return whether an object is of a class of the notebook, so that it is the notebook's, whatever it is else."""
    return type(item).__module__ == "__main__" and not isinstance(item, (type, enum.Enum))


def _module_of(item: Any) -> Any:
    """Return the module by which a class or a function is known."""
    name = item.__module__ if isinstance(item, _KNOWN_BY_NAME) else None
    return sys.modules.get(name, sys) if isinstance(name, str) else sys


def _is_made_plainly(kind: type) -> bool:
    """Return whether objects of a class of the notebook are made again, and filled, without methods of its own."""
    theirs = [vars(base) for base in kind.__mro__ if base.__module__ == "__main__"]
    return not any(name in names for names in theirs for name in _METHODS)


def holders_of(entry: tuple[int, Any]) -> int:
    """Return how many hold the object of an entry; of one that nothing else holds, always the same."""
    return sys.getrefcount(entry[1])


def _atoms_of_libraries() -> Iterator[type]:
    """Yield the classes of the types of arrays, which are shared by all that have them."""
    for module, name in (("numpy", "dtype"), ("numpy", "generic"), ("pandas.api.extensions", "ExtensionDtype")):
        kind = getattr(sys.modules.get(module), name, None)
        if isinstance(kind, type):
            yield kind
