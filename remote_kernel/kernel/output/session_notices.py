"""Notices about the session, shown in the cell that runs, or in the next one."""

from collections.abc import Callable

from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.core.text.human_numbers import count_of
from remote_kernel.core.wire import frames as wire
from remote_kernel.kernel.frontend.channels import Channels
from remote_kernel.kernel.output import style
from remote_kernel.kernel.output.display import Display, Shown
from remote_kernel.kernel.requests.request import Request

MISSED = "A cell that was left running has gone on and said something; '%session missed' shows it."
FILES_LOST = (
    "The session's pod was gone when this kernel was restarted: this is a new one, and the files of the other are lost."
)
SHARED = (
    "Another kernel uses this notebook's session as well: both have the same variables, and their cells run one after "
    "the other."
)

# More than anybody reads; a pod can cause them.
MAX_WAITING = 20


class SessionNotices:
    """Notes that wait for a cell to be shown in.

    Args:
        find_cell: returns the cell whose output the user is looking at, if there is one.
    """

    def __init__(self, channels: Channels, find_cell: Callable[[], Request | None]) -> None:
        self._channels = channels
        self._find_cell = find_cell
        self._waiting: list[str] = []

    def tell(self, note: str) -> None:
        """Show a note as soon as a cell runs; of very many the first are shown."""
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append(note)
        self.show()

    def show(self) -> None:
        """Show what waits, if a cell runs."""
        if not self._waiting:
            return
        cell = self._find_cell()
        if cell is not None:
            for note in self._waiting:
                shown = Shown(style.note(note, colour=style.WARNING), f"[{note}]")
                Display(self._channels, cell.header).show(shown)
            self._waiting.clear()


def describe_gap(gap: wire.Gap) -> str:
    """Return the note for output that the pod could not keep."""
    count = count_of(gap.last - gap.first + 1, "message")
    return f"{count} of the session, dropped here: it said more than it can keep."


def describe_refusal(error: RemoteKernelError) -> str:
    """Return the note for a message to which nobody expects a reply."""
    return f"A message of the front end was not delivered. {error}"
