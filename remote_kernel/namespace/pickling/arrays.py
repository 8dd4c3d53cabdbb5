"""Arrays of numpy: those that own their memory, and views, which share it."""

from __future__ import annotations

import pickle
import sys
from typing import Any

from remote_kernel.namespace.pickling import rebuilding

# A view's owner by `id`, and the first and last byte that the view reaches in it.
Span = tuple[int, int, int]


def owner_of(array: Any) -> Any:
    """Return the array in whose memory another one is, or None: it is in its own, or in no array's."""
    ndarray = sys.modules["numpy"].ndarray
    owner, base = None, array.base
    while type(base) is ndarray:
        owner, base = base, base.base
    return (
        owner if owner is not None and is_plain(owner) and is_contiguous(owner) and not array.dtype.hasobject else None
    )


def is_plain(array: Any) -> bool:
    """Return whether an array's bytes are all that it is."""
    return not array.dtype.hasobject and array.size > 0 and array.dtype.itemsize > 0


def is_contiguous(array: Any) -> bool:
    """Return whether an array is one piece of memory."""
    return bool(array.flags.c_contiguous or array.flags.f_contiguous)


def reduce_array(array: Any) -> tuple[Any, ...]:
    """Reduce an array that `is_plain` to its bytes, out of band."""
    flat, order = array, "C" if array.flags.c_contiguous else "F"
    if not is_contiguous(array):
        flat, order = sys.modules["numpy"].ascontiguousarray(array), "C"
    memory = flat.reshape(-1, order="A").view(sys.modules["numpy"].uint8)
    return rebuilding.make_array, (
        pickle.PickleBuffer(memory), array.dtype, array.shape, order, bool(array.flags.writeable),
    )  # fmt: skip


def reduce_view(array: Any, owner: Any) -> tuple[Any, ...]:
    """Reduce a view to its owner and its place in it."""
    offset = address_of(array) - address_of(owner)
    return rebuilding.make_view, (
        owner, offset, array.dtype, array.shape, array.strides, bool(array.flags.writeable),
    )  # fmt: skip


def address_of(array: Any) -> int:
    """Return the address of an array's first element."""
    return int(array.__array_interface__["data"][0])


def span_of(array: Any, owner: Any) -> Span:
    """Return which of its owner's bytes a view reaches: from the first up to, and without, the last."""
    low = high = address_of(array) - address_of(owner)
    for length, stride in zip(array.shape, array.strides):
        low, high = low + min(0, stride * (length - 1)), high + max(0, stride * (length - 1))
    return id(owner), low, high + array.dtype.itemsize


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
