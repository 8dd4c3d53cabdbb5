"""History of a notebook's cells: kept here, and asked for before there is a session, whose kernel has one of its own.

Source: `history_request` in "Messaging in Jupyter", and what IPython's kernel makes of it.
"""

import logging
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.kernel.before_session.history_file import Entry, HistoryFile, can_keep

_log = logging.getLogger(__name__)

# So many cells may wait for somebody to know the notebook, which the first one finds out.
MAX_UNNAMED = 100

# How long the kernel's end waits for the last cell to be written.
CLOSE_SECONDS = 0.5


class History:
    """History of the notebook of one kernel.

    Cells are kept that a person has run: what executes notebooks by itself allows no input, and what front ends run for
    themselves is silent or asks for no history. They are written by a thread, as a home folder on a network may take
    its time, or all the time there is.

    Args:
        data_folder: Jupyter's; `None` where nothing is to be kept, nor shown.
    """

    def __init__(self, data_folder: Path | None) -> None:
        self._data_folder = data_folder
        self._file: HistoryFile | None = None
        self._unnamed: deque[str] = deque(maxlen=MAX_UNNAMED)
        self._codes: SimpleQueue[str | None] = SimpleQueue()
        self._writer: threading.Thread | None = None

    def open(self, owner: str) -> None:
        """Note what names the notebook; what was run before anybody knew is kept from now on."""
        if self._data_folder is not None and self._file is None:
            self._file = HistoryFile(self._data_folder, owner)
            for code in self._unnamed:
                self._append(code)
        self._unnamed.clear()

    def note(self, request: Mapping[str, Any]) -> None:
        """Keep the code of an `execute_request` with this content."""
        code = request.get("code")
        is_shown = request.get("silent") is not True and bool(request.get("store_history", True))
        is_typed = is_shown and request.get("allow_stdin") is True
        if self._data_folder is None or not is_typed or not isinstance(code, str) or not can_keep(code):
            return
        if self._file is None:
            self._unnamed.append(code)
        else:
            self._append(code)

    def _append(self, code: str) -> None:
        self._codes.put(code)
        if self._writer is None:
            self._writer = threading.Thread(target=self._write, daemon=True, name="history")
            self._writer.start()

    def _write(self) -> None:
        assert self._file is not None
        while (code := self._codes.get()) is not None:
            try:
                self._file.append(code)
            except Exception:
                _log.exception(LogEvent("failed inside", task="history"))

    def close(self) -> None:
        """Return when all is written, or after `CLOSE_SECONDS`."""
        writer, self._writer = self._writer, None
        if writer is not None:
            self._codes.put(None)
            writer.join(CLOSE_SECONDS)

    def read(self, owner: str, request: Mapping[str, Any]) -> list[list[Any]]:
        """Return the `history` of the reply to a `history_request` with this content.

        Args:
            owner: as for `open`.
        """
        if self._data_folder is None:
            return []
        file = self._file or HistoryFile(self._data_folder, owner)
        entries = file.read()
        current = file.session or max((entry.session for entry in entries), default=0) + 1
        is_with_output = request.get("output") is True  # which nobody keeps
        return [
            [entry.session, entry.line, [entry.code, None] if is_with_output else entry.code]
            for entry in select(entries, request, current)
        ]


def select(entries: Sequence[Entry], request: Mapping[str, Any], current: int) -> Sequence[Entry]:
    """Return the entries that a `history_request` with this content asks for, in order.

    Args:
        current: the session that the request is made in.
    """
    match request.get("hist_access_type"):
        case "tail":
            return _last(entries, request.get("n"))
        case "range":
            session, start, stop = (_number(request.get(name)) for name in ("session", "start", "stop"))
            session = session if session > 0 else session + current
            return [
                each for each in entries if each.session == session and start <= each.line < (stop or each.line + 1)
            ]
        case "search":
            pattern = str(request.get("pattern") or "*").replace("[^", "[!")  # as SQLite's GLOB, which IPython asks
            found = [entry for entry in entries if fnmatchcase(entry.code, pattern)]
            if request.get("unique") is True:
                latest = {entry.code: entry for entry in found}
                found = [entry for entry in found if latest[entry.code] is entry]
            return _last(found, request.get("n"))
    return []


def _last(entries: Sequence[Entry], count: object) -> Sequence[Entry]:
    """Return the last entries; all of them, where `count` is no number of any."""
    return entries[max(len(entries) - count, 0) :] if isinstance(count, int) and count >= 0 else entries


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
