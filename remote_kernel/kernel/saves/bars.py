"""Bars of saves and restores."""

import time
from dataclasses import dataclass

from remote_kernel.client.saves.progress import SaveProgress
from remote_kernel.kernel.output import style
from remote_kernel.kernel.output.display import Shown

SAVING = "Saving variables"
RESTORING = "Restoring variables"

SAVE_INTERRUPTED = "The save was interrupted: nothing of it is kept, and the save before stays."
RESTORE_INTERRUPTED = (
    "The restore was interrupted: some variables may be back, and others not. Run the cell again to bring back all."
)


@dataclass(slots=True)
class SaveBar:
    """A `Bar` of a save or a restore.

    Attributes:
        done: what is left of it when it is done.
    """

    progress: SaveProgress
    title: str
    interrupted: str
    done: Shown | None = None

    def show(self) -> Shown:
        """See `Bar`."""
        colour = style.WARNING if self.progress.wait else style.ACCENT
        return self._show(self.progress.describe(time.monotonic()), colour)

    def show_stopped(self) -> Shown:
        """See `Bar`."""
        return self._show(f"stopped while {self.progress.step}", style.WARNING)

    def show_done(self) -> Shown:
        """See `Bar`."""
        assert self.done is not None
        return self.done

    def _show(self, detail: str, colour: str) -> Shown:
        name, fraction = self.progress.name, self.progress.fraction
        title = f"{self.title}: {name}" if name else self.title
        return Shown(style.progress(title, detail, fraction, colour=colour), f"{title}: {fraction:.0%}, {detail}")
