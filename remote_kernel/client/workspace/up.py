"""Files of the workspace here to the session: many small ones in one request, large ones in pieces."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import accumulate, islice

from remote_kernel.client.files.patient_files import PatientFiles, if_there
from remote_kernel.client.files.transfer import Told
from remote_kernel.client.files.upload import LocalItem, send_file
from remote_kernel.client.workspace.admission import There
from remote_kernel.client.workspace.comparison import Changes
from remote_kernel.client.workspace.down import Down
from remote_kernel.client.workspace.local_files import LocalFiles, folders_above
from remote_kernel.client.workspace.stamps import Measured, is_racy
from remote_kernel.core.download_paths import join, shown
from remote_kernel.core.errors import PoolRefused, TransferError
from remote_kernel.core.wire import files as wire
from remote_kernel.core.wire.file_batches import MAX_FILES, BatchFile, FileVersion, packed_bytes, take_batch
from remote_kernel.core.workspace.base import EXECUTABLE, NO_STAMP, Agreed, Base, Stamp
from remote_kernel.core.workspace.plan import Action, Change, decide

# A file that changes while it is sent is sent again.
TRIES = 3

# So few files are asked about one by one; for more of them a list of all is quicker.
MAX_QUESTIONS = 4

_RESTLESS = "'{}' changes all the time, and was not sent."


class Up:
    """Sends what has changed here.

    Args:
        folder: the workspace in the session.
        down: brings what has changed there as well.
        told: takes sentences about what the user may not expect.
        failed: takes the files that cannot be sent as they are.
    """

    def __init__(
        self, files: PatientFiles, folder: str, local: LocalFiles, base: Base, down: Down, told: Told,
        failed: dict[str, Stamp],
    ) -> None:  # fmt: skip
        self._files = files
        self._folder = folder
        self._local = local
        self._base = base
        self._progress = files.progress
        self._down = down
        self._told = told
        self._failed = failed
        self._settled: Counter[str] = Counter()

    async def run(self, changes: Changes) -> None:
        """Make the session have what is here.

        Raises:
            TransferError: what the session does not understand.
            PoolError, SessionLost: what has been done is noted in the base.
        """
        there = await self._look_there(changes)
        paths, clashing = await self._settle(changes.files, there)
        self._progress.files = len(paths)
        self._progress.bytes = sum(changes.files[path][2] for path in paths)
        await self._remove(
            [*changes.removed, *clashing], folders=[*_folders_in_the_way(changes.files, there), *changes.gone]
        )
        self._base.folders.difference_update(changes.gone)
        await self._send_all([(path, changes.files[path]) for path in paths])
        for folder in changes.folders:
            await self._make_folder(folder)

    async def _look_there(self, changes: Changes) -> Mapping[str, There | None]:
        """Return what is there in the places of files that have changed here, and more; folders are `None`."""
        if not changes.files:
            return {}
        if len(changes.files) > MAX_QUESTIONS or not all(map(self._is_simple, changes.files)):
            return await self._down.list_there()
        there: dict[str, There | None] = {}
        for path in changes.files:
            metadata = await self._describe(path)
            if metadata is None and "/" not in path:
                continue
            if metadata is None or metadata.is_folder:
                return await self._down.list_there()
            there[path] = There(size=metadata.size, version=metadata.version)
        return there

    def _is_simple(self, path: str) -> bool:
        """Return whether a file has to be asked about alone, and not also what is in the place of its folder."""
        agreed = self._base.files.get(path)
        return "/" not in path or (agreed is not None and bool(agreed.version))

    async def _describe(self, path: str) -> wire.Metadata | None:
        return await if_there(self._files.describe(join(self._folder, path)))

    async def _settle(
        self, changed: Mapping[str, Stamp], there: Mapping[str, There | None]
    ) -> tuple[list[str], list[str]]:
        """Save here what has changed there, too; return what is to be sent, and what is in the way there."""
        paths = []
        for path, stamp in sorted(changed.items()):
            found = there.get(path)
            change = self._base.change_there(path, found.version if found else "")
            if found is None or decide(Change.CHANGED, change) is Action.SEND:
                paths.append(path)
                continue
            self._progress.name = path
            if not await self._down.take(path, found):
                self._failed[path] = stamp
            elif not self._is_alike(path):
                paths.append(path)
        return paths, await self._settle_clashes(changed, there)

    def _is_alike(self, path: str) -> bool:
        """Return whether a file that was compared is the same on both sides."""
        agreed = self._base.files.get(path)
        return agreed is not None and agreed.stamp == self._local.stamp(path) and bool(agreed.version)

    async def _settle_clashes(self, changed: Mapping[str, Stamp], there: Mapping[str, There | None]) -> list[str]:
        """Save here files that are there where folders are to be, or the other way round; return their paths."""
        if len(there) <= MAX_QUESTIONS:
            clashes = self._find_clashes(changed, there)
        else:
            clashes = await asyncio.to_thread(self._find_clashes, changed, there)
        return [path for path, found in clashes if await self._down.take(path, found)]

    def _find_clashes(self, changed: Mapping[str, Stamp], there: Mapping[str, There | None]) -> list[tuple[str, There]]:
        """Return the files there that are in the way and may come here, as many as may be here at most."""
        folders, refusals = {folder for path in changed for folder in folders_above(path)}, self._local.refusals(())
        clashes = (
            (path, found)
            for path, found in there.items()
            if found is not None
            and (path in folders or any(above in changed for above in folders_above(path)))
            and refusals.looks < self._local.limits.max_entries
            and refusals.find(path) is None
        )
        return [*islice(clashes, self._local.limits.max_files)]

    async def _remove(self, paths: Sequence[str], *, folders: Sequence[str]) -> None:
        """Remove files there, and then folders that are empty."""
        agreed = {path: self._base.files[path] for path in paths if path in self._base.files}
        wanted = [FileVersion(path=path, version=each.version) for path, each in agreed.items() if each.version]
        wanted += [FileVersion(path=folder, version="") for folder in folders]
        for start in range(0, len(wanted), MAX_FILES):
            await self._remove_some(wanted[start : start + MAX_FILES])

    async def _remove_some(self, files: Sequence[FileVersion]) -> None:
        try:
            answer = await self._files.remove(files, folder=self._folder)
        except PoolRefused as error:
            self._told.failures.append(f"What was removed here stays in the session: {error}")
            return
        for path in answer.removed:
            self._base.files.pop(path, None)
        for path in set(answer.kept) & {file.path for file in files if file.version}:
            await self._find_out_about_kept(path)

    async def _find_out_about_kept(self, path: str) -> None:
        """Bring a file again that was removed here and has changed there."""
        metadata = await self._describe(path)
        if metadata is None or metadata.is_folder or self._local.refuse(path) is not None:
            self._base.files.pop(path, None)
            return
        await self._down.take(path, There(size=metadata.size, version=metadata.version))

    async def _make_folder(self, folder: str) -> None:
        try:
            await self._files.make_folder(join(self._folder, folder))
        except PoolRefused as error:
            if error.status != HTTPStatus.BAD_REQUEST:  # where a file is there, that is what will be told
                self._told.failures.append(f"The folder '{shown(folder)}' was not made in the session: {error}")
        self._base.folders.add(folder)

    async def _send_all(self, files: Iterable[tuple[str, Stamp]]) -> None:
        """Send files: small ones together, the others one by one."""
        queue = deque(sorted(files, key=lambda file: file[1][2] >= self._files.piece.bytes))
        while queue:
            small = take_batch(queue, self._files.piece.bytes, lambda file: (file[0], file[1][2]))
            if not small:
                await self._send_large(*queue.popleft())
            elif batch := await asyncio.to_thread(self._read_all, small):
                queue.extendleft(reversed(await self._send_batch(batch)))

    def _read_all(self, files: Iterable[tuple[str, Stamp]]) -> "list[_Read]":
        """Read small files that can be read."""
        batch: list[_Read] = []
        for path, stamp in files:
            try:
                measured = self._local.measure(path, max_content=stamp[2])
            except FileNotFoundError:
                continue  # removed meanwhile
            except OSError as error:
                self._fail(path, stamp, f"'{shown(path)}' cannot be read: {error.strerror}.")
                continue
            if measured is not None and len(measured.content) == measured.stamp[2]:
                batch.append(_Read(path, measured))
            else:
                self._fail(path, NO_STAMP, _RESTLESS.format(shown(path)))
        return batch

    async def _send_batch(self, batch: "Sequence[_Read]") -> list[tuple[str, Stamp]]:
        """Send files in one request; return those that are left for another one."""
        self._progress.name = batch[0].path
        try:
            received = await self._files.write_batch(self._folder, lambda: self._fitting(batch))
        except PoolRefused:
            for read in batch:  # one of them is at fault
                await self._send_large(read.path, read.measured.stamp)
            return []
        left = [(read.path, read.measured.stamp) for read in batch[len(received) :]]
        for read, file in zip(batch, received, strict=False):
            stamp = read.measured.stamp
            if file.version:
                self._down.agree(read.path, read.measured, file.version)
                self._progress.moved += stamp[2]
                self._progress.bytes_done += stamp[2]
                self._progress.files_done += 1
            elif await self._settle_again(read.path, stamp):
                left.append((read.path, stamp))
        return left

    async def _settle_again(self, path: str, stamp: Stamp) -> bool:
        """Save here what has changed there since it was looked; return whether the file is to be sent again."""
        self._settled[path] += 1
        if self._settled[path] > TRIES:
            self._fail(path, NO_STAMP, f"'{shown(path)}' changes all the time in the session, and was not sent.")
            return False
        metadata = await self._describe(path)
        if metadata is None or metadata.is_folder:
            self._down.note_gone(path)
            return True
        there = There(size=metadata.size, version=metadata.version)
        if not await self._down.take(path, there):
            self._failed[path] = stamp
            return False
        return not self._is_alike(path)

    async def _send_large(self, path: str, stamp: Stamp | None) -> None:
        """Send a file in pieces."""
        self._progress.name = path
        try:
            for _ in range(TRIES):
                seen = time.time_ns()
                stamp = await asyncio.to_thread(self._local.stamp, path)
                if stamp is None:
                    return  # removed meanwhile
                sent = await send_file(self._files, self._item(path, stamp))
                if sent is not None:
                    self._base.files[path] = Agreed(sent.sha256, stamp, sent.version, is_racy(stamp, seen))
                    self._progress.files_done += 1
                    return
        except TransferError as error:
            self._fail(path, stamp or NO_STAMP, str(error))
        except PoolRefused as error:
            if error.code != wire.FILE_CHANGED:
                raise
            if await self._settle_again(path, stamp or NO_STAMP):
                await self._send_large(path, stamp)
        else:
            self._fail(path, NO_STAMP, _RESTLESS.format(shown(path)))

    def _replaces(self, path: str) -> str:
        """Return the version of the file that may be replaced there."""
        agreed = self._base.files.get(path)
        return agreed.version if agreed else ""

    def _fitting(self, batch: "Sequence[_Read]") -> list[BatchFile]:
        """Return the first files of a batch that fit into a piece, and one at least."""
        sizes = [packed_bytes(read.path, len(read.measured.content)) for read in batch]
        count = sum(total <= self._files.piece.bytes for total in accumulate(sizes))
        return [read.to_wire(self._replaces(read.path)) for read in batch[: max(count, 1)]]

    def _item(self, path: str, stamp: Stamp) -> LocalItem:
        mode, _, size, modified, _ = stamp
        return LocalItem(
            source=self._local.root / path,
            target=join(self._folder, path),
            size=size,
            modified=modified / 1e9,
            is_executable=bool(mode & EXECUTABLE),
            replaces=self._replaces(path),
        )

    def _fail(self, path: str, stamp: Stamp, sentence: str) -> None:
        """Tell that a file was not sent; it is not tried again before its stamp is another one."""
        self._failed[path] = stamp
        self._told.failures.append(sentence)
        self._progress.files -= 1
        self._progress.bytes -= stamp[2]


def _folders_in_the_way(changed: Mapping[str, Stamp], there: Mapping[str, There | None]) -> list[str]:
    """Return the folders there that are where files are to be, or below, those below first."""
    folders = [path for path, found in there.items() if found is None]
    return sorted(
        (path for path in folders if path in changed or any(above in changed for above in folders_above(path))),
        reverse=True,
    )


@dataclass(frozen=True, slots=True)
class _Read:
    path: str
    measured: Measured

    def to_wire(self, replaces: str) -> BatchFile:
        mode, _, _, modified, _ = self.measured.stamp
        return BatchFile(
            path=self.path,
            content=self.measured.content,
            modified=modified / 1e9,
            is_executable=bool(mode & EXECUTABLE),
            version=replaces,
        )
