"""Arrays of numpy: those that own their memory, and views, which share it."""

from __future__ import annotations

import array as python_arrays
import pickle
import sys
from typing import Any

from remote_kernel.namespace.pickling import rebuilding
from remote_kernel.namespace.pickling.refusals import Refused, TooLarge

# A view's owner by `id`, and the first and last byte that the view reaches in it.
Span = tuple[int, int, int]

_BUFFERS = (bytearray, python_arrays.array)


def owner_of(array: Any) -> Any:
    """Return in whose memory an array is, or None: it is in its own, or in that of what nobody can share it with."""
    owner, base = None, array.base
    while base is not None:
        owner, base = base, _base_of(base)
    if array.size == 0 or owner is None:
        return None
    return owner if type(owner) in _BUFFERS or isinstance(owner, sys.modules["numpy"].ndarray) else None


def _base_of(item: Any) -> Any:
    """Return what an array's base is a view of itself; numpy puts one of its own between strides and their array."""
    if type(item) is memoryview:
        return item.obj
    is_array = isinstance(item, sys.modules["numpy"].ndarray) or type(item).__name__ == "DummyArray"
    return item.base if is_array else None


def is_plain(array: Any) -> bool:
    """Return whether an array's bytes are all that it is."""
    return not array.dtype.hasobject and array.size > 0 and array.dtype.itemsize > 0


def is_simple(kind: type) -> bool:
    """Return whether arrays of a class are their memory and their attributes, and nothing that only it can save."""
    numpy = sys.modules["numpy"]
    names = "__reduce__", "__reduce_ex__", "__setstate__"
    is_of_numpy = all(getattr(kind, name) is getattr(numpy.ndarray, name) for name in names)
    return is_of_numpy or kind is numpy.ma.MaskedArray


def reduce_array(array: Any, max_bytes: int, made: set[int]) -> tuple[Any, ...]:
    """Reduce an array that `is_plain` to its bytes, out of band; `TooLarge` before it is copied.

    Args:
        array: may be a view, of whose memory this is to be a copy.
        max_bytes: that are taken.
        made: gets the `id` of an array that is made on the way.
    """
    if array.flags.c_contiguous or array.flags.f_contiguous:
        order = "C" if array.flags.c_contiguous else "F"
        return rebuilding.make_array, (_buffer(array), array.dtype, array.shape, order, bool(array.flags.writeable))
    if rebuilding.is_dense(array):
        return rebuilding.make_permuted_array, (
            _buffer(array), array.dtype, array.shape, array.strides, bool(array.flags.writeable),
        )  # fmt: skip
    if may_overlap_itself(array):
        memory, offset = _reached_memory(array)
        made.add(id(memory))
        return _placed(array, memory, offset)
    if array.nbytes > max_bytes:
        raise TooLarge
    copy = sys.modules["numpy"].ascontiguousarray(array)
    return rebuilding.make_array, (_buffer(copy), array.dtype, array.shape, "C", bool(array.flags.writeable))


def _buffer(array: Any) -> pickle.PickleBuffer:
    return pickle.PickleBuffer(rebuilding.memory_of(array))


def reduce_view(array: Any, owner: Any) -> tuple[Any, ...]:
    """Reduce a view to its owner and its place in it; `Refused` if that place cannot be told."""
    offset = address_of(array) - address_of(owner)
    of_objects = bool(array.dtype.hasobject or (type(owner) not in _BUFFERS and owner.dtype.hasobject))
    if type(owner) not in _BUFFERS and not rebuilding.is_dense(owner):
        raise Refused("a view of an array that is itself in pieces", array)
    if not of_objects:
        return _placed(array, owner, offset)
    size = array.dtype.itemsize
    if type(owner) in _BUFFERS or array.dtype != owner.dtype or offset % size:
        raise Refused("a view of a part of an array that holds objects", array)
    place = offset // size, array.shape, array.strides, bool(array.flags.writeable)
    return rebuilding.make_view_of_objects, (owner, *place)


def _placed(array: Any, owner: Any, offset: int) -> tuple[Any, ...]:
    place = offset, array.dtype, array.shape, array.strides, bool(array.flags.writeable)
    return rebuilding.make_view, (owner, *place)


def address_of(owner: Any) -> int:
    """Return the address of an array's first element, or of a buffer's first byte."""
    array = sys.modules["numpy"].frombuffer(owner, "u1") if type(owner) in _BUFFERS else owner
    return int(array.__array_interface__["data"][0])


def _reach_of(array: Any) -> tuple[int, int]:
    """Return which bytes an array reaches, from its first element on: from one up to, and without, another."""
    low = high = 0
    for length, stride in zip(array.shape, array.strides):
        low, high = low + min(0, stride * (length - 1)), high + max(0, stride * (length - 1))
    return low, high + array.dtype.itemsize


def _reached_memory(array: Any) -> tuple[Any, int]:
    """Return the bytes that an array reaches, which are not copied, and where in them its first element is."""
    numpy = sys.modules["numpy"]
    low, high = _reach_of(array)
    first = array[tuple(slice(0, 1) if stride >= 0 else slice(-1, None) for stride in array.strides)]
    byte = numpy.ndarray.view(first.reshape(-1), numpy.uint8)
    return numpy.lib.stride_tricks.as_strided(byte, (high - low,), (1,)), -low


def may_overlap_itself(array: Any) -> bool:
    """Return whether two of an array's elements may have bytes in common, as those of a broadcast have."""
    reached = array.dtype.itemsize
    for stride, length in sorted((abs(s), n) for s, n in zip(array.strides, array.shape) if n > 1):
        if stride < reached:
            return True
        reached += stride * (length - 1)
    return False


def span_of(array: Any, owner: Any) -> Span:
    """Return which of its owner's bytes a view reaches: from the first up to, and without, the last."""
    offset = address_of(array) - address_of(owner)
    low, high = _reach_of(array)
    return id(owner), offset + low, offset + high


def overlapping(spans: list[tuple[int, int]]) -> bool:
    """Return whether two of them have bytes in common."""
    end = -1
    for low, high in sorted(spans):
        if low < end:
            return True
        end = high
    return False


def copies_on_write() -> bool:
    """Return whether pandas keeps frames apart that share memory, which it could not tell of such as were restored."""
    pandas = sys.modules.get("pandas")
    if pandas is None:
        return False
    try:
        return int(pandas.__version__.partition(".")[0]) >= 3 or bool(pandas.options.mode.copy_on_write)
    except Exception:
        return False


def arrays_of_block(block: Any) -> list[Any]:
    """Return the arrays of numpy in a block of a frame."""
    values = getattr(block, "values", None)
    names = ("_ndarray", "_data", "_mask", "_codes")
    parts = [values, *(getattr(values, name, None) for name in names)]
    return [part for part in parts if type(part) is sys.modules["numpy"].ndarray]
