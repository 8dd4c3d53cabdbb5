"""Program and objects, to the session: from memory, in pieces, and many small objects at a time."""

import hashlib
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence

from remote_kernel.client.files.patient_files import PatientFiles
from remote_kernel.client.saves.fetching import list_files
from remote_kernel.client.saves.store import SaveStore
from remote_kernel.core.errors import PoolRefused, SaveError, TransferError
from remote_kernel.core.wire import files as wire
from remote_kernel.core.wire.file_batches import BatchFile, take_batch
from remote_kernel.io.threads import in_own_thread

NO_ROOM = "The session does not take what it is sent: {error}"


async def send_content(files: PatientFiles, path: str, content: bytes) -> None:
    """Send a file from memory; raises `SaveError`, `PoolError` and `SessionLost`."""
    sha256 = await in_own_thread(lambda: hashlib.sha256(content).hexdigest())

    async def read(offset: int, most: int) -> bytes:
        return content[offset : offset + most]

    try:
        await files.send(path, len(content), sha256, read)
    except PoolRefused as error:
        raise explain(error) from None
    except TransferError as error:
        raise SaveError(str(error)) from None


class ObjectSender:
    """Sends objects that the session has not.

    Args:
        files: whose progress is told how many bytes are done.
        store: where they are.
    """

    def __init__(self, files: PatientFiles, store: SaveStore) -> None:
        self._files = files
        self._store = store
        self._progress = files.progress

    async def send(self, folder: str, names: Collection[str]) -> Mapping[str, SaveError]:
        """Send objects to a folder, each once its content is found to be what its name says.

        Return those that were not sent, as they are damaged or missing, with what is wrong with them.

        Raises:
            SaveError: the session does not take one.
            PoolError, SessionLost.
        """
        damaged: dict[str, SaveError] = {}
        there = await list_files(self._files, folder)
        sizes = await in_own_thread(self._store.sizes)
        progress = self._progress
        progress.files, progress.bytes = len(names), sum(sizes.get(name, 0) for name in names)
        is_there = {name for name in names if name in there and there[name].size == sizes.get(name)}
        progress.unchanged = len(is_there)
        self._count(is_there, sizes)
        queue = deque(sorted((name for name in names if name not in is_there), key=lambda name: sizes.get(name, 0)))
        while queue:
            batch = take_batch(queue, self._files.piece.bytes, lambda name: (name, sizes.get(name, 0)))
            batch = batch or [queue.popleft()]
            try:
                damaged |= await self._send(folder, batch)
            except PoolRefused as error:
                raise explain(error) from None
            self._count(batch, sizes)
        return damaged

    async def _send(self, folder: str, names: Sequence[str]) -> dict[str, SaveError]:
        contents, damaged = await in_own_thread(self._read, names)
        if len(contents) == 1:
            ((name, content),) = contents.items()
            await send_content(self._files, f"{folder}/{name}", content)
        elif contents:
            batch = [BatchFile(path=name, content=content, modified=0.0) for name, content in contents.items()]
            await self._files.write_batch(folder, lambda: batch)
            self._progress.moved += sum(map(len, contents.values()))
        return damaged

    def _read(self, names: Iterable[str]) -> tuple[dict[str, bytes], dict[str, SaveError]]:
        """Return the files of objects, and what is wrong with those that cannot be used."""
        contents: dict[str, bytes] = {}
        damaged: dict[str, SaveError] = {}
        for name in names:
            try:
                contents[name] = self._store.read_object(name)
            except SaveError as error:
                damaged[name] = error
        return contents, damaged

    def _count(self, names: Collection[str], sizes: Mapping[str, int]) -> None:
        self._progress.files_done += len(names)
        self._progress.bytes_done += sum(sizes.get(name, 0) for name in names)


def explain(error: PoolRefused) -> PoolRefused | SaveError:
    """Return what to say where the session does not take a file."""
    return SaveError(NO_ROOM.format(error=error)) if error.code == wire.NOT_WRITABLE else error
