"""Hold of a process: it is stopped where it is, for any number of reasons, and goes on when there is none left."""

import contextlib
import os
import signal


class Hold:
    """Sends SIGSTOP for the first reason, and SIGCONT when the last one has gone.

    Attributes:
        pid: the process; `None` where there is none to send anything to.
    """

    def __init__(self) -> None:
        self.pid: int | None = None
        self._reasons: set[str] = set()

    def change(self, reason: str, is_held: bool) -> None:
        """Hold the process for `reason`, or for that one no longer."""
        was_held = bool(self._reasons)
        (self._reasons.add if is_held else self._reasons.discard)(reason)
        if was_held != bool(self._reasons) and self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGSTOP if self._reasons else signal.SIGCONT)

    def end(self) -> None:
        """Let the process go on, whatever it is held for."""
        for reason in list(self._reasons):
            self.change(reason, False)
