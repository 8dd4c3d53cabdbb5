"""Transcript of a cell's outputs for a terminal: lines of text, out of Jupyter messages.

Source of the message types: "Messages on the IOPub channel" of Jupyter's messaging protocol.
"""

import re
from collections.abc import Mapping
from typing import Any

from remote_kernel.core.text.terminal_text import clean, last_start

# Of a line that is still being written so much is shown; a terminal is not wider.
MAX_PENDING_CHARS = 1_000

# A line that is longer goes on in another one: it would be copied with each message that adds to it.
MAX_LINE_CHARS = 100_000

# Text that says no more than that there is something better among the MIME types.
_PLACEHOLDER = re.compile(r"<IPython\.core\.display\.\w+ object>")


class Transcript:
    """Messages in, complete lines out, with no controls but colours; `pending` is a line still being written.

    A carriage return starts the pending line again, as a progress bar expects of a terminal.
    """

    def __init__(self) -> None:
        self._pending = ""
        self._above: list[str] = []  # of an update, the lines before the pending one
        self._stream = ""

    @property
    def pending(self) -> str:
        """The beginning of the line that is still being written, without colours."""
        return clean(self._pending[:MAX_PENDING_CHARS])

    def feed(self, message: Mapping[str, Any]) -> list[str]:
        """Take a message of the IOPub channel and return the lines that it completes; of a malformed one none."""
        content = message["content"]
        match message["msg_type"], content:
            case "stream", {"name": str(name), "text": str(text)}:
                return self._feed_stream(name, text)
            case "update_display_data", {"data": dict(data)}:
                return self._feed_update(describe_data(data))
            case "display_data" | "execute_result", {"data": dict(data)}:
                return [*self.close(), *_clean_lines(describe_data(data))]
            case "error", _:
                return [*self.close(), *_clean_lines("\n".join(traceback_lines(content)))]
            case "clear_output", _:
                self._pending, self._above = "", []
        return []

    def close(self) -> list[str]:
        """End the pending line, if there is one, and return it; of an update, with the lines above it."""
        lines, self._pending, self._above = [*self._above, self._pending], "", []
        *above, last = (clean(line, keeps_colours=True) for line in lines)
        return [*above, last] if above or last else []

    def _switch(self, stream: str) -> list[str]:
        """Show the streams as blocks of their own, as a notebook does."""
        lines = self.close() if stream != self._stream else []
        self._stream = stream
        return lines

    def _feed_stream(self, name: str, text: str) -> list[str]:
        lines = self._switch(name)
        first, *rest = text.split("\n")
        *complete, pending = [self._pending + first, *rest]
        # What a return has overwritten goes at once: a progress bar may write its line for hours.
        self._pending = pending[last_start(pending) :]
        if len(self._pending) > MAX_LINE_CHARS:
            complete.append(self._pending)
            self._pending = ""
        return [*lines, *(clean(line, keeps_colours=True) for line in complete)]

    def _feed_update(self, text: str) -> list[str]:
        """Hold an update back until something else comes, as the next may take its place: it may be the thousandth."""
        lines = self._switch("update")
        *self._above, self._pending = text.rstrip().split("\n")
        return lines


def _clean_lines(text: str) -> list[str]:
    return clean(text, keeps_colours=True).split("\n")


def describe_data(data: Mapping[str, Any]) -> str:
    """Return the text for a MIME bundle; a short note such as "[image/png, 23 kB]" where text cannot show it."""
    if picture := next((mime for mime in data if mime.startswith("image/")), None):
        return _note(picture, data[picture])
    for mime in ("text/markdown", "text/latex", "text/plain"):
        text = data.get(mime)
        if isinstance(text, str) and not _PLACEHOLDER.fullmatch(text):
            return text
    mime = next((mime for mime in data if mime != "text/plain"), "text/plain")
    return _note(mime, data.get(mime, ""))


def _note(mime: str, value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    is_base64 = mime.startswith("image/") and not mime.endswith("+xml")
    return f"[{mime}, {_size(len(text) * 3 // 4 if is_base64 else len(text))}]"


def _size(count: int) -> str:
    for unit, factor in (("MB", 1_000_000), ("kB", 1_000)):
        if count >= factor:
            return f"{count / factor:,.0f} {unit}"
    return f"{count} bytes"


def traceback_lines(content: Mapping[str, Any]) -> list[str]:
    """Return the lines of an `error` message or output; a kernel without tracebacks still has name and value."""
    trace = content.get("traceback")
    text = "\n".join(map(str, trace)) if isinstance(trace, list) else ""
    text = text or f"{content.get('ename')}: {content.get('evalue')}"
    return text.split("\n")
