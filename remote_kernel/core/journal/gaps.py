"""Gaps of a journal: counts of dropped entries, and the few that no reader can do without."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from remote_kernel.core.journal.short_replies import shorten
from remote_kernel.core.wire.frames import Gap

# At so many places it is known how much was dropped before; what is older is averaged. About two for each kept reply.
MAX_POINTS = 10_000


@dataclass(frozen=True, slots=True)
class Kept:
    """An entry that outlives those around it, by its number; of one that is shortened, how many bytes went."""

    number: int
    entry: bytes
    cut_bytes: int


class Dropped:
    """Everything before the first entry that a journal has.

    Args:
        essential_bytes: how much of it is kept at most; what is more goes as well, oldest first.
    """

    def __init__(self, essential_bytes: int) -> None:
        self._essential_bytes = essential_bytes
        self._kept: list[Kept] = []
        self._kept_bytes = 0
        # In order: the number of an entry, and how many bytes before it were dropped. What was kept lies between two.
        self._points: list[tuple[int, int]] = [(1, 0)]

    def drop(self, first: int, sizes: Sequence[int], kept: Mapping[int, bytes]) -> None:
        """Note that entries of these sizes, numbered from `first` on, are gone but for the kept ones, by number.

        A kept one that is large is shortened: alone it would make many others go.
        """
        passed, dropped = first, self._points[-1][1]
        for number, whole in kept.items():
            if (entry := shorten(whole)) is None:
                continue
            dropped += sum(sizes[passed - first : number - first])
            self._points += [(number, dropped), (number + 1, dropped)]
            self._kept.append(Kept(number, entry, len(whole) - len(entry)))
            self._kept_bytes += len(entry)
            passed = number + 1
        self._points.append((first + len(sizes), dropped + sum(sizes[passed - first :])))
        self._make_room()

    def _make_room(self) -> None:
        count = gone = 0
        while self._kept_bytes - gone > self._essential_bytes:
            gone += len(self._kept[count].entry)
            count += 1
        after_gone = self._kept[count - 1].number + 1 if count else 0
        del self._kept[:count]
        self._kept_bytes -= gone
        past = max(bisect_left(self._points, after_gone, key=lambda each: each[0]), len(self._points) - MAX_POINTS)
        if past > 0:  # only differences matter, so that what went as well is had by a lower beginning
            self._points[:past] = [(1, self._points[0][1] - gone)]

    def next_kept(self, number: int) -> Kept | None:
        """Return the first entry that is left from `number` on."""
        index = bisect_left(self._kept, number, key=lambda each: each.number)
        return self._kept[index] if index < len(self._kept) else None

    def gap(self, first: int, end: int) -> Gap | None:
        """Return what to tell of the entries from `first` to before `end`, of which none is left."""
        if first >= end:
            return None
        return Gap(first=first, last=end - 1, bytes=self._bytes_before(end) - self._bytes_before(first))

    def _bytes_before(self, number: int) -> int:
        """Return about how many bytes before an entry were dropped."""
        index = bisect_right(self._points, number, key=lambda each: each[0])
        point, dropped = self._points[index - 1]
        if index == len(self._points):
            return dropped
        next_point, next_dropped = self._points[index]
        return dropped + (next_dropped - dropped) * (number - point) // (next_point - point)
