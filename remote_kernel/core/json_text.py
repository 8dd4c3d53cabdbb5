"""JSON that others have written: of bounded size and depth, with numbers that are numbers."""

import json
import math
from typing import Any

from remote_kernel.core.errors import WireError
from remote_kernel.core.limits import Limit


def _parse_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number that is none")
    return value


def _refuse_constant(text: str) -> float:
    raise ValueError(text)


# Of JSON whose values are counted, at once.
_CHUNK_BYTES = 1 << 18

_decode = json.JSONDecoder(parse_float=_parse_float, parse_constant=_refuse_constant).decode


def parse_json_object(data: bytes | bytearray, limit: Limit) -> dict[str, Any]:
    """Return a JSON object from outside.

    Raises:
        WireError: it is none, has more bytes or values or is deeper than `limit` allows, or has a number that JSON does
            not know.
    """
    if limit.bytes is not None and len(data) > limit.bytes:
        raise WireError(f"JSON of more than {limit.bytes:,} bytes")
    return parse_unpacked_object(data, limit)


def parse_unpacked_object(data: bytes | bytearray, limit: Limit) -> dict[str, Any]:
    """As `parse_json_object`, of what has been unpacked within the bounds already."""
    if limit.values is not None and has_more_values(data, limit.values):
        raise WireError(f"JSON of more than {limit.values:,} values")
    try:
        text = data.decode("utf-8", "surrogatepass")
        value = _decode(text)
    except (ValueError, RecursionError) as error:
        raise WireError("what should be JSON is none") from error
    if not isinstance(value, dict):
        raise WireError("what should be a JSON object is something else")
    # Counting first, as hardly anything has so many objects and lists that a look at each could find it too deep.
    depth = limit.nesting
    if depth is not None and text.count("{") + text.count("[") > depth and is_deeper(value, depth):
        raise WireError(f"JSON that is nested more than {depth} deep")
    return value


def has_more_values(data: bytes | bytearray, most: int) -> bool:
    """Return whether JSON has more than so many values, each list or object counted twice, without reading it.

    What is no JSON may have any number.
    """
    if len(data) <= most or _count(data) <= most:  # as nearly everything, with the commas in its texts
        return False
    without_escapes = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    count, is_in_text = 0, False
    for start in range(0, len(without_escapes), _CHUNK_BYTES):
        parts = without_escapes[start : start + _CHUNK_BYTES].split(b'"')
        count += _count(b"".join(parts[is_in_text::2]))
        if count > most:
            return True
        is_in_text ^= len(parts) % 2 == 0
    return False


def _count(data: bytes | bytearray) -> int:
    return data.count(b",") + data.count(b"[") + data.count(b"{")


def is_deeper(value: object, nesting: int) -> bool:
    """Return whether more than so many objects and lists are within one another."""
    level = [value]
    for _ in range(nesting):
        level = [child for each in level for child in _children(each) if isinstance(child, dict | list)]
        if not level:
            return False
    return True


def _children(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
