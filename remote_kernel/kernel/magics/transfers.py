"""`%session files`, `upload` and `download`: what is seen of them in the cell."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

from remote_kernel.client.files.download import Choice, Download
from remote_kernel.client.files.local_paths import current_folder, expand_user
from remote_kernel.client.files.remote_files import RemoteFiles
from remote_kernel.client.files.transfer import Progress, Told, join_sentences
from remote_kernel.client.files.upload import Upload, UploadPlan, plan_upload
from remote_kernel.core.download_paths import System, find_problem
from remote_kernel.core.errors import PoolRefused, RemoteKernelError, TransferError
from remote_kernel.core.text.human_numbers import count_of, format_bytes
from remote_kernel.core.text.terminal_text import one_line
from remote_kernel.core.wire import files as wire
from remote_kernel.kernel.frontend.channels import Channels
from remote_kernel.kernel.magics import session_command
from remote_kernel.kernel.magics.bar import Bar, showing
from remote_kernel.kernel.magics.command import Command, Verb
from remote_kernel.kernel.output import style
from remote_kernel.kernel.output.display import Shown, note, table
from remote_kernel.kernel.requests.request import Request
from remote_kernel.kernel.session.session import Session

# For somebody who has pressed Tab.
LOOK_SECONDS = 3.0

# A folder with more is listed by those that it begins with.
MAX_ROWS = 200

INTERRUPTED = "The transfer was interrupted. Run the cell again to go on where it stopped."

Plan = Callable[[Request, str], Awaitable[Shown | None]]


class Transfers:
    """Moves files between the notebook's folder, which this process runs in, and the session."""

    def __init__(self, channels: Channels, session: Session) -> None:
        self._channels = channels
        self._session = session

    def parse(self, command: Command) -> Plan:
        """Return what does a command, once there is a session, given its cell and the pod's name.

        Raises:
            UsageError: it cannot be understood, or there is nothing at a path to upload.
        """
        if command.verb is Verb.FILES:
            path = session_command.parse_files(command)
            return lambda _request, pod: self._list(path, pod)
        asked = session_command.parse_transfer(command)
        base = current_folder()
        if command.verb is Verb.DOWNLOAD:
            folder = base / expand_user(asked.to)
            return lambda request, pod: self._download(request, pod, asked, folder)
        plan = partial(plan_upload, asked.paths, to=asked.to, base=base)
        plan()
        return lambda request, pod: self._upload(request, pod, plan, asked.to)

    def _files(self, pod: str) -> RemoteFiles:
        assert self._session.pool is not None
        return RemoteFiles(self._session.pool, pod)

    async def names(self, folder: str, pod: str) -> list[tuple[str, bool]]:
        """Return what is in a folder of the session, and whether it is a folder; nothing where that takes too long.

        What can be no name on one line is left out, as the line that it completes would become code.
        """
        with contextlib.suppress(RemoteKernelError, TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                entries = await self._files(pod).list(folder)
                return [
                    (entry.path, entry.is_folder) for entry in entries if not find_problem(entry.path, System.LINUX)
                ]
        return []

    async def _list(self, path: str, pod: str) -> Shown:
        try:
            entries = await self._files(pod).list(path)
        except PoolRefused as error:
            missing = f"There is no folder '{path}' in the session; '%session files' lists what there is."
            raise TransferError(missing if error.code == wire.FILE_MISSING else f"'{path}': {error}") from None
        return show_entries(path, entries)

    async def _upload(self, request: Request, pod: str, plan: Callable[[], UploadPlan], to: str) -> None:
        progress = Progress(is_upload=True, place=f"'{to}' in the session" if to else "the session")
        upload = Upload(self._files(pod), progress, patience_seconds=self._session.wait_seconds)
        async with showing(self._channels, request, bar := TransferBar(progress)):
            await upload.run(await asyncio.to_thread(plan))
            bar.done = show_done(progress, upload.told)

    async def _download(self, request: Request, pod: str, asked: session_command.Transfer, to: Path) -> None:
        progress = Progress(is_upload=False, place=str(to))
        download = Download(self._files(pod), progress, to=to, patience_seconds=self._session.wait_seconds)
        async with showing(self._channels, request, bar := TransferBar(progress)):
            # Nobody can be asked in a cell.
            choice = Choice.REPLACE if asked.is_forced else Choice.KEEP_BOTH
            await download.run(await download.plan(asked.paths), choice)
            bar.done = show_done(progress, download.told)


class TransferBar(Bar):
    """Bar of a transfer of files."""

    def __init__(self, progress: Progress, interrupted: str = INTERRUPTED) -> None:
        super().__init__(progress, title="Uploading" if progress.is_upload else "Downloading", interrupted=interrupted)
        self._files = progress

    @property
    def title(self) -> str:
        """The title, with the file that it is at, and which of how many that is."""
        progress = self._files
        number = f" ({progress.files_done + 1:,} of {progress.files:,})" if progress.files > 1 else ""
        return f"{self._title} {one_line(progress.name) or '…'}{number}"


def show_done(progress: Progress, told: Told) -> Shown:
    """Return what is left of a transfer when all has arrived that can."""
    failures = [join_sentences(told.failures)] if told.failures else []
    text = " ".join([progress.summarise(time.monotonic()), *told.notes, *failures])
    return note(text, colour=style.WARNING if failures else style.GOOD)


def show_entries(path: str, entries: Sequence[wire.RemoteEntry]) -> Shown:
    """Return the table of a folder."""
    if not entries:
        return note(f"'{path}' is empty." if path else session_command.NO_FILES)
    rows = [
        (
            one_line(f"{entry.path}/" if entry.is_folder else entry.path),
            "" if entry.is_folder else format_bytes(entry.size),
            time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.modified)),
        )
        for entry in entries[:MAX_ROWS]
    ]
    folders = sum(entry.is_folder for entry in entries)
    counts = [count_of(folders, "folder")] if folders else []
    if len(entries) > folders:
        size = sum(entry.size for entry in entries)
        counts.append(f"{count_of(len(entries) - folders, 'file')}, {format_bytes(size)}")
    more = f", of which the first {MAX_ROWS} are shown" if len(entries) > MAX_ROWS else ""
    return table(("name", "size", "modified"), rows, f"{' and '.join(counts)}{more}")
