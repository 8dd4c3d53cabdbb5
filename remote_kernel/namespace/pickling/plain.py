"""Plain reducers: how objects of one type are taken apart, whatever else is in the pickle."""

from __future__ import annotations

import collections
import functools
import gc
import types
import typing
import weakref
from typing import Any, Callable

from remote_kernel.namespace.pickling import rebuilding, refusals
from remote_kernel.namespace.pickling.refusals import Refused
from remote_kernel.namespace.pickling.standing import is_importable

_CACHED = type(functools.lru_cache(lambda: None))
NEW_TYPE = getattr(typing, "NewType", None)
_DICT_VIEWS = {
    type(getattr(kind(), name)()): (name, kind is not dict)
    for kind in (dict, collections.OrderedDict)
    for name in ("keys", "values", "items")
}


def _cached(function: Any) -> Any:
    if is_importable(function):
        return NotImplemented
    return rebuilding.make_cache, (function.__wrapped__, function.cache_parameters())


def lock(lock: Any) -> Any:
    """Reduce a lock that nobody holds to a new one."""
    if refusals.is_held(lock):
        raise Refused("a lock that is held", lock)
    return rebuilding.make_lock, (refusals.is_reentrant(type(lock)),)


def _memoryview(view: memoryview) -> Any:
    """Reduce a view of a whole object to that object; of a part, there would be a copy."""
    whole = memoryview(view.obj)
    if (view.nbytes, view.shape, view.format) != (whole.nbytes, whole.shape, whole.format):
        raise Refused("a view of a part of another object's memory", view)
    return memoryview, (view.obj,)


def new_type(kind: Any) -> Any:
    """Reduce a `NewType` of the notebook."""
    if kind.__module__ != "__main__":
        return NotImplemented
    return NEW_TYPE, (kind.__name__, kind.__supertype__)


def _dict_view(view: Any) -> Any:
    (mapping,) = gc.get_referents(view)
    return rebuilding.make_dict_view, (mapping, *_DICT_VIEWS[type(view)])


def _mapping_proxy(proxy: Any) -> Any:
    (names,) = gc.get_referents(proxy)
    holders = gc.get_referrers(names) if type(names) is dict and "__module__" in names else ()
    for kind in holders:
        if isinstance(kind, type) and gc.get_referents(vars(kind))[0] is names:
            return vars, (kind,)
    return types.MappingProxyType, (names,)


def answers_for_all(kind: type) -> bool:
    """Return whether a class of the notebook would be asked for methods that it may not know, before it has a state."""
    is_asked = any("__getattr__" in vars(base) or "__getattribute__" in vars(base) for base in kind.__mro__[:-1])
    return kind.__module__ == "__main__" and is_asked and not hasattr(kind, "__setstate__")


def quietly(item: Any) -> Any:
    """Reduce an object so that none of its own methods is asked for its state."""
    reduced = item.__reduce_ex__(5)
    return (*reduced, *(None,) * (5 - len(reduced)), rebuilding.set_state)


def is_plain_exception(kind: type) -> bool:
    """Return whether exceptions of a class are their arguments and their attributes."""
    names = "__reduce__", "__reduce_ex__", "__setstate__"
    return issubclass(kind, BaseException) and all(
        getattr(kind, name) is getattr(BaseException, name) for name in names
    )


def exception(error: BaseException) -> Any:
    """Reduce an exception, with what it was raised from."""
    others = error.__cause__, error.__context__, error.__suppress_context__
    kind = type(error)
    make = (kind, error.args) if kind.__module__ != "__main__" else (rebuilding.make_exception, (kind, error.args))
    return *make, ({**vars(error)}, *others), None, None, rebuilding.set_exception


def _weak_proxy(proxy: Any) -> Any:
    try:
        item = getattr(proxy.__sizeof__, "__self__", None) or proxy.__subclasses__.__self__
    except (ReferenceError, AttributeError):
        item = None
    if gc.get_referents(proxy) or not any(each is proxy for each in weakref.getweakrefs(item) if item is not None):
        raise Refused("a weak proxy", proxy)
    return rebuilding.make_proxy, (item,)


def _weak(reference: Any) -> Any:
    if reference.__callback__ is not None:
        raise Refused("a weak reference with a callback", reference)
    item = reference()
    return (rebuilding.make_dead_reference, ()) if item is None else (rebuilding.make_reference, (item,))


def _weak_dictionary(items: Any) -> Any:
    return type(items), (), None, None, iter(list(items.items()))


WAYS: dict[type, Callable[[Any], Any]] = {
    memoryview: _memoryview,
    _CACHED: _cached,
    weakref.ref: _weak,
    weakref.WeakKeyDictionary: _weak_dictionary,
    weakref.WeakValueDictionary: _weak_dictionary,
    weakref.ProxyType: _weak_proxy,
    weakref.CallableProxyType: _weak_proxy,
    types.MappingProxyType: _mapping_proxy,
    **dict.fromkeys(_DICT_VIEWS, _dict_view),
}
