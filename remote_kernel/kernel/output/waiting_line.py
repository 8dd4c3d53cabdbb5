"""Waiting line of a cell: counts the time and goes away when the waiting ends."""

import asyncio
import time

from remote_kernel.client.retry import Wait
from remote_kernel.io.tasks import start
from remote_kernel.kernel.frontend.channels import Channels
from remote_kernel.kernel.output import style
from remote_kernel.kernel.output.display import Display, Shown
from remote_kernel.kernel.requests.request import Request

# Nobody needs to be told of less. Under what executes a notebook by itself the line is for a log, if anybody, and an
# output too many for what compares outputs, such as nbval, which does not know that it goes away.
PATIENCE_SECONDS = 1.0
UNATTENDED_PATIENCE_SECONDS = 10.0
UPDATE_SECONDS = 1.0


class Notice:
    """The line in one cell.

    Args:
        cell: that waits; what it has shown already must stay.
        wait: what to say; may be set anew while the line is shown.
    """

    def __init__(self, channels: Channels, cell: Request, wait: Wait) -> None:
        self.wait = wait
        self._channels = channels
        self._parent = cell.header
        self._has_output = cell.has_begun
        self._patience_seconds = PATIENCE_SECONDS if cell.is_attended else UNATTENDED_PATIENCE_SECONDS
        self._display = Display(channels, cell.header)
        self._started = time.monotonic()
        self._task = start(self._run(), "waiting line")

    async def _run(self) -> None:
        await asyncio.sleep(self._patience_seconds)
        while True:
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
            self._channels.say("clear_output", {"wait": False}, self._parent)


class WaitingLine:
    """The notice in the cell that waits, where there is one."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels
        self._notice: Notice | None = None

    def begin(self, wait: Wait, cell: Request | None) -> None:
        """Say in a cell what is waited for, from now on."""
        if self._notice is not None:
            self._notice.wait = wait
        elif cell is not None:
            self._notice = Notice(self._channels, cell, wait)

    def end(self) -> None:
        """Say that the waiting is over."""
        notice, self._notice = self._notice, None
        if notice is not None:
            notice.close()


def as_clock(seconds: float) -> str:
    """Return minutes and seconds, as on a clock."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes:02d}:{rest:02d}"
