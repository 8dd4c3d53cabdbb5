"""Replies that a journal keeps when what was around them is dropped: no reader can do without them."""

from bisect import bisect_left
from typing import NamedTuple

from remote_kernel.core.journal.short_replies import shorten


class Kept(NamedTuple):
    """A reply, by its number in the journal."""

    number: int
    entry: bytes


class KeptReplies:
    """The replies before the first entry that a journal has otherwise.

    Args:
        max_bytes: how much of them is kept; what is more goes as well, oldest first.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: list[Kept] = []
        self._bytes = 0

    def keep(self, number: int, entry: bytes) -> None:
        """Keep a reply that is newer than all before; a large one in a short form, or many others would go for it."""
        short = shorten(entry)
        if short is None:
            return
        self._kept.append(Kept(number, short))
        self._bytes += len(short)
        while self._bytes > self._max_bytes:
            self._bytes -= len(self._kept.pop(0).entry)

    def next(self, number: int) -> Kept | None:
        """Return the first one from `number` on."""
        index = bisect_left(self._kept, number, key=lambda each: each.number)
        return self._kept[index] if index < len(self._kept) else None
