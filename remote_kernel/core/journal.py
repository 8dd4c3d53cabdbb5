"""What a pod's kernel has said, numbered, bounded, ready to be read again from any position."""

from collections import deque
from dataclasses import dataclass

from remote_kernel.core.wire import Gap

# Enough for minutes of a cell that prints without pause; a pod has a few GB.
DEFAULT_MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a reader gets: `gap` comes before `entries`; `cursor` is where to go on."""

    gap: Gap | None
    entries: list[bytes]
    cursor: int


class Journal:
    """Encoded frames by sequence number, from 1 without holes.

    When the entries together pass `max_bytes` the oldest go; the newest always stays, whatever its size. A
    reader that comes too late for some is told with a `Gap`.
    """

    def __init__(self, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._entries: deque[bytes] = deque()
        self._bytes = 0
        self._first = 1

    @property
    def next_sequence(self) -> int:
        """The number that the next entry will get."""
        return self._first + len(self._entries)

    @property
    def last_sequence(self) -> int:
        """The number of the newest entry; 0 when there never was one."""
        return self.next_sequence - 1

    def append(self, entry: bytes) -> None:
        """Add one encoded frame, which carries `next_sequence` inside."""
        self._entries.append(entry)
        self._bytes += len(entry)
        while self._bytes > self._max_bytes and len(self._entries) > 1:
            self._bytes -= len(self._entries.popleft())
            self._first += 1

    def read(self, after: int, max_bytes: int) -> Batch:
        """Return entries after position `after`, together at most `max_bytes` (but at least one if there is one).

        A position beyond the end is taken for the end.
        """
        gap = Gap(first=after + 1, last=self._first - 1) if after + 1 < self._first else None
        index = max(after + 1, self._first) - self._first
        entries: list[bytes] = []
        size = 0
        while index + len(entries) < len(self._entries):
            entry = self._entries[index + len(entries)]
            if entries and size + len(entry) > max_bytes:
                break
            entries.append(entry)
            size += len(entry)
        cursor = min(self._first + index + len(entries) - 1, self.last_sequence)
        return Batch(gap=gap, entries=entries, cursor=cursor)
