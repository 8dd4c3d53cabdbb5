"""The last lines of a log, in memory."""

import logging
from collections import deque
from time import localtime, strftime

from remote_kernel.io.log_files import line_of

MAX_LINES = 200
# A traceback of ours is shorter; what a pod's failure says may not be.
MAX_LINE_LENGTH = 4_000


class RecentLog(logging.Handler):
    """Keeps what the pool has logged of late. The page shows it as it is: identifiers and tokens are never logged."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._lines: deque[str] = deque(maxlen=MAX_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        line = line_of(record, "pool")
        self._lines.append(f"{strftime('%H:%M:%S', localtime(line.at))} {line.event}"[:MAX_LINE_LENGTH])

    @property
    def text(self) -> str:
        """The lines, oldest first."""
        return "\n".join(self._lines)
