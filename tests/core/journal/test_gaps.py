"""What a journal knows of the entries that it has no more."""

import pytest

from remote_kernel.core.journal.gaps import Dropped, Kept
from remote_kernel.core.wire.frames import Gap


@pytest.fixture
def dropped() -> Dropped:
    """Five entries of 1 to 5 bytes, of which the third was kept."""
    dropped = Dropped(essential_bytes=10)
    dropped.drop(1, [1, 2, 3, 4, 5], {3: b"333"})
    return dropped


def test_gap_has_the_bytes_of_what_was_dropped_and_not_of_what_was_kept(dropped: Dropped) -> None:
    assert dropped.gap(1, 3) == Gap(first=1, last=2, bytes=3)
    assert dropped.gap(4, 6) == Gap(first=4, last=5, bytes=9)


def test_there_is_no_gap_between_neighbours(dropped: Dropped) -> None:
    assert dropped.gap(3, 3) is None


def test_kept_entry_is_found_from_before_it(dropped: Dropped) -> None:
    kept = Kept(3, b"333", 0)
    assert [dropped.next_kept(number) for number in (1, 3, 4)] == [kept, kept, None]


def test_oldest_of_what_was_kept_goes_where_there_is_no_room(dropped: Dropped) -> None:
    dropped.drop(6, [10], {6: b"6" * 10})
    assert dropped.next_kept(1) == Kept(6, b"6" * 10, 0)
    assert dropped.gap(1, 6) == Gap(first=1, last=5, bytes=15)
