"""The journal: numbers without holes, a bound, and readers that come late."""

import json
import tempfile
import tracemalloc
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from remote_kernel.core.journal.journal import ALONE_BYTES, File, Journal, Limits
from remote_kernel.core.wire.codec import decode_all, encode
from remote_kernel.core.wire.frames import Channel, Gap, Message
from remote_kernel.pod.readers.journal_files import SpillFile

UNLIMITED = 1 << 40


def test_a_new_journal_is_empty() -> None:
    journal = Journal()
    batch = journal.read(0, UNLIMITED)
    assert (journal.last_sequence, journal.next_sequence) == (0, 1)
    assert (batch.gap, batch.entries, batch.cursor) == (None, [], 0)


def test_a_reader_gets_what_came_after_its_cursor() -> None:
    journal = Journal()
    for entry in (b"1", b"2", b"3"):
        journal.append(entry)
    batch = journal.read(1, UNLIMITED)
    assert (batch.gap, batch.entries, batch.cursor) == (None, [b"2", b"3"], 3)


def test_a_batch_is_bounded_but_never_empty() -> None:
    journal = Journal()
    for _ in range(3):
        journal.append(b"12345")
    assert journal.read(0, 1).entries == [b"12345"]
    assert journal.read(0, 10).cursor == 2


def test_a_full_journal_drops_the_oldest_and_says_so() -> None:
    journal = Journal(Limits(memory_bytes=10, spill_bytes=0))
    for entry in (b"11111", b"22222", b"33333"):
        journal.append(entry)
    batch = journal.read(0, UNLIMITED)
    assert (batch.gap, batch.entries) == (Gap(first=1, last=1), [b"22222", b"33333"])
    assert journal.read(1, UNLIMITED).gap is None


def test_what_is_essential_outlives_what_is_dropped_around_it() -> None:
    journal = Journal(Limits(memory_bytes=10, spill_bytes=0))
    for number in range(1, 8):
        journal.append(str(number).encode() * 5, is_essential=number in {1, 4})
    batches = [journal.read(0, UNLIMITED)]
    while batches[-1].cursor < journal.last_sequence:
        batches.append(journal.read(batches[-1].cursor, UNLIMITED))
    assert [(batch.gap, batch.entries) for batch in batches] == [
        (None, [b"11111"]),
        (Gap(first=2, last=3), [b"44444"]),
        (Gap(first=5, last=5), [b"66666", b"77777"]),
    ]


def test_of_too_much_that_is_essential_the_oldest_goes() -> None:
    journal = Journal(Limits(memory_bytes=10, spill_bytes=0, essential_bytes=10))
    for number in range(1, 8):
        journal.append(str(number).encode() * 5, is_essential=True)
    batch = journal.read(0, UNLIMITED)
    assert batch.gap is not None
    assert (batch.gap.first, batch.gap.last, batch.entries) == (1, 3, [b"44444"])


def test_of_a_large_reply_a_short_form_is_kept_and_no_other_goes_for_it() -> None:
    journal = Journal(Limits(memory_bytes=1000, spill_bytes=0, essential_bytes=30_000))
    content = {"status": "error", "ename": "ValueError", "evalue": "x" * 100_000, "traceback": ["y" * 100_000]}
    reply = Message(
        channel=Channel.SHELL, parts=(b'{"msg_id":"1"}', b'{"msg_id":"0"}', b"{}", json.dumps(content).encode(), b"b")
    )
    journal.append(b"small", is_essential=True)
    journal.append(encode(reply), is_essential=True)
    for _ in range(10):
        journal.append(b"x" * 500)
    assert journal.read(0, UNLIMITED).entries == [b"small"]
    batch = journal.read(1, UNLIMITED)
    (short,) = decode_all(batch.entries[0])
    assert isinstance(short, Message)
    assert (short.channel, short.parts[:2], len(short.parts)) == (reply.channel, reply.parts[:2], 4)
    fields = json.loads(short.parts[3])
    assert (fields["status"], fields["ename"], fields["traceback"]) == ("error", "ValueError", [])
    assert fields["evalue"].startswith("xxx")
    assert len(fields["evalue"]) < 2000


