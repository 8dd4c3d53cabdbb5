"""Names that users give their saves: text for people, which stands in no path."""

import re
import unicodedata

from remote_kernel.core.errors import UsageError
from remote_kernel.core.text.terminal_text import one_line

MAX_CHARS = 64

_ID = re.compile(r"[0-9a-f]{8}")


def parse_name(text: str) -> str:
    """Return a name in Unicode's composed form, as keyboards and systems differ in how they write an accented letter.

    Raises:
        UsageError: a save cannot have this name.
    """
    name = unicodedata.normalize("NFC", text.strip())
    if not name or len(name) > MAX_CHARS or not name.isprintable():
        shown = one_line(text[:MAX_CHARS]) + ("…" if len(text) > MAX_CHARS else "")
        raise UsageError(f"'{shown}' cannot be the name of a save: use 1 to {MAX_CHARS} characters that can be printed")
    if name.startswith("-"):
        raise UsageError(f"'{name}' looks like an option: a save's name begins with anything else than '-'")
    return name


def is_id(text: str) -> bool:
    """Return whether a text has the form of a save's id."""
    return _ID.fullmatch(text) is not None
