"""Numbers as people read them."""

import pytest

from remote_kernel.core.text.human_numbers import count_of, format_bytes, format_seconds


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_940, "999.9 kB"), (999_990, "1.0 MB"),
        (200_000_000, "200.0 MB"), (25_300_000_000, "25.3 GB"), (3.2e13, "32.0 TB"),
    ],
)  # fmt: skip
def test_sizes_have_the_unit_that_fits(count: float, text: str) -> None:
    assert format_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.042, "42 ms"), (1.0, "1.0 s"), (9.96, "10.0 s"), (12.3, "12 s"), (59.7, "1 min"), (90, "1 min 30 s"),
        (300, "5 min"), (1510, "25 min"), (3599.8, "1 h"), (3900, "1 h 5 min"), (7200, "2 h"),
    ],
)  # fmt: skip
def test_durations_have_one_or_two_units(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_nouns_agree_with_their_count() -> None:
    assert [count_of(count, "file") for count in (0, 1, 1200)] == ["0 files", "1 file", "1,200 files"]
