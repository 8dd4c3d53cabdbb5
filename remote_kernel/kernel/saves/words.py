"""Words for saves, as they stand in notes, tables and errors."""

import time
from collections.abc import Mapping

from remote_kernel.core.errors import SessionLost
from remote_kernel.core.saves.manifest import Manifest
from remote_kernel.core.saves.save import Save
from remote_kernel.core.text.human_numbers import count_of
from remote_kernel.core.text.terminal_text import one_line

LARGER = " An older one has much more: '%session saves' lists it."

_WEEK_SECONDS = 6 * 86400.0


def moment(when: float, now: float) -> str:
    """Return a time (seconds since 1970) as one says it at `now`: today's by the clock, others by day or date."""
    at, today = time.localtime(when), time.localtime(now)
    if at[:3] == today[:3]:
        return time.strftime("%H:%M", at)
    return time.strftime("%a %H:%M" if 0 <= now - when < _WEEK_SECONDS else "%Y-%m-%d %H:%M", at)


def title(save: Save, now: float) -> str:
    """Return what to call a save in a sentence."""
    name = f" '{save.name}'" if save.name else ""
    return f"the save{name} of {moment(save.saved_at, now)}"


def amount(manifest: Manifest) -> str:
    """Return how many of the variables a save has."""
    if not manifest.lost_count:
        return count_of(manifest.saved, "variable")
    return f"{manifest.saved:,} of {count_of(manifest.variables, 'variable')}"


def changed_files(save: Save, files: Mapping[str, str] | None) -> list[str]:
    """Return what to say of files of the workspace that are others than a save has seen, given theirs by path."""
    seen = save.files if files is not None else None
    changed = [path for path, sha256 in (seen or {}).items() if (files or {}).get(path) != sha256]
    if not changed:
        return []
    more = f" and {count_of(len(changed) - 1, 'other file')}" if len(changed) > 1 else ""
    return [f"'{one_line(changed[0])}'{more} of the workspace changed since the save."]


def with_save(
    loss: SessionLost, save: Save, now: float, *, is_automatic: bool, has_larger: bool = False
) -> SessionLost:  # fmt: skip
    """Return a loss that says as well what is saved.

    Args:
        is_automatic: whether the next session begins with it.
        has_larger: whether an earlier session has left one with much more.
    """
    saved = f"{title(save, now)}: {amount(save.manifest)}"
    how = "The next cell begins with" if is_automatic else "Or '%session restore' brings back"
    return SessionLost(f"{loss} {how} {saved}.{LARGER if has_larger else ''}")


def remind(save: Save, now: float, *, has_larger: bool = False) -> str:
    """Return what to say of a save in a session that begins without it."""
    saved = f"{title(save, now)}: {amount(save.manifest)}"
    return f"This session is new: '%session restore' brings back {saved}.{LARGER if has_larger else ''}"
