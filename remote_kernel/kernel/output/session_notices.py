"""Notices about the session, shown in the cell that runs, or in the next one."""

from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.core.text.human_numbers import count_of
from remote_kernel.core.wire import frames as wire
from remote_kernel.kernel.output import display, style
from remote_kernel.kernel.output.display import Shown
from remote_kernel.kernel.requests.effects import Show
from remote_kernel.kernel.requests.request import Request

MISSED = "A cell that was left running has gone on and said something; '%session missed' shows it."
FILES_LOST = (
    "The session's pod was gone when this kernel was restarted: this is a new one, and the files of the other are lost."
)
SHARED = (
    "Another kernel uses this notebook's session as well: both have the same variables, and their cells run one after "
    "the other."
)

STARTED_OTHERWISE = (
    "The interpreter runs as it was started: forwarded variables, the startup file or the workspace have changed "
    "since. Restart the kernel to have them as they are now."
)

# More than anybody reads, in one cell or waiting for one; a pod can cause them.
MAX_WAITING = 20


class SessionNotices:
    """Notes that wait for a cell to be shown in.

    Attributes:
        waiting: what is to be shown.
    """

    def __init__(self) -> None:
        self.waiting: list[Shown] = []
        self._dropped = 0

    def tell(self, note: str, *, colour: str = style.WARNING) -> None:
        """Have a note shown as soon as a cell runs."""
        self.put(_aside(note, colour))

    def withdraw(self, note: str) -> None:
        """Show a note no more that nobody has seen so far."""
        self.waiting = [shown for shown in self.waiting if shown != _aside(note)]

    def put(self, shown: Shown) -> None:
        """Have something shown as soon as a cell runs; of very many the first are shown."""
        if len(self.waiting) < MAX_WAITING:
            self.waiting.append(shown)

    def count(self, gap: wire.Gap) -> None:
        """Have a note shown of the output that the pod could not keep: one of all gaps since the last one."""
        if self._dropped:
            self.waiting = self.waiting[1:]
        self._dropped += gap.last - gap.first + 1
        self.waiting.insert(0, _aside(describe_dropped(self._dropped)))

    def take(self, cell: Request | None) -> list[Show]:
        """Return what waits, to be shown in the cell whose output the user is looking at, if there is one; what is too
        much for one cell waits for the next."""
        if cell is None or cell.notes == MAX_WAITING:
            return []
        room = MAX_WAITING - cell.notes
        shown, self.waiting, self._dropped = self.waiting[:room], self.waiting[room:], 0
        cell.notes += len(shown)
        return [Show(each, cell.header) for each in shown]


def show_note(note: str, cell: Request) -> Show:
    return Show(_aside(note), cell.header)


def _aside(note: str, colour: str = style.WARNING) -> Shown:
    return display.note(note, colour=colour, is_aside=True)


def describe_dropped(count: int) -> str:
    """Return the note for so many messages that the pod could not keep."""
    return f"{count_of(count, 'message')} of the session, dropped here: it said more than it can keep."


def describe_refusal(error: RemoteKernelError) -> str:
    """Return the note for a message to which nobody expects a reply."""
    return f"A message of the front end was not delivered. {error}"


def describe_unknown_launch(wanted: str) -> str:
    """Return the note for a pod whose interpreters start as they come, whatever was asked for."""
    return f"This session goes without {wanted}: its pod has no agent, or an old one, that could see to it."
