"""Manifest and objects of a session's save, to this machine, as far as they are not here."""

import asyncio
from collections import deque
from collections.abc import Collection, Iterable, Mapping

from remote_kernel.client.files.remote_files import RemoteFiles
from remote_kernel.client.files.transfer import Patience, PieceSize, Progress
from remote_kernel.client.saves.store import SaveStore
from remote_kernel.core.errors import PoolRefused, PoolUnreachable, SaveError, WireError
from remote_kernel.core.limits import MANIFEST
from remote_kernel.core.saves.manifest import Manifest, parse_manifest
from remote_kernel.core.saves.objects import MAX_FILE_BYTES, is_hash
from remote_kernel.core.wire.file_batches import MAX_FILES, FileVersion, packed_bytes
from remote_kernel.core.wire.files import FILE_CHANGED, FILE_MISSING, RemoteEntry

INCOMPLETE = "The session does not have what it has saved any more: save it again."
DAMAGED = "What the session has saved is not what it should be ({error}): save it again."


async def list_objects(files: RemoteFiles, folder: str, patience: Patience) -> dict[str, RemoteEntry]:
    """Return the objects in a folder of the session, by hash; raises `PoolError` and `SessionLost`."""
    try:
        entries = await patience.persist(lambda: files.list(folder))
    except PoolRefused as error:
        if error.code != FILE_MISSING:
            raise
        return {}
    return {entry.path: entry for entry in entries if is_hash(entry.path) and not entry.is_folder}


class Fetcher:
    """Fetches a manifest and objects.

    Args:
        progress: told how many bytes are done.
    """

    def __init__(self, files: RemoteFiles, progress: Progress, piece: PieceSize, patience: Patience) -> None:
        self._files = files
        self._progress = progress
        self._piece = piece
        self._patience = patience

    async def fetch_manifest(self, path: str) -> Manifest:
        """Return the manifest at a path; raises `SaveError`, `PoolError` and `SessionLost`."""
        try:
            metadata = await self._patience.persist(lambda: self._files.describe(path))
            if metadata.size > (MANIFEST.bytes or 0):
                raise SaveError(DAMAGED.format(error="its list of objects is too long"))
            content = await self._read(path, metadata.size, metadata.version)
            return await asyncio.to_thread(parse_manifest, content)
        except PoolRefused as error:
            raise _explain(error) from None
        except WireError as error:
            raise SaveError(DAMAGED.format(error=error)) from None

    async def fetch_objects(self, folder: str, names: Collection[str], store: SaveStore) -> None:
        """Fetch objects of a folder into a store; raises `SaveError`, `NotWritten`, `PoolError` and `SessionLost`."""
        entries = await list_objects(self._files, folder, self._patience)
        if any(name not in entries or entries[name].size > MAX_FILE_BYTES for name in names):
            raise SaveError(INCOMPLETE)
        wanted = {name: entries[name] for name in names}
        self._progress.files, self._progress.bytes = len(wanted), sum(entry.size for entry in wanted.values())
        queue = deque(sorted(wanted.values(), key=lambda entry: entry.size))
        while queue:
            try:
                found = await self._fetch_some(folder, queue)
            except PoolRefused as error:
                raise _explain(error) from None
            await self._keep(found, store)

    async def _fetch_some(self, folder: str, queue: "deque[RemoteEntry]") -> dict[str, bytes]:
        """Take one or more from the queue, and return them."""
        batch = _next_batch(queue, self._piece.bytes)
        if len(batch) < 2:
            entry = batch[0] if batch else queue.popleft()
            return {entry.path: await self._read(f"{folder}/{entry.path}", entry.size, entry.version)}
        asked = [FileVersion(path=entry.path, version=entry.version) for entry in batch]
        # A line that is cut again and again carries smaller pieces, so each try may ask for less.
        found = await self._patience.move(lambda: self._files.read_batch(folder, asked, self._piece.bytes))
        queue.extendleft(reversed(batch[len(found) :]))
        if not all(file.version for file in found):
            raise SaveError(INCOMPLETE)
        self._progress.moved += sum(len(file.content) for file in found)
        return {file.path: file.content for file in found}

    async def _read(self, path: str, size: int, version: str) -> bytes:
        content = bytearray()
        while len(content) < size:
            piece = await self._move_piece(path, len(content), size, version)
            content += piece
            self._progress.moved += len(piece)
            self._progress.bytes_done += len(piece)
        self._progress.bytes_done -= size  # until it is whole, and is kept
        return bytes(content)

    async def _move_piece(self, path: str, offset: int, size: int, version: str) -> bytes:
        return await self._patience.move(lambda: self._read_piece(path, offset, size, version))

    async def _read_piece(self, path: str, offset: int, size: int, version: str) -> bytes:
        piece = await self._files.read(path, offset, min(self._piece.bytes, size - offset), version=version)
        if not piece:
            raise PoolUnreachable("The session sent nothing.")
        return piece

    async def _keep(self, found: Mapping[str, bytes], store: SaveStore) -> None:
        try:
            await asyncio.to_thread(_put, found.items(), store)
        except WireError as error:
            raise SaveError(DAMAGED.format(error=error)) from None
        self._progress.files_done += len(found)
        self._progress.bytes_done += sum(map(len, found.values()))


def _put(objects: Iterable[tuple[str, bytes]], store: SaveStore) -> None:
    for name, content in objects:
        store.put_object(name, content)


def _next_batch(queue: "deque[RemoteEntry]", room: int) -> list[RemoteEntry]:
    """Take from the queue for as long as all of it fits into one answer."""
    batch: list[RemoteEntry] = []
    while queue and len(batch) < MAX_FILES:
        room -= packed_bytes(queue[0].path, queue[0].size)
        if room < 0:
            break
        batch.append(queue.popleft())
    return batch


def _explain(error: PoolRefused) -> PoolRefused | SaveError:
    return SaveError(INCOMPLETE) if error.code in (FILE_MISSING, FILE_CHANGED) else error
