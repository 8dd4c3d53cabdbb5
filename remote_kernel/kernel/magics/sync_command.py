"""`%session sync`: the workspace of a notebook, switched on and off, sent at once, and shown."""

from remote_kernel.client.files.transfer import Progress
from remote_kernel.client.workspace.sync import IN_BOTH
from remote_kernel.core.text.human_numbers import count_of
from remote_kernel.core.text.terminal_text import one_line
from remote_kernel.kernel.frontend.channels import Channels
from remote_kernel.kernel.magics.bar import showing
from remote_kernel.kernel.magics.session_command import SyncAction, SyncWish
from remote_kernel.kernel.magics.transfers import TransferBar
from remote_kernel.kernel.output import style
from remote_kernel.kernel.output.display import Shown, note, table
from remote_kernel.kernel.preparation.preparation import Preparation
from remote_kernel.kernel.preparation.workspace import Workspace
from remote_kernel.kernel.requests.request import Request

# Rows of the table; files that are the same on both sides are counted.
MAX_ROWS = 100


INTERRUPTED = "The sync was interrupted. Run the cell again to go on where it stopped."


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
        progress = Progress(is_upload=True, place="the session")
        bar = TransferBar(progress, INTERRUPTED)
        async with showing(self._channels, request, bar):
            notes = await self._preparation.sync(progress)
            files = count_of((await workspace.look()).in_both, "file")
            text = " ".join([f"The workspace {workspace.place.root} is in the session: {files}.", *notes])
            bar.done = note(text, colour=style.WARNING if notes else style.GOOD)

    async def show_status(self, workspace: Workspace) -> Shown:
        """Return the table of what is not the same on both sides, and how much is; raises `TransferError`."""
        place, status = workspace.place, await workspace.look()
        rows = [(one_line(row.path), row.state) for row in status.rows if row.state != IN_BOTH]
        hidden = f" The first {MAX_ROWS} of {len(rows):,} others are shown." if len(rows) > MAX_ROWS else ""
        back = "What cells change comes back." if place.brings_back else "What cells change stays in the session."
        same = count_of(status.in_both, "file")
        footer = f"{place.root}: {same} the same here and in the session.{hidden} {back}"
        if not rows:
            return note(footer, colour=style.GOOD)
        return table(("file", "state"), rows[:MAX_ROWS], footer, is_text=True)
