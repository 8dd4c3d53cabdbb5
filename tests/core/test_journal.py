"""The journal: numbers without holes, a bound, and readers that come late."""

from hypothesis import given
from hypothesis import strategies as st

from remote_kernel.core.journal import Journal
from remote_kernel.core.wire import Gap

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
    journal = Journal(max_bytes=10)
    for entry in (b"11111", b"22222", b"33333"):
        journal.append(entry)
    batch = journal.read(0, UNLIMITED)
    assert (batch.gap, batch.entries) == (Gap(first=1, last=1), [b"22222", b"33333"])
    assert journal.read(1, UNLIMITED).gap is None


def test_the_newest_entry_stays_whatever_its_size() -> None:
    journal = Journal(max_bytes=10)
    journal.append(b"1")
    journal.append(b"2" * 100)
    assert journal.read(1, UNLIMITED).entries == [b"2" * 100]


def test_a_cursor_beyond_the_end_is_the_end() -> None:
    journal = Journal()
    journal.append(b"1")
    batch = journal.read(99, UNLIMITED)
    assert (batch.gap, batch.entries, batch.cursor) == (None, [], 1)


@given(st.lists(st.binary(min_size=1, max_size=20)), st.integers(1, 60), st.integers(1, 60), st.integers(0, 40))
def test_a_reader_sees_every_entry_once_or_in_a_gap(
    entries: list[bytes], max_bytes: int, batch_bytes: int, late: int
) -> None:
    journal = Journal(max_bytes=max_bytes)
    cursor = 0
    seen: list[tuple[int, bytes | None]] = []
    for number, entry in enumerate(entries, 1):
        assert journal.next_sequence == number
        journal.append(entry)
        if number >= late:
            cursor = _read_once(journal, cursor, batch_bytes, seen)
    while cursor < journal.last_sequence:
        cursor = _read_once(journal, cursor, batch_bytes, seen)
    assert [number for number, _ in seen] == list(range(1, len(entries) + 1))
    assert all(entry is None or entry == entries[number - 1] for number, entry in seen)


def _read_once(journal: Journal, cursor: int, max_bytes: int, seen: list[tuple[int, bytes | None]]) -> int:
    batch = journal.read(cursor, max_bytes)
    if batch.gap:
        seen += [(number, None) for number in range(batch.gap.first, batch.gap.last + 1)]
    first = batch.cursor - len(batch.entries) + 1
    seen += [(first + index, entry) for index, entry in enumerate(batch.entries)]
    return batch.cursor
