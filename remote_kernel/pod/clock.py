"""The time for message headers."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    return datetime.now(UTC)
