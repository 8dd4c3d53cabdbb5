"""Journal of a pod's kernel: numbered messages, bounded, read again from any position.

The newest entries are in memory, older ones in files, and what does not fit there either is dropped, oldest first. So
what is kept is the end of what was said, without holes, and before it the few small entries that no reader can do
without, such as the reply to a cell whose output is gone.
"""

import contextlib
from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple, Protocol

from remote_kernel.core.journal.kept_replies import KeptReplies
from remote_kernel.core.wire.frames import Gap

# Enough for a reader that is a little behind; a pod has many kernels.
DEFAULT_MEMORY_BYTES = 8 * 1024 * 1024
# Enough for a front end that is away while a long job prints.
DEFAULT_DISK_BYTES = 256 * 1024 * 1024

# How much goes to disk at a time: large enough to be worth a system call, small enough to keep nobody waiting.
SPILL_BYTES = 1024 * 1024
# What is larger goes to disk as it is: to put it together with others takes new memory, which costs more than a call of
# the system.
ALONE_BYTES = 64 * 1024
# How much is dropped at a time.
SEGMENT_BYTES = 16 * 1024 * 1024
# Of what is dropped, how much is kept as essential, each in a short form: thousands of replies.
ESSENTIAL_BYTES = 4 * 1024 * 1024


class File(Protocol):
    """File for older entries. Both methods may raise `OSError`, after which the file is only closed."""

    def append(self, data: bytes) -> None:
        """Add bytes at the end."""

    def read(self, offset: int, size: int) -> bytes:
        """Return exactly `size` bytes."""

    def close(self) -> None:
        """Remove the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of a journal, in bytes of encoded frames; the newest entry stays in memory whatever its size."""

    memory_bytes: int = DEFAULT_MEMORY_BYTES
    disk_bytes: int = DEFAULT_DISK_BYTES
    spill_bytes: int = SPILL_BYTES
    segment_bytes: int = SEGMENT_BYTES
    essential_bytes: int = ESSENTIAL_BYTES

    @property
    def roomy_bytes(self) -> int:
        """Bytes in memory at most beside which there is room for what comes next."""
        return self.memory_bytes * 3 // 4


class Batch(NamedTuple):
    """Batch for a reader: `gap` comes before `entries`, runs of whole frames; `cursor` is where to go on."""

    gap: Gap | None
    entries: list[bytes]
    cursor: int

    @property
    def size(self) -> int:
        """The bytes of the entries."""
        return sum(map(len, self.entries))


@dataclass(frozen=True, slots=True)
class _Segment:
    """Entries in a file: number of the first one, where each one ends, and the numbers of those that are essential."""

    first: int
    file: File
    ends: "array[int]" = field(default_factory=lambda: array("Q"))
    essential: "array[int]" = field(default_factory=lambda: array("Q"))

    @property
    def size(self) -> int:
        return self.ends[-1] if self.ends else 0

    def append(self, entries: Sequence[bytes], essential: Iterable[int]) -> None:
        for run in _runs(entries):
            self.file.append(run)
        self.ends.extend(accumulate(map(len, entries[1:]), initial=self.size + len(entries[0])))
        self.essential.extend(essential)

    def read(self, sequence: int, max_bytes: int) -> tuple[bytes, int]:
        """Return entries from number `sequence` on, and the number of the last one."""
        index = sequence - self.first
        start = self.ends[index - 1] if index else 0
        last = max(index, bisect_right(self.ends, start + max_bytes) - 1)
        return self.file.read(start, self.ends[last] - start), self.first + last


