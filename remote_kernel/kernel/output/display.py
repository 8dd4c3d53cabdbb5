"""Outputs of our own in a cell: HTML for front ends that show it, with a twin in plain text."""

import secrets
from collections.abc import Sequence
from typing import NamedTuple

from remote_kernel.core.text.terminal_text import aligned, escape
from remote_kernel.kernel.frontend.channels import Channels
from remote_kernel.kernel.output import style


class Shown(NamedTuple):
    """One thing to show, in both forms."""

    html: str
    text: str


def note(text: str, *, colour: str = style.ACCENT, is_aside: bool = False) -> Shown:
    """Return a note of one or a few sentences; as text, one beside a cell's own output is in brackets."""
    return Shown(style.note(text, colour=colour), f"[{text}]" if is_aside else text)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], footer: str, *, is_text: bool = False) -> Shown:
    """Return a table, its first column to the left, and the others to the right unless they are text."""
    lines = aligned(rows, right=() if is_text else range(1, len(heads)))
    return Shown(style.table(heads, rows, footer, is_text=is_text), "\n".join([*lines, footer]))


class Display:
    """A place in a cell's output.

    Args:
        parent: header part of the cell's `execute_request`.

    Attributes:
        is_shown: whether anything has been shown there.
    """

    def __init__(self, channels: Channels, parent: bytes) -> None:
        self.is_shown = False
        self._channels = channels
        self._parent = parent
        self._display_id = secrets.token_hex(8)

    def show(self, shown: Shown) -> None:
        """Show something, in place of what was there before."""
        msg_type = "update_display_data" if self.is_shown else "display_data"
        self.is_shown = True
        # Some of it are a pod's words and names, and some front ends are terminals.
        content = {
            "data": {"text/plain": escape(shown.text), "text/html": escape(shown.html)},
            "metadata": {},
            "transient": {"display_id": self._display_id},
        }
        self._channels.say(msg_type, content, self._parent)

    def clear(self) -> None:
        """Take away what has been shown, with all else that the cell has shown so far.

        Where `clear_output` is passed over, nothing is left of it but its place.
        """
        content = {"data": {}, "metadata": {}, "transient": {"display_id": self._display_id}}
        self._channels.say("update_display_data", content, self._parent)
        self._channels.say("clear_output", {"wait": False}, self._parent)
        self.is_shown = False