def test_what_is_known_of_what_was_dropped_is_bounded() -> None:
    """Replies beyond what is kept of them, then output without any, cost no memory."""
    journal = Journal(Limits(memory_bytes=10, spill_bytes=0, essential_bytes=1000))
    tracemalloc.start()
    try:
        for number in range(20_000):
            journal.append(b"12345", is_essential=number < 10_000)
        now, _ = tracemalloc.get_traced_memory()
        for number in range(20_000):
            journal.append(b"12345", is_essential=number < 10_000)
        later, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert later - now < 100_000


def test_the_newest_entry_stays_whatever_its_size() -> None:
    journal = Journal(Limits(memory_bytes=10, spill_bytes=0))
    journal.append(b"1")
    journal.append(b"2" * 100)
    assert journal.read(1, UNLIMITED).entries == [b"2" * 100]


def test_a_cursor_beyond_the_end_is_the_end() -> None:
    journal = Journal()
    journal.append(b"1")
    batch = journal.read(99, UNLIMITED)
    assert (batch.gap, batch.entries, batch.cursor) == (None, [], 1)


def test_what_memory_does_not_hold_is_read_from_disk(tmp_path: Path) -> None:
    limits = Limits(memory_bytes=100, spill_bytes=30, segment_bytes=200, disk_bytes=10_000)
    journal = Journal(limits, lambda: SpillFile(tmp_path))
    entries = [f"{number:010d}".encode() for number in range(100)]
    for entry in entries:
        journal.append(entry)
    assert journal.memory_bytes <= 100
    assert journal.disk_bytes == 1000 - journal.memory_bytes
    assert read_all(journal, 0, max_bytes=35) == (None, b"".join(entries))
    assert list(tmp_path.iterdir()) == []  # the files have no names
    journal.close()
    assert journal.disk_bytes == 0


def test_the_oldest_go_when_the_disk_is_full(tmp_path: Path) -> None:
    limits = Limits(memory_bytes=100, spill_bytes=30, segment_bytes=100, disk_bytes=300)
    journal = Journal(limits, lambda: SpillFile(tmp_path))
    for number in range(100):
        journal.append(f"{number:010d}".encode())
    gap, data = read_all(journal, 0, max_bytes=1000)
    assert gap is not None
    assert gap.first == 1
    assert data == b"".join(f"{number:010d}".encode() for number in range(gap.last, 100))
    assert len(data) >= limits.disk_bytes - limits.segment_bytes
    journal.close()


def read_all(journal: Journal, after: int, *, max_bytes: int) -> tuple[Gap | None, bytes]:
    """Read from a position to the end, as a stream does; there is one gap at most."""
    gaps, data = read_pieces(journal, after, max_bytes=max_bytes)
    assert len(gaps) <= 1
    return gaps[0] if gaps else None, data


def read_pieces(journal: Journal, after: int, *, max_bytes: int) -> tuple[list[Gap], bytes]:
    gaps, pieces = [], []
    while True:
        batch = journal.read(after, max_bytes)
        gaps += [batch.gap] if batch.gap else []
        pieces += batch.entries
        if not batch.entries:
            return gaps, b"".join(pieces)
        after = batch.cursor