class Journal:
    """Encoded frames by sequence number, from 1 without holes.

    A reader that comes too late for some is told with a `Gap`.

    Args:
        make_file: makes a file for older entries, raising `OSError` when it cannot; without it they are dropped.

    Attributes:
        last_sequence: the number of the newest entry; 0 when there never was one.
    """

    def __init__(self, limits: Limits | None = None, make_file: Callable[[], File] | None = None) -> None:
        self._limits = limits or Limits()
        self._make_file = make_file
        self.last_sequence = 0
        self._entries: deque[bytes] = deque()
        self._memory_bytes = 0
        self._first_in_memory = 1
        self._essential_in_memory: deque[int] = deque()
        self._segments: deque[_Segment] = deque()
        self._replies = KeptReplies(self._limits.essential_bytes)

    @property
    def memory_bytes(self) -> int:
        """Return how many bytes of entries are in memory."""
        return self._memory_bytes

    @property
    def disk_bytes(self) -> int:
        """Return how many bytes of entries are in files."""
        return sum(segment.size for segment in self._segments)

    @property
    def next_sequence(self) -> int:
        """The number that the next entry will get."""
        return self.last_sequence + 1

    def append(self, entry: bytes, *, is_essential: bool = False) -> None:
        """Add one encoded frame, with `next_sequence` inside; of an essential one at least a short form is kept."""
        self.last_sequence += 1
        if is_essential:
            self._essential_in_memory.append(self.last_sequence)
        self._entries.append(entry)
        self._memory_bytes += len(entry)
        if self._memory_bytes > self._limits.memory_bytes and len(self._entries) > 1:
            self._move_out(self._limits.memory_bytes)

    def read(self, after: int, max_bytes: int) -> Batch:
        """Return entries after position `after`, together at most `max_bytes` (but at least one if there is one).

        A position beyond the end is taken for the end.
        """
        start = min(after, self.last_sequence) + 1
        gap = None
        if start < self._first:
            if kept := self._replies.next(start):
                return Batch(gap=_gap(start, kept.number), entries=[kept.entry], cursor=kept.number)
            gap, start = _gap(start, self._first), self._first
        if start >= self._first_in_memory:
            entries = self._read_memory(start, max_bytes)
            return Batch(gap=gap, entries=entries, cursor=start + len(entries) - 1)
        segment = self._segments[bisect_right([segment.first for segment in self._segments], start) - 1]
        try:
            data, last = segment.read(start, max_bytes)
        except OSError:
            self._drop_all_files()
            return self.read(after, max_bytes)
        return Batch(gap=gap, entries=[data], cursor=last)

    def close(self) -> None:
        """Remove the files."""
        self._drop_all_files()

    @property
    def _first(self) -> int:
        """The number of the oldest entry that is kept."""
        return self._segments[0].first if self._segments else self._first_in_memory

    def _read_memory(self, start: int, max_bytes: int) -> list[bytes]:
        entries: list[bytes] = []
        size = 0
        for index in range(start - self._first_in_memory, len(self._entries)):
            size += len(self._entries[index])
            if entries and size > max_bytes:
                break
            entries.append(self._entries[index])
        return entries

    @property
    def is_nearly_full(self) -> bool:
        """Return whether `make_room` has something to do."""
        return self._memory_bytes > self._limits.roomy_bytes and self._make_file is not None and len(self._entries) > 1

    def make_room(self) -> None:
        """Move the oldest entries to a file before they must be: what is said next does not wait for the disk then."""
        if self.is_nearly_full:
            self._move_out(self._limits.roomy_bytes)

    def _move_out(self, bound: int) -> None:
        """Move the oldest entries to a file, a piece at a time, until there are less than `bound` bytes of them."""
        first = self._first_in_memory
        moved: list[bytes] = []
        goal = max(0, bound - self._limits.spill_bytes)
        while self._memory_bytes > goal and len(self._entries) > 1:
            entry = self._entries.popleft()
            self._memory_bytes -= len(entry)
            moved.append(entry)
        self._first_in_memory += len(moved)
        essential: list[int] = []
        while self._essential_in_memory and self._essential_in_memory[0] < self._first_in_memory:
            essential.append(self._essential_in_memory.popleft())
        try:
            self._segment_for(first).append(moved, essential)
        except OSError:
            # A full disk. What is kept must have no holes, so the older entries go with these.
            self._drop_all_files()
            for number in essential:
                self._replies.keep(number, moved[number - first])
        while self.disk_bytes > self._limits.disk_bytes:
            self._drop_file(self._segments.popleft())

    def _segment_for(self, first: int) -> _Segment:
        if self._segments and self._segments[-1].size < self._limits.segment_bytes:
            return self._segments[-1]
        if self._make_file is None:
            raise OSError
        self._segments.append(_Segment(first, self._make_file()))
        return self._segments[-1]

    def _drop_all_files(self) -> None:
        while self._segments:
            self._drop_file(self._segments.popleft())

    def _drop_file(self, segment: _Segment) -> None:
        for number in segment.essential:
            with contextlib.suppress(OSError):
                self._replies.keep(number, segment.read(number, 0)[0])
        segment.file.close()


def _runs(entries: Iterable[bytes]) -> Iterator[bytes]:
    """Yield entries as they are to be written: large ones by themselves, as they are, small ones put together."""
    small: list[bytes] = []
    for entry in entries:
        if len(entry) < ALONE_BYTES:
            small.append(entry)
            continue
        if small:
            yield b"".join(small)
            small = []
        yield entry
    if small:
        yield b"".join(small)


def _gap(first: int, end: int) -> Gap | None:
    """Return what to tell of the entries from `first` to before `end`, of which none is left."""
    return Gap(first=first, last=end - 1) if first < end else None
