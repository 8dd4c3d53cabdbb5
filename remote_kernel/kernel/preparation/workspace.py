"""Workspace of one kernel: sent before a cell runs, brought back behind it."""

import asyncio
import contextlib
from pathlib import Path

from remote_kernel.client.files.remote_files import RemoteFiles
from remote_kernel.client.files.transfer import Progress, Told, join_sentences
from remote_kernel.client.retry import Wait
from remote_kernel.client.workspace.sync import SyncStatus, WorkspaceSync
from remote_kernel.core.settings import Settings
from remote_kernel.core.text.human_numbers import count_of
from remote_kernel.core.wire.frames import Files
from remote_kernel.core.workspace.totals import Totals
from remote_kernel.kernel.preparation.progress_line import Show, showing
from remote_kernel.kernel.preparation.setting_files import SettingFiles
from remote_kernel.kernel.session.session import Session
from remote_kernel.kernel.session.workspace_choice import DATA_FOLDER, WorkspacePlace


class Workspace:
    """A folder that is kept the same here and in the session of one kernel.

    Args:
        state_file: where it is kept what both sides agreed on.
        notebook: the path of the one that runs, "" where nobody knows it.

    Attributes:
        totals: of what has gone either way.
    """

    def __init__(
        self, session: Session, place: WorkspacePlace, *, state_file: Path, settings: Settings, notebook: str
    ) -> None:
        self.place = place
        self.totals = Totals()
        self._session = session
        self._sync = WorkspaceSync(
            place.root,
            place.folder,
            limits=settings.workspace_limits,
            state_file=state_file,
            patience_seconds=settings.wait_seconds,
            own=_below(notebook, place.root),
            find_settings=SettingFiles(settings, notebook, place.root).find,
        )
        self._turn = asyncio.Lock()
        self._missed = 0  # so often something may have changed in the session that is not here

    @property
    def files(self) -> dict[str, str]:
        """The SHA-256 of each file that is the same here and in the session."""
        return self._sync.agreed

    def watch(self) -> None:
        """Have the pod say from now on what cells change in the workspace."""
        self._session.watch((self.place.folder or DATA_FOLDER) if self.place.brings_back else "")

    async def must_send(self, pod: str) -> bool:
        """Return whether anything is to be sent to a pod; "" for one that is not there yet.

        Raises:
            TransferError: the folder is beyond the limits, or cannot be read.
        """
        if self.is_known_sent(pod):
            return False
        return not pod or pod != self._sync.pod or await asyncio.to_thread(self._sync.has_changed)

    def is_known_sent(self, pod: str) -> bool:
        """Return whether it can be told at once that a pod has all of it; "" for a pod that is not there yet."""
        return bool(pod) and pod == self._sync.pod and self._sync.is_known_unchanged()

    async def send(self, pod: str, progress: Progress) -> list[str]:
        """Send what is new or has changed; return what the user is to be told.

        Args:
            pod: the session's.

        Raises:
            TransferError, PoolError, SessionLost: see `WorkspaceSync.up`.
        """
        if self._sync.pod != pod:
            await asyncio.to_thread(self._sync.forget)
        try:
            told = await self._sync.up(self._files(pod), progress)
        finally:
            self._count(progress)
        return _notes(told)

    async def send_for_cell(self, pod: str, show: Show) -> list[str]:
        """As `send`, for a cell that waits; `show` says in it what it waits for."""
        progress = Progress(is_upload=True, place="the session")
        async with showing(lambda now: describe(progress, now), show):
            return await self.send(pod, progress)

    def is_news(self, said: Files) -> bool:
        """Return whether there may be anything to fetch after what the pod said behind a cell."""
        is_due = self._missed or self._sync.has_left_files
        return bool(is_due or not said.is_whole or said.changed or said.removed)

    async def bring_back(self, pod: str, said: Files | None) -> list[str]:
        """Fetch what a cell has changed; return what the user is to be told.

        Args:
            said: what the pod said of it; `None` to have a look.

        Raises: as `send`. What could not be fetched then is fetched the next time.
        """
        async with self._turn:
            if said is not None and not self.is_news(said):
                return []
            due, self._missed = self._missed + 1, self._missed + 1
            progress = Progress(is_upload=False, place=str(self.place.root))
            try:
                told = await self._sync.down(self._files(pod), progress, said if due == 1 else None)
            finally:
                self._count(progress)
            self._missed -= due
        return _notes(told)

    def _count(self, progress: Progress) -> None:
        up, down, kept_twice = self.totals
        sent = progress.files_done if progress.is_upload else 0
        self.totals = Totals(up + sent, down + progress.fetched, kept_twice + progress.kept_twice)

    def note_gap(self) -> None:
        """Note that the session may have said what has changed, and nobody has heard it."""
        self._missed += 1

    async def look(self) -> SyncStatus:
        """Return what is where; raises `TransferError`, as `send`."""
        return await asyncio.to_thread(self._sync.status)

    def _files(self, pod: str) -> RemoteFiles:
        assert self._session.pool is not None
        return RemoteFiles(self._session.pool, pod)


def describe(progress: Progress, now: float) -> Wait:
    """Return what a cell says that waits for the workspace."""
    if progress.wait is not None or not progress.files:
        return progress.wait or Wait("looking through the workspace")
    which = f"{progress.files_done:,} of {count_of(progress.files, 'file')}"
    return Wait("sending the workspace", f"{which}, {progress.describe(now)}")


def _notes(told: Told) -> list[str]:
    return [*([join_sentences(told.failures)] if told.failures else []), *told.notes]


def _below(notebook: str, root: Path) -> str:
    """Return the path of a notebook below a folder, "" where it is not there."""
    with contextlib.suppress(ValueError):
        return Path(notebook).relative_to(root).as_posix() if notebook else ""
    return ""
