"""Waiting line of a cell: counts the time and goes away when the waiting ends."""

import asyncio
import logging
import time
from typing import NamedTuple

from remote_kernel.client.retry import Wait
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.io.tasks import start
from remote_kernel.kernel.frontend.channels import Channels
from remote_kernel.kernel.output import style
from remote_kernel.kernel.output.display import Display, Shown
from remote_kernel.kernel.requests.request import Request

_log = logging.getLogger(__name__)

UPDATE_SECONDS = 1.0


class Patience(NamedTuple):
    """Seconds that a wait may take before anybody is told: nobody needs to be told of less."""

    attended: float = 1.0
    unattended: float = 10.0


PATIENCE = Patience()


class Notice:
    """The line in one cell.

    What executes notebooks by itself keeps a cell's outputs, and much of it passes over `clear_output` (nbval, MyST),
    so that the line would stay in what it writes: there the wait is told once, on standard error and in the log file.

    Args:
        cell: that waits; what it has shown already must stay.
        wait: what to say; may be set anew while the line is shown.
    """

    def __init__(self, channels: Channels, cell: Request, wait: Wait, patience: Patience) -> None:
        self.wait = wait
        self._channels = channels
        self._parent = cell.header
        self._has_output = cell.has_begun
        self._is_for_cell = cell.is_attended or cell.shows_waiting
        self._patience_seconds = patience.attended if cell.is_attended else patience.unattended
        self._display = Display(channels, cell.header)
        self._started = time.monotonic()
        self._task = start(self._run(), "waiting line")

    async def _run(self) -> None:
        await asyncio.sleep(self._patience_seconds)
        if not self._is_for_cell:
            _log.warning(LogEvent("waiting", reason=self.wait.reason, detail=self.wait.detail))
        while self._is_for_cell:
            detail = f" ({self.wait.detail})" if self.wait.detail else ""
            more = f". {self.wait.more}" if self.wait.more else ""
            self._show(f"{self.wait.reason}, {as_clock(time.monotonic() - self._started)}{detail}{more}")
            await asyncio.sleep(UPDATE_SECONDS)

    def _show(self, text: str) -> None:
        self._display.show(Shown(style.line(text), text))

    def close(self) -> None:
        """End the waiting: the line goes, or where other output stands around it, says how long it was."""
        self._task.cancel()
        if not self._display.is_shown:
            return
        if self._has_output:
            self._show(f"{self.wait.reason}: over after {as_clock(time.monotonic() - self._started)}")
        else:
            self._display.clear()


class WaitingLine:
    """The notice in the cell that waits, where there is one."""

    def __init__(self, channels: Channels, patience: Patience = PATIENCE) -> None:
        self._channels = channels
        self._patience = patience
        self._notice: Notice | None = None

    def begin(self, wait: Wait, cell: Request | None) -> None:
        if self._notice is not None:
            self._notice.wait = wait
        elif cell is not None:
            self._notice = Notice(self._channels, cell, wait, self._patience)

    def end(self) -> None:
        notice, self._notice = self._notice, None
        if notice is not None:
            notice.close()


def as_clock(seconds: float) -> str:
    """Return minutes and seconds, as on a clock."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes:02d}:{rest:02d}"
