"""Hidden cells of VS Code, kept from a notebook's opening until there is a session to run them in.

VS Code runs cells of its own as soon as a kernel is ready, and waits for their end before it believes in the kernel.
Looking at a notebook must not take a session: until a cell of the user needs one, these cells are answered here and
kept. They go ahead of the first one that needs the session.

Source: microsoft/vscode-jupyter, `executeSilently` in `src/kernels/helpers.ts`, `initializeAfterStart` in
`src/kernels/kernel.ts`.
"""

import re
from collections import deque
from collections.abc import Mapping
from typing import Any

from remote_kernel.core.jupyter.messages import parse_header, parse_object, parse_parent
from remote_kernel.core.wire.frames import Message

# VS Code opens a notebook with three or four; its variables view may add some while no cell runs.
MAX_HIDDEN_CELLS = 32

# Every hidden cell of VS Code's own has a name of this kind in it.
_MARK = re.compile(r"\b_{1,2}vsc(?:ode)?_", re.IGNORECASE)

_REPLY: Mapping[str, Any] = {"status": "ok", "execution_count": 0, "user_expressions": {}, "payload": []}


class VsCodeCells:
    """The hidden cells that wait for a session, and those whose outcome nobody waits for any more."""

    def __init__(self) -> None:
        self._is_vscode = False
        self._kept: deque[Message] = deque(maxlen=MAX_HIDDEN_CELLS)
        self._sent: set[str] = set()

    def answer(self, msg_type: str, message: Message) -> tuple[str, dict[str, Any]] | None:
        """Return type and content of our reply to VS Code, having kept a cell; `None` for what needs a session."""
        if msg_type != "execute_request" or not self._is_hidden(message):
            return None
        self._kept.append(message)
        return "execute_reply", dict(_REPLY)

    def _is_hidden(self, message: Message) -> bool:
        """Return whether this is a cell of VS Code's own; the user's have a `cellId`, and extensions allow no input."""
        content = parse_object(message.parts[3])
        flags = [content.get(name) for name in ("store_history", "stop_on_error", "silent", "allow_stdin")]
        if flags != [False, False, False, True] or "cellId" in parse_object(message.parts[2]):
            return False
        self._is_vscode = self._is_vscode or bool(_MARK.search(str(content.get("code"))))
        return self._is_vscode

    def take(self) -> list[Message]:
        """Return what was kept, to be sent to a session now."""
        taken = list(self._kept)
        self._kept.clear()
        self._sent.update(parse_header(message.parts[0]).msg_id for message in taken)
        return taken

    def has_ended_before(self, message: Message) -> bool:
        """Return whether this iopub message belongs to a cell that its front end takes for ended long ago."""
        if not self._sent or (msg_id := parse_parent(message.parts[1]).msg_id) not in self._sent:
            return False
        if b'"idle"' in message.parts[3] and parse_header(message.parts[0]).msg_type == "status":
            self._sent.remove(msg_id)
        return True

    def close(self) -> None:
        """Forget the cells that were sent: the session has begun with one behind them."""
        self._sent.clear()
