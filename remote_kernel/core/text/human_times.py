"""Times as people say them."""

from datetime import datetime, timedelta

# A day of the week means one that is not longer ago.
_DAYS = timedelta(days=6)


def format_moment(at: float, now: float) -> str:
    """Return a time as one says it at `now`, both in seconds since 1970: "12:05", "Mon 12:05", "2026-11-30 12:05"."""
    moment, today = datetime.fromtimestamp(at), datetime.fromtimestamp(now)
    if moment.date() == today.date():
        return f"{moment:%H:%M}"
    is_near = timedelta() <= today - moment < _DAYS
    return f"{moment:%a %H:%M}" if is_near else f"{moment:%Y-%m-%d %H:%M}"
