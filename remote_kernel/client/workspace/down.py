"""Files of the session to the workspace here.

Small ones come many in one request, large ones in pieces. Nothing that was changed here is replaced, and nothing is
written through a link. What a pod says of its files decides neither where they go nor how large they may be.
"""

import asyncio
import contextlib
import hashlib
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from remote_kernel.client.files.file_fetcher import FileFetcher
from remote_kernel.client.files.patient_files import PatientFiles, if_there
from remote_kernel.client.files.target_folder import Found, Interfered, Parts, TargetFolder
from remote_kernel.client.files.transfer import Told, list_names
from remote_kernel.client.workspace.admission import There, admit, environments
from remote_kernel.client.workspace.folder_rules import SETTING
from remote_kernel.client.workspace.local_files import LocalFiles, Snapshot
from remote_kernel.client.workspace.stamps import Measured, is_racy
from remote_kernel.client.workspace.state_file import StateFile
from remote_kernel.core.download_paths import join, names_beside, shown
from remote_kernel.core.errors import PoolRefused, TransferError
from remote_kernel.core.text.human_numbers import format_bytes
from remote_kernel.core.wire import files as wire
from remote_kernel.core.wire.file_batches import BatchFile, FileVersion, take_batch
from remote_kernel.core.workspace.base import EXECUTABLE, NO_STAMP, Agreed, Base
from remote_kernel.core.workspace.plan import Action, Change, decide

# So many small files are put in their places before it is looked whether anybody waits for something else.
TOGETHER = 50

# A file that changes while it is fetched is fetched again.
TRIES = 3

# Of a file that is to be asked for by itself.
_NOT_SENT = BatchFile(path="", content=b"", modified=0.0, version="")


class _Remote(NamedTuple):
    """A file of the session that is to come here.

    Attributes:
        source: its path there.
        content: where it has come already.
    """

    source: str
    metadata: wire.Metadata
    content: bytes | None = None

    @property
    def is_executable(self) -> bool | None:
        """Return whether it can be executed there, `None` where nobody says so."""
        return bool(self.metadata.permissions & EXECUTABLE) if self.metadata.permissions else None


