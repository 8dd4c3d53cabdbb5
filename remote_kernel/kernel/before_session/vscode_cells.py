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

from remote_kernel.kernel.requests.request import Origin, Request

# VS Code opens a notebook with three or four; its variables view may add some while no cell runs.
MAX_HIDDEN_CELLS = 32

# Every hidden cell of VS Code's own has a name of this kind in it.
_MARK = re.compile(r"\b_{1,2}vsc(?:ode)?_", re.IGNORECASE)

REPLY: Mapping[str, Any] = {"status": "ok", "execution_count": 0, "user_expressions": {}, "payload": []}


class VsCodeCells:
    """The hidden cells that wait for a session; their front end has had a reply."""

    def __init__(self) -> None:
        self._is_vscode = False
        self._kept: deque[Request] = deque(maxlen=MAX_HIDDEN_CELLS)

    def keep(self, request: Request) -> bool:
        """Keep a cell of VS Code's own, which gets a reply of ours; whether it is one."""
        if not (request.is_execute and self._is_hidden(request)):
            return False
        self._kept.append(request)
        return True

    def _is_hidden(self, request: Request) -> bool:
        """Return whether this is a cell of VS Code's own; the user's have a `cellId`, and extensions allow no input."""
        flags = [request.content.get(name) for name in ("store_history", "stop_on_error", "silent", "allow_stdin")]
        if flags != [False, False, False, True] or "cellId" in request.metadata:
            return False
        self._is_vscode = self._is_vscode or bool(_MARK.search(str(request.content.get("code"))))
        return self._is_vscode

    def take(self) -> list[Request]:
        """Return what was kept, to be sent to a session now."""
        taken = list(self._kept)
        self._kept.clear()
        for request in taken:
            request.origin = Origin.HIDDEN
        return taken
