"""Outcome of a cell: its messages gathered into the one reply that the interpreter API gives."""

import re
from collections import defaultdict
from collections.abc import Mapping
from io import StringIO
from typing import Any

from remote_kernel.core.interpreter_api import values
from remote_kernel.core.interpreter_api.executions import Outcome
from remote_kernel.core.interpreter_api.values import ValueForm

# Colours of a traceback, which mean nothing outside a terminal.
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Gathering:
    """Takes a cell's messages as they come and keeps what the reply has room for.

    Args:
        max_output: characters of stdout, and of stderr; what comes after them is dropped.
        form: how the value is to come back.
    """

    def __init__(self, *, max_output: int, form: ValueForm) -> None:
        self._max_output = max_output
        self._form = form
        self._streams: defaultdict[str, StringIO] = defaultdict(StringIO)
        self._picture: dict[str, str] | None = None
        self._value = values.nothing(form)
        self._error: tuple[str, str] | None = None

    def add(self, msg_type: str, content: Mapping[str, Any]) -> None:
        """Take one message of the cell, on whatever channel."""
        if msg_type == "stream":
            self._print(str(content.get("name")), str(content.get("text", "")))
        elif msg_type in ("execute_result", "display_data", "update_display_data"):
            self._show(msg_type, content.get("data") or {})
        elif msg_type == "error" or (msg_type == "execute_reply" and content.get("status") != "ok"):
            self._fail(content)

    def fail(self, name: str, message: str) -> None:
        """Note that the execution failed for a reason that the cell does not know of."""
        self._error = (name, message)
        self._print("stderr", f"{name}: {message}\n")

    def outcome(self, milliseconds: int) -> Outcome:
        return Outcome(
            stdout=self._streams["stdout"].getvalue(),
            stderr=self._streams["stderr"].getvalue(),
            # A drawing is what people want to see of a cell that ends in `plt.plot(…)`, not the list of its lines.
            value=self._picture or self._value,
            milliseconds=milliseconds,
            error=self._error,
        )

    def _print(self, name: str, text: str) -> None:
        stream = self._streams[name]
        stream.write(text[: self._max_output - stream.tell()])

    def _show(self, msg_type: str, data: Mapping[str, Any]) -> None:
        if picture := values.picture_of(data):
            self._picture = picture
        elif msg_type == "execute_result":
            self._value = values.value_of(data, self._form)

    def _fail(self, content: Mapping[str, Any]) -> None:
        if self._error is not None:
            return  # the reply repeats what was published
        name = str(content.get("ename") or content.get("status") or "Error")
        self._error = (name, str(content.get("evalue", "")))
        lines = content.get("traceback") or [": ".join(part for part in self._error if part)]
        self._print("stderr", _COLOURS.sub("", "\n".join(map(str, lines))) + "\n")