class Recorder(SpillFile):
    """A file that remembers what was written in one call."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.writes: list[bytes] = []

    def append(self, data: bytes) -> None:
        self.writes.append(data)
        super().append(data)


def test_large_entries_go_to_disk_as_they_are_and_small_ones_together(tmp_path: Path) -> None:
    file = Recorder(tmp_path)
    entries = [b"a" * 10, b"b" * 10, b"c" * ALONE_BYTES, b"d" * ALONE_BYTES, b"e" * 10, b"f" * 300_000]
    journal = Journal(Limits(memory_bytes=299_999, spill_bytes=299_999), lambda: file)
    for entry in entries:
        journal.append(entry)
    assert file.writes == [b"a" * 10 + b"b" * 10, entries[2], entries[3], b"e" * 10]
    assert file.writes[1] is entries[2]
    assert read_pieces(journal, 0, max_bytes=25) == ([], b"".join(entries))
    journal.close()


def test_room_is_made_before_it_is_needed(tmp_path: Path) -> None:
    file = Recorder(tmp_path)
    journal = Journal(Limits(memory_bytes=1000, spill_bytes=100), lambda: file)
    for number in range(1, 8):
        journal.append(bytes([number]) * 100)
    journal.make_room()
    assert file.writes == []
    journal.append(bytes([8]) * 100)
    assert journal.is_nearly_full
    journal.make_room()
    assert not journal.is_nearly_full
    assert (journal.memory_bytes, journal.disk_bytes) == (600, 200)
    for number in range(9, 13):
        journal.append(bytes([number]) * 100)
    assert len(file.writes) == 1
    assert read_pieces(journal, 0, max_bytes=250) == ([], b"".join(bytes([n]) * 100 for n in range(1, 13)))
    journal.close()


def test_a_journal_without_a_file_drops_nothing_to_make_room() -> None:
    journal = Journal(Limits(memory_bytes=1000, spill_bytes=100))
    for number in range(10):
        journal.append(bytes([number]) * 100)
    journal.make_room()
    assert not journal.is_nearly_full
    assert read_pieces(journal, 0, max_bytes=1000)[0] == []


class FailingFile(SpillFile):
    """A file on a disk that has moods."""

    def __init__(self, folder: Path, disk: "JournalMachine") -> None:
        if disk.is_full:
            raise OSError
        super().__init__(folder)
        self._disk = disk

    def append(self, data: bytes) -> None:
        if self._disk.is_full:
            raise OSError
        super().append(data)

    def read(self, offset: int, size: int) -> bytes:
        if self._disk.is_unreadable:
            raise OSError
        return super().read(offset, size)


class JournalMachine(RuleBasedStateMachine):
    """A journal with tiny limits beside a list of everything that was ever said."""

    def __init__(self) -> None:
        super().__init__()
        self.is_full = self.is_unreadable = self.has_been_unreadable = False
        self.said: list[bytes] = []
        self.essential: set[int] = set()
        self.folder = tempfile.TemporaryDirectory()
        self.limits = Limits(memory_bytes=40, spill_bytes=10, segment_bytes=30, disk_bytes=90)
        self.journal = Journal(self.limits, self.make_file)

    def make_file(self) -> File:
        return FailingFile(Path(self.folder.name), self)

    @rule(size=st.integers(1, 60), is_essential=st.booleans())
    def append(self, size: int, is_essential: bool) -> None:
        assert self.journal.next_sequence == len(self.said) + 1
        entry = bytes([len(self.said) % 251]) * size
        self.said.append(entry)
        if is_essential:
            self.essential.add(len(self.said))
        self.journal.append(entry, is_essential=is_essential)

    @rule()
    def make_room(self) -> None:
        self.journal.make_room()
        assert not self.journal.is_nearly_full

    @rule(is_full=st.booleans(), is_unreadable=st.booleans())
    def change_the_disk(self, is_full: bool, is_unreadable: bool) -> None:
        self.is_full, self.is_unreadable = is_full, is_unreadable
        self.has_been_unreadable |= is_unreadable

    @rule(after=st.integers(0, 300), max_bytes=st.integers(1, 100))
    def read(self, after: int, max_bytes: int) -> None:
        start = min(after, len(self.said))
        batch = self.journal.read(after, max_bytes)
        if batch.gap is not None:
            assert batch.gap.first == start + 1
            assert batch.gap.last >= batch.gap.first
            start = batch.gap.last
        data = b"".join(batch.entries)
        assert data == b"".join(self.said[start : batch.cursor])
        assert len(data) <= max_bytes or batch.cursor == start + 1
        assert batch.cursor > start or start == len(self.said)

    @rule()
    def read_from_the_beginning(self) -> None:
        """What was dropped, as the reader is told, and what was kept are together everything."""
        self.is_unreadable = False
        gaps, data = read_pieces(self.journal, 0, max_bytes=25)
        dropped = {number for gap in gaps for number in range(gap.first, gap.last + 1)}
        assert data == b"".join(entry for number, entry in enumerate(self.said, 1) if number not in dropped)
        assert self.has_been_unreadable or not dropped & self.essential

    @invariant()
    def memory_and_disk_are_bounded(self) -> None:
        newest = len(self.said[-1]) if self.said else 0
        assert self.journal.memory_bytes <= max(self.limits.memory_bytes, newest)
        assert self.journal.disk_bytes <= self.limits.disk_bytes

    def teardown(self) -> None:
        self.journal.close()
        self.folder.cleanup()


JournalMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=60)
TestJournal = JournalMachine.TestCase