class Down:
    """Brings files of the session here.

    Args:
        folder: the workspace in the session.
        state_file: knows what other notebooks have agreed on.
        told: takes sentences about what the user may not expect.

    Attributes:
        failed: paths of files that did not come, and should have.
    """

    def __init__(
        self, files: PatientFiles, folder: str, local: LocalFiles, base: Base, state_file: StateFile, told: Told
    ) -> None:
        self._files = files
        self._folder = folder
        self._local = local
        self._base = base
        self._state_file = state_file
        self._others: list[Base] | None = None
        self._progress = files.progress
        self._told = told
        self.failed: set[str] = set()
        self._target = TargetFolder(local.root)
        self._fetched_bytes = 0
        self._fetcher = FileFetcher(files, self._target)

    async def list_there(self) -> dict[str, There | None]:
        """Return what is in the workspace there, by path; folders are `None`."""
        # Where nothing was ever agreed on, all of it may be the same on both sides, as another notebook has sent it.
        is_first = not self._base.files
        entries = await if_there(self._files.list(self._folder, is_recursive=True, with_checksums=is_first))
        return {
            entry.path: None if entry.is_folder else There(size=entry.size, version=entry.version, sha256=entry.sha256)
            for entry in entries or ()
        }

    def note_gone(self, path: str) -> None:
        """Note that a file is not in the session any more. It stays here, and is not sent again before it changes."""
        agreed = self._base.files.get(path)
        if agreed is not None:
            if self._local.has_file(path):
                self._base.files[path] = replace(agreed, version="")
            else:
                del self._base.files[path]

    async def run(self, there: Mapping[str, There], snapshot: Snapshot) -> None:
        """Bring files that have changed in the session, or are new there."""
        wanted = await self._choose(there, snapshot)
        self._progress.files = len(wanted)
        self._progress.bytes = sum(each.size for each in wanted.values())
        queue = deque(sorted(wanted, key=lambda path: wanted[path].size >= self._files.piece.bytes))
        while queue:
            batch = take_batch(queue, self._files.piece.bytes, lambda path: (path, wanted[path].size))
            if len(batch) > 1:
                queue.extendleft(reversed(await self._take_together(batch, wanted)))
            else:
                path = batch[0] if batch else queue.popleft()
                await self._take_alone(path, wanted[path])

    async def _take_together(self, paths: Sequence[str], wanted: Mapping[str, There]) -> list[str]:
        """Bring files in one request; return those that are left for another one."""
        self._progress.name = paths[0]
        asked = [path for path in paths if not await self._is_here(path, wanted[path])]
        for path in {*paths} - {*asked}:
            self._count(wanted[path])
        if not asked:
            return []
        files = [FileVersion(path=path, version=wanted[path].version) for path in asked]
        try:
            found = await self._files.read_batch(self._folder, files)
        except (PoolRefused, TransferError):  # one of them is at fault, or the agent is older
            found = [replace(_NOT_SENT, path=path) for path in asked]
        for start in range(0, len(found), TOGETHER):
            await self._put_together(found[start : start + TOGETHER], wanted)
        return asked[len(found) :]

    async def _put_together(self, files: Sequence[BatchFile], wanted: Mapping[str, There]) -> None:
        """Put files in their places that have come together, and bring those by themselves that have not."""
        whole = [file for file in files if file.version and len(file.content) == wanted[file.path].size]
        remotes = {file.path: self._unpacked(file) for file in whole}
        new = await asyncio.to_thread(self._put_new, remotes)
        for path in (file.path for file in files):
            if path not in remotes:
                await self._take_alone(path, wanted[path])
                continue
            if path in new:
                self._agree_on_fetched(path, remotes[path].metadata, new[path])
                self._progress.fetched += 1
            else:
                await self._put_or_take(path, remotes[path], wanted[path])
            self._progress.moved += wanted[path].size
            self._count(wanted[path])

    async def _put_or_take(self, path: str, remote: _Remote, there: There) -> None:
        with self._failing(path):
            try:
                await self._put(path, remote)
            except Interfered:
                await self.take(path, there)

    def _put_new(self, remotes: Mapping[str, _Remote]) -> dict[str, Found]:
        """Put files where nothing is and nothing was, as far as that is so; return those. Blocks."""
        done = {}
        for path, remote in remotes.items():
            parts = tuple(path.split("/"))
            with contextlib.suppress(OSError, TransferError):  # which is told where a file is tried by itself
                if path not in self._base.files and self._target.look(parts) is None:
                    self._count_fetched(remote)
                    done[path] = self._put_content(remote, parts, replaces=None)
        return done

    def _put_content(self, remote: _Remote, parts: Parts, *, replaces: Found | None) -> Found:
        assert remote.content is not None
        return self._fetcher.put(
            parts, remote.metadata, remote.content, replaces=replaces,
            modified=remote.metadata.modified or None, is_executable=remote.is_executable,
        )  # fmt: skip

    def _unpacked(self, file: BatchFile) -> _Remote:
        source = join(self._folder, file.path)
        metadata = wire.Metadata(
            pod=self._files.pod,
            path=source,
            is_folder=False,
            size=len(file.content),
            modified=file.modified,
            version=file.version or "",
            sha256=hashlib.sha256(file.content).hexdigest(),
            permissions=0o755 if file.is_executable else 0o644,
        )
        return _Remote(source, metadata, file.content)

    async def _take_alone(self, path: str, there: There) -> None:
        self._progress.name = path
        done = self._progress.bytes_done
        await self.take(path, there)
        self._progress.bytes_done = done
        self._count(there)

    def _count(self, there: There) -> None:
        self._progress.files_done += 1
        self._progress.bytes_done += there.size

    async def _choose(self, there: Mapping[str, There], snapshot: Snapshot) -> dict[str, There]:
        """Return what may come, and tell of the rest."""
        if len(there) <= TOGETHER:
            found, wanted, refused = self._admit(there, snapshot)
        else:
            found, wanted, refused = await asyncio.to_thread(self._admit, there, snapshot)
        self._base.environments = found
        for problem, paths in refused.items():
            self._told.notes.append(f"{list_names(paths)} stayed in the session: {problem}.")
        return wanted

    def _admit(
        self, there: Mapping[str, There], snapshot: Snapshot
    ) -> tuple[set[str], dict[str, There], dict[str, list[str]]]:
        """Return the environments there, what may come, and the rest by why it may not; changes nothing."""
        found = environments(there, self._base.environments, self._local.system)
        return found, *admit(there, found, self._local, snapshot)

    async def take(self, path: str, there: There) -> bool:
        """Bring one file, which has changed in the session, or find that it is here already.

        Return whether nothing is lost if it is replaced there now. Otherwise it was told why.
        """
        if await self._is_here(path, there):
            return True
        with self._failing(path):
            failure = f"'{shown(path)}' changes all the time in the session, and was not fetched."
            for _ in range(TRIES):
                try:
                    if await self._try_to_take(path):
                        return True
                except Interfered as error:  # by the user, or by another kernel that fetches the same
                    failure = str(error)
            raise TransferError(failure)
        return False

    @contextlib.contextmanager
    def _failing(self, path: str) -> Iterator[None]:
        """Tell why a file was not brought here."""
        try:
            yield
        except OSError as error:
            self._fail(path, f"'{shown(path)}' cannot be written here: {error.strerror}.")
        except TransferError as error:
            self._fail(path, str(error))
        except PoolRefused as error:
            self._fail(path, f"'{shown(path)}' was not fetched: {error}")

    def _fail(self, path: str, sentence: str) -> None:
        self.failed.add(path)
        self._told.failures.append(sentence)

    async def _is_here(self, path: str, there: There) -> bool:
        """Return whether a file that was never spoken of is the same on both sides, by its checksum in a list."""
        if path in self._base.files or not there.sha256:
            return False
        measured = await self._measure(path)
        if measured is None or measured.sha256 != there.sha256:
            return False
        self.agree(path, measured, there.version)
        self._progress.unchanged += 1
        return True

    async def _measure(self, path: str) -> Measured | None:
        try:
            return await asyncio.to_thread(self._local.measure, path)
        except OSError:
            return None

    def agree(self, path: str, measured: Measured, version: str) -> None:
        """Note that a file that was read here is in the session in this version."""
        self._base.files[path] = Agreed(measured.sha256, measured.stamp, version, measured.is_racy)

    async def _try_to_take(self, path: str) -> bool:
        """Bring a file; return `False` where it changed meanwhile."""
        source = join(self._folder, path)
        try:
            metadata = await self._files.describe(source, with_checksum=True)
            if not metadata.is_folder and self._base.change_there(path, metadata.version) is Change.CHANGED:
                await self._put(path, _Remote(source, metadata))
        except PoolRefused as error:
            if error.code == wire.FILE_CHANGED:
                return False
            if error.code != wire.FILE_MISSING:
                raise
            self.note_gone(path)
        return True

    async def _put(self, path: str, remote: _Remote) -> None:
        """Put a file in its place, or beside it."""
        metadata = remote.metadata
        limit = self._local.limits.max_file_bytes
        if metadata.size > limit:
            raise TransferError(f"'{shown(path)}' stayed in the session: a file may have {format_bytes(limit)}.")
        parts = tuple(path.split("/"))
        found, is_clash = await asyncio.to_thread(self._find, parts)
        measured = await self._measure(path) if found else None
        if found is not None and measured is not None and measured.sha256 == metadata.sha256:
            measured = await self._set_executable(path, remote, found, measured)
            self.agree(path, measured, metadata.version)
            self._progress.unchanged += 1
            return
        if self._note_same_content(path, metadata) or await self._note_agreed_by_others(path, metadata):
            return
        action = decide(self._change_here(path, found, measured, is_clash=is_clash), Change.CHANGED)
        if action is Action.KEEP_BOTH:
            await self._keep_both(path, remote)
            return
        fetched = await self._fetch(remote, parts, replaces=found)
        self._agree_on_fetched(path, metadata, fetched)
        self._progress.fetched += 1
        if action is Action.FETCH_AGAIN:
            self._told.notes.append(
                f"'{shown(path)}' was removed here and changed in the session, so it is here again."
            )

    async def _fetch(self, remote: _Remote, parts: Parts, *, replaces: Found | None) -> Found:
        if self._local.is_setting("/".join(parts)):
            raise TransferError(f"'{shown(remote.source)}' stayed in the session: {SETTING}.")
        self._count_fetched(remote)
        if remote.content is not None:
            return await asyncio.to_thread(self._put_content, remote, parts, replaces=replaces)
        return await self._fetcher.fetch(
            remote.source, parts, remote.metadata, replaces=replaces,
            modified=remote.metadata.modified or None, is_executable=remote.is_executable,
        )  # fmt: skip

    def _count_fetched(self, remote: _Remote) -> None:
        """Raise `TransferError` where all together are more than a workspace may have, whatever was announced."""
        self._fetched_bytes += remote.metadata.size
        if self._fetched_bytes > (limit := self._local.limits.max_bytes):
            raise TransferError(
                f"'{shown(remote.source)}' stayed in the session: the workspace may have {format_bytes(limit)}."
            )

    async def _set_executable(self, path: str, remote: _Remote, found: Found, measured: Measured) -> Measured:
        """Let a file be executable here as it is in the session, if only there that has changed; return it anew."""
        agreed, wanted = self._base.files.get(path), remote.is_executable
        if agreed is None or wanted is None or found.is_link or (measured.stamp[0] ^ agreed.stamp[0]) & EXECUTABLE:
            return measured
        if wanted is bool(measured.stamp[0] & EXECUTABLE):
            return measured
        with contextlib.suppress(OSError):
            await asyncio.to_thread(self._target.set_executable, tuple(path.split("/")), found, wanted)
        again = await self._measure(path)
        return again if again is not None and again.sha256 == measured.sha256 else measured

    def _note_same_content(self, path: str, metadata: wire.Metadata) -> bool:
        """Note the new version of a file that was written again there as it was; return whether it is one."""
        agreed = self._base.files.get(path)
        if agreed is None or agreed.sha256 != metadata.sha256 or not agreed.version:
            return False
        self._base.files[path] = replace(agreed, version=metadata.version)
        return True

    async def _note_agreed_by_others(self, path: str, metadata: wire.Metadata) -> bool:
        """Note a file there that was the one here, as another notebook has sent or fetched it: what is here is newer.

        Return whether it is one.
        """
        if self._others is None:
            self._others = await asyncio.to_thread(self._state_file.load_others, self._base.pod)
        agreed = (each.files.get(path) for each in self._others)
        if not any(each is not None and each.version == metadata.version for each in agreed):
            return False
        self._base.files[path] = Agreed(metadata.sha256, NO_STAMP, metadata.version)
        return True

    def _change_here(self, path: str, found: Found | None, measured: Measured | None, *, is_clash: bool) -> Change:
        agreed = self._base.files.get(path)
        if is_clash:
            return Change.CHANGED
        if found is None:
            return Change.GONE if agreed else Change.NEVER
        is_same = agreed is not None and measured is not None and measured.sha256 == agreed.sha256
        return Change.SAME if is_same and not found.is_link else Change.CHANGED

    def _find(self, parts: Parts) -> tuple[Found | None, bool]:
        """Return the file that is in a place, and whether something else is in the way."""
        try:
            return self._target.look(parts), False
        except (TransferError, OSError):
            return None, True

    def _agree_on_fetched(self, path: str, metadata: wire.Metadata, fetched: Found) -> None:
        seen = time.time_ns()
        stamp = self._local.stamp(path)
        if stamp is None or stamp[1:] != fetched.stamp:
            stamp = NO_STAMP  # somebody has changed it meanwhile
        self._base.files[path] = Agreed(metadata.sha256, stamp, metadata.version, is_racy(stamp, seen))

    async def _keep_both(self, path: str, remote: _Remote) -> None:
        """Put a file beside the one here, which counts as a change of it, and is sent next."""
        beside = await self._put_beside(tuple(path.split("/")), remote)
        self._base.files[path] = Agreed(remote.metadata.sha256, NO_STAMP, remote.metadata.version)
        self._progress.kept_twice += 1
        self._told.notes.append(
            f"'{shown(path)}' was changed here and in the session: here it stays as it is, and the session's is in "
            f"'{shown(beside)}'."
        )

    async def _put_beside(self, parts: Parts, remote: _Remote) -> str:
        number = await asyncio.to_thread(self._find_clash, parts)
        for name in names_beside(parts[number]):
            beside = (*parts[:number], name, *parts[number + 1 :])
            found, is_clash = await asyncio.to_thread(self._find, beside)
            if is_clash:
                continue
            if found is None:
                await self._fetch(remote, beside, replaces=None)
            elif await asyncio.to_thread(self._target.digest, beside, found) != remote.metadata.sha256:
                continue
            return "/".join(beside)
        raise AssertionError("there is always another name")

    def _find_clash(self, parts: Parts) -> int:
        """Return which part of a path has to be another one: where something that is no folder is in the way."""
        for number in range(1, len(parts)):
            try:
                self._target.look_for_folder(parts[:number])
            except (TransferError, OSError):
                return number - 1
        return len(parts) - 1
