"""Counts of what comes again and again."""

from remote_kernel.core.text.tally import Tally


def test_first_tenth_and_hundredth_are_worth_a_line() -> None:
    tally = Tally()
    assert [number for number in range(1, 1001) if tally.add()] == [1, 10, 100, 1000]
    assert tally.count == 1000
