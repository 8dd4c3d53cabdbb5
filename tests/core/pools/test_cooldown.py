"""A cooldown as a pool tells it."""

import pytest

from remote_kernel.core.pools.cooldown import DEFAULT_COOLDOWN_SECONDS, parse_cooldown


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("600", 600.0), ("0", 1.0), ("1e9", 86400.0), *[(text, DEFAULT_COOLDOWN_SECONDS) for text in ("", "x", "nan")]],
)
def test_cooldown_is_in_its_range_or_the_default(text: str, seconds: float) -> None:
    assert parse_cooldown(text) == seconds
