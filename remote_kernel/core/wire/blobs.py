"""Bytes of several things in one body, behind a head that says what they are.

body   the head, a JSON object on one line; a line feed; the blobs, whose sizes the head gives
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from remote_kernel.core.errors import WireError
from remote_kernel.core.json_text import parse_unpacked_object
from remote_kernel.core.limits import Limit


class Blobs:
    """The blobs of a body, to be taken in their order."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._start = 0

    def take(self, size: object) -> bytes:
        """Return the next `size` bytes; raises `ValueError` when there are fewer, `TypeError` when it is no number."""
        if type(size) is not int:
            raise TypeError
        end = self._start + size
        if not self._start <= end <= len(self._data):
            raise ValueError
        blob = self._data[self._start : end]
        self._start = end
        return blob

    @property
    def is_empty(self) -> bool:
        """Return whether all have been taken."""
        return self._start == len(self._data)


def join(head: Mapping[str, object], blobs: Iterable[bytes]) -> bytes:
    """Return a body."""
    return b"".join((json.dumps(head, separators=(",", ":")).encode(), b"\n", *blobs))


def split(body: bytes, limit: Limit, max_head_bytes: int) -> tuple[dict[str, Any], Blobs]:
    """Read what `join` wrote.

    Args:
        limit: how deep the head may be.

    Raises:
        WireError: there is no head, or it is too long or too deep.
    """
    head, line_feed, blobs = body.partition(b"\n")
    if not line_feed or len(head) > max_head_bytes:
        raise WireError("a body without a head as it may be")
    return parse_unpacked_object(head, limit), Blobs(blobs)
