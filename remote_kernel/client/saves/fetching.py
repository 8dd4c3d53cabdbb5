"""Manifest and objects of a session's save, to this machine, as far as they are not here."""

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence

from remote_kernel.client.files.patient_files import PatientFiles, if_there
from remote_kernel.client.saves.store import SaveStore
from remote_kernel.core.errors import PoolRefused, SaveError, WireError
from remote_kernel.core.limits import MANIFEST
from remote_kernel.core.saves.manifest import Manifest, parse_manifest
from remote_kernel.core.saves.objects import Object, max_file_bytes
from remote_kernel.core.wire.file_batches import FileVersion, take_batch
from remote_kernel.core.wire.files import FILE_CHANGED, FILE_MISSING, RemoteEntry
from remote_kernel.core.wire.saves import MANIFEST_FILE, OBJECTS_FOLDER
from remote_kernel.io.threads import in_own_thread

Entries = Mapping[str, RemoteEntry]

INCOMPLETE = "The session does not have what it has saved any more: save it again."
DAMAGED = "What the session has saved is not what it should be ({error}): save it again."


async def list_files(files: PatientFiles, folder: str, *, is_recursive: bool = False) -> Entries:
    """Return the files in a folder of the session, by path; raises `PoolError` and `SessionLost`."""
    entries = await if_there(files.list(folder, is_recursive=is_recursive))
    return {entry.path: entry for entry in entries or () if not entry.is_folder}


class Fetcher:
    """Fetches a manifest and objects.

    Args:
        files: whose progress is told how many bytes are done.
    """

    def __init__(self, files: PatientFiles) -> None:
        self._files = files
        self._progress = files.progress

    async def list(self, folder: str) -> Entries:
        """Return what is in a folder and in those below it, by path; raises `PoolError` and `SessionLost`."""
        return await list_files(self._files, folder, is_recursive=True)

    async def fetch_manifest(self, folder: str, entries: Entries, max_bytes: int) -> Manifest:
        """Return the manifest in a folder.

        Args:
            max_bytes: of the content that the save may have.

        Raises:
            SaveError, PoolError, SessionLost.
        """
        entry = entries.get(MANIFEST_FILE)
        if entry is None:
            raise SaveError(INCOMPLETE)
        if entry.size > (MANIFEST.bytes or 0):
            raise SaveError(DAMAGED.format(error="its list of objects is too long"))
        try:
            content = await self._read(f"{folder}/{MANIFEST_FILE}", entry.size, entry.version)
            manifest = await in_own_thread(parse_manifest, content)
        except PoolRefused as error:
            raise _explain(error) from None
        except WireError as error:
            raise SaveError(DAMAGED.format(error=error)) from None
        if manifest.bytes > max_bytes:
            raise SaveError(DAMAGED.format(error="it is larger than it may be"))
        return manifest

    async def fetch_objects(
        self, folder: str, entries: Entries, objects: Collection[Object], store: SaveStore
    ) -> None:  # fmt: skip
        """Fetch objects of a folder into a store; raises `SaveError`, `NotWritten`, `PoolError` and `SessionLost`."""
        wanted = {f"{OBJECTS_FOLDER}/{each.hash}": each for each in objects}
        there = [entries[path] for path, each in wanted.items() if _is_there(entries.get(path), each)]
        if len(there) < len(wanted):
            raise SaveError(INCOMPLETE)
        self._progress.files, self._progress.bytes = len(there), sum(entry.size for entry in there)
        queue = deque(sorted(there, key=lambda entry: entry.size))
        while queue:
            try:
                found = await self._fetch_some(folder, queue)
            except PoolRefused as error:
                raise _explain(error) from None
            await self._keep([(wanted[path], content) for path, content in found.items()], store)

    async def _fetch_some(self, folder: str, queue: "deque[RemoteEntry]") -> dict[str, bytes]:
        """Take one or more from the queue, and return them."""
        batch = take_batch(queue, self._files.piece.bytes, lambda entry: (entry.path, entry.size))
        if len(batch) < 2:
            entry = batch[0] if batch else queue.popleft()
            return {entry.path: await self._read(f"{folder}/{entry.path}", entry.size, entry.version)}
        asked = [FileVersion(path=entry.path, version=entry.version) for entry in batch]
        found = await self._files.read_batch(folder, asked)
        queue.extendleft(reversed(batch[len(found) :]))
        if not all(file.version for file in found):
            raise SaveError(INCOMPLETE)
        self._progress.moved += sum(len(file.content) for file in found)
        return {file.path: file.content for file in found}

    async def _read(self, path: str, size: int, version: str) -> bytes:
        content = bytearray()
        while len(content) < size:
            piece = await self._files.read(path, len(content), size, version)
            content += piece
            self._progress.bytes_done += len(piece)
        self._progress.bytes_done -= size  # until it is whole, and is kept
        return bytes(content)

    async def _keep(self, found: Sequence[tuple[Object, bytes]], store: SaveStore) -> None:
        try:
            await in_own_thread(_put, found, store)
        except WireError as error:
            raise SaveError(DAMAGED.format(error=error)) from None
        self._progress.files_done += len(found)
        self._progress.bytes_done += sum(len(content) for _, content in found)


def _put(objects: Iterable[tuple[Object, bytes]], store: SaveStore) -> None:
    for each, content in objects:
        store.put_object(each, content)


def _is_there(entry: RemoteEntry | None, each: Object) -> bool:
    """Return whether the session has an object's file that is no larger than it may be."""
    return entry is not None and entry.size <= max_file_bytes(each.size)


def _explain(error: PoolRefused) -> PoolRefused | SaveError:
    return SaveError(INCOMPLETE) if error.code in (FILE_MISSING, FILE_CHANGED) else error
