"""Times as people say them."""

from datetime import datetime

import pytest

from remote_kernel.core.text.human_times import format_moment

NOW = datetime(2026, 11, 30, 14, 30)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (datetime(2026, 11, 30, 12, 5), "12:05"),
        (datetime(2026, 11, 30, 0, 0), "00:00"),
        (datetime(2026, 11, 30, 23, 59), "23:59"),
        (datetime(2026, 11, 29, 23, 59), f"{datetime(2026, 11, 29):%a} 23:59"),
        (datetime(2026, 11, 25, 9, 0), f"{datetime(2026, 11, 25):%a} 09:00"),
        (datetime(2026, 11, 23, 9, 0), "2026-11-23 09:00"),
        (datetime(2025, 11, 30, 12, 5), "2025-11-30 12:05"),
        (datetime(2026, 12, 1, 8, 0), "2026-12-01 08:00"),
    ],
)
def test_a_time_is_said_as_short_as_it_is_clear(at: datetime, expected: str) -> None:
    assert format_moment(at.timestamp(), NOW.timestamp()) == expected
