"""Classes of the notebook: made again as they are, without what their makers do to others."""

from __future__ import annotations

import contextlib
import uuid
import weakref
from typing import TYPE_CHECKING, Any

from remote_kernel.namespace.pickling import libraries, rebuilding

if TYPE_CHECKING:
    from collections.abc import Iterable

# Numbers of classes, which a child would forget: with others, each save would have other bytes for the same class.
_numbers: weakref.WeakKeyDictionary[type, str] = weakref.WeakKeyDictionary()


def number_classes(values: Iterable[Any]) -> None:
    """Give each class of the notebook the number that it has in pickles, if it has none."""
    tracked = libraries.load("cloudpickle").cloudpickle._DYNAMIC_CLASS_TRACKER_BY_CLASS  # of those that were restored
    for value in values:
        if issubclass(type(value), type) and rebuilding.module_of(value) == "__main__":
            with contextlib.suppress(TypeError):  # no class that can be a key
                _numbers.setdefault(value, tracked.get(value) or uuid.uuid4().hex)


def without_hooks(kind: type, reduced: Any) -> Any:
    """Return what cloudpickle makes of a class, made by our own function, if that is how it makes it."""
    if getattr(reduced[0], "__name__", "") != "_make_skeleton_class":
        return reduced
    constructor, name, bases, names, number, extra = reduced[1]
    with contextlib.suppress(TypeError):
        number = _numbers.get(kind, number)
    return (rebuilding.make_class, (constructor, name, bases, names, number, extra), *reduced[2:])
