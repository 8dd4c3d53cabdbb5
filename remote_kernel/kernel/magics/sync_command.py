"""`%session sync`: the workspace of a notebook, switched on and off, sent at once, and shown."""

from dataclasses import dataclass, field

from remote_kernel.client.files.transfer import Progress
from remote_kernel.client.workspace.sync import IN_BOTH, SyncStatus
from remote_kernel.core.text.human_numbers import count_of
from remote_kernel.core.text.terminal_text import one_line
from remote_kernel.kernel.frontend.channels import Channels
from remote_kernel.kernel.magics.bar import showing
from remote_kernel.kernel.magics.session_command import SyncAction, SyncWish
from remote_kernel.kernel.magics.transfers import show_progress, show_stopped
from remote_kernel.kernel.output import style
from remote_kernel.kernel.output.display import Shown
from remote_kernel.kernel.preparation.preparation import Preparation
from remote_kernel.kernel.preparation.workspace import Workspace
from remote_kernel.kernel.requests.request import Request

# Rows of the table; files that are the same on both sides are counted.
MAX_ROWS = 100


INTERRUPTED = "The sync was interrupted. Run the cell again to go on where it stopped."


@dataclass(slots=True)
class SyncBar:
    """A `Bar` of a workspace.

    Attributes:
        done: the sentence for its end.
        notes: what else the user is to be told then.
    """

    progress: Progress
    done: str = ""
    notes: list[str] = field(default_factory=list)
    interrupted: str = INTERRUPTED

    def show(self) -> Shown:
        """See `Bar`."""
        return show_progress(self.progress)

    def show_stopped(self) -> Shown:
        """See `Bar`."""
        return show_stopped(self.progress)

    def show_done(self) -> Shown:
        """See `Bar`."""
        return _note(" ".join([self.done, *self.notes]), colour=style.WARNING if self.notes else style.GOOD)


class SyncCommand:
    """Performs `%session sync`."""

    def __init__(self, channels: Channels, preparation: Preparation) -> None:
        self._channels = channels
        self._preparation = preparation

    async def choose(self, wish: SyncWish) -> Workspace | None:
        """Do what needs no session; return the workspace that there is then. Raises `RemoteKernelError`."""
        if wish.action is SyncAction.ON:
            await self._preparation.change(wish.folder)
        elif wish.action is SyncAction.OFF:
            await self._preparation.change("")
        else:
            await self._preparation.look()
        return self._preparation.workspace

    async def sync(self, request: Request, workspace: Workspace) -> None:
        """Send and fetch, with a bar and a sentence at the end; raises `RemoteKernelError`."""
        bar = SyncBar(Progress(is_upload=True, place="the session"))
        async with showing(self._channels, request, bar):
            bar.notes = await self._preparation.sync(bar.progress)
            files = count_of((await workspace.look()).in_both, "file")
            bar.done = f"The workspace {workspace.place.root} is in the session: {files}."

    async def show_status(self, workspace: Workspace) -> Shown:
        """Return the table of a workspace; raises `TransferError`."""
        return show_status(str(workspace.place.root), await workspace.look(), brings_back=workspace.place.brings_back)


def _note(sentence: str, *, colour: str = style.ACCENT) -> Shown:
    return Shown(style.note(sentence, colour=colour), sentence)


def show_status(root: str, status: SyncStatus, *, brings_back: bool) -> Shown:
    """Return the table of a workspace: what is not the same on both sides, and how much is."""
    rows = [(one_line(row.path), row.state) for row in status.rows if row.state != IN_BOTH]
    hidden = f" The first {MAX_ROWS} of {len(rows):,} others are shown." if len(rows) > MAX_ROWS else ""
    back = "What cells change comes back." if brings_back else "What cells change stays in the session."
    same = count_of(status.in_both, "file")
    footer = f"{root}: {same} the same here and in the session.{hidden} {back}"
    if not rows:
        return _note(footer, colour=style.GOOD)
    rows = rows[:MAX_ROWS]
    width = max(len(path) for path, _ in rows)
    text = "\n".join([*(f"{path:<{width}}  {state}" for path, state in rows), footer])
    return Shown(style.table(("file", "state"), rows, footer, is_text=True), text)
