"""Program and objects, to the session: from memory, in pieces, and many small objects at a time."""

import asyncio
import hashlib
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence

from remote_kernel.client.files.remote_files import RemoteFiles
from remote_kernel.client.files.transfer import Patience, PieceSize, Progress
from remote_kernel.client.saves.fetching import list_files
from remote_kernel.client.saves.store import SaveStore
from remote_kernel.core.errors import PoolRefused, SaveError
from remote_kernel.core.wire import files as wire
from remote_kernel.core.wire.file_batches import MAX_FILES, BatchFile, packed_bytes

# A pod keeps what it is sent; only one that was replaced, which is told by its name, begins anew.
MAX_VAIN_PIECES = 10

NO_ROOM = "The session does not take what it is sent: {error}"


class ContentSender:
    """Sends files from memory, in pieces, and goes on where it was cut.

    Args:
        progress: told how many bytes have gone over the line.
    """

    def __init__(self, files: RemoteFiles, progress: Progress, piece: PieceSize, patience: Patience) -> None:
        self._files = files
        self._progress = progress
        self._piece = piece
        self._patience = patience

    async def send(self, path: str, content: bytes) -> None:
        """Send one file; raises `SaveError`, `PoolError` and `SessionLost`."""
        sha256 = await asyncio.to_thread(lambda: hashlib.sha256(content).hexdigest())
        received, vain = wire.Received(pod="", bytes=0, is_complete=False), 0
        try:
            while not received.is_complete:
                before = received.bytes
                received = await self._move_piece(path, before, content, sha256)
                self._progress.moved += max(received.bytes - before, 0)
                vain = 0 if received.bytes > before else vain + 1
                if vain > MAX_VAIN_PIECES:
                    raise SaveError("The session does not keep what it is sent.")
        except PoolRefused as error:
            raise explain(error) from None

    async def _move_piece(self, path: str, offset: int, content: bytes, sha256: str) -> wire.Received:
        return await self._patience.move(lambda: self._write(path, offset, content, sha256))

    async def _write(self, path: str, offset: int, content: bytes, sha256: str) -> wire.Received:
        # A line that is cut again and again carries smaller pieces, so each try may send less.
        piece = content[offset : offset + self._piece.bytes]
        return await self._files.write(path, offset, piece, size=len(content), sha256=sha256)


class ObjectSender:
    """Sends objects that the session has not.

    Args:
        store: where they are.
        sender: of those that are not small.
        progress: told how many bytes are done.
    """

    def __init__(
        self, files: RemoteFiles, store: SaveStore, sender: ContentSender, progress: Progress, piece: PieceSize,
        patience: Patience,
    ) -> None:  # fmt: skip
        self._files = files
        self._store = store
        self._sender = sender
        self._progress = progress
        self._piece = piece
        self._patience = patience

    async def send(self, folder: str, names: Collection[str]) -> Mapping[str, SaveError]:
        """Send objects to a folder, each once its content is found to be what its name says.

        Return those that were not sent, as they are damaged or missing, with what is wrong with them.

        Raises:
            SaveError: the session does not take one.
            PoolError, SessionLost.
        """
        damaged: dict[str, SaveError] = {}
        there = await list_files(self._files, folder, self._patience)
        sizes = await asyncio.to_thread(self._store.sizes)
        progress = self._progress
        progress.files, progress.bytes = len(names), sum(sizes.get(name, 0) for name in names)
        is_there = {name for name in names if name in there and there[name].size == sizes.get(name)}
        progress.unchanged = len(is_there)
        self._count(is_there, sizes)
        queue = deque(sorted((name for name in names if name not in is_there), key=lambda name: sizes.get(name, 0)))
        while queue:
            batch = self._next_batch(queue, sizes)
            try:
                damaged |= await self._send(folder, batch)
            except PoolRefused as error:
                raise explain(error) from None
            self._count(batch, sizes)
        return damaged

    def _next_batch(self, queue: "deque[str]", sizes: Mapping[str, int]) -> list[str]:
        """Take one or more from the queue: as many as fit into one request."""
        batch = [queue.popleft()]
        room = self._piece.bytes - packed_bytes(batch[0], sizes.get(batch[0], 0))
        while queue and len(batch) < MAX_FILES:
            room -= packed_bytes(queue[0], sizes.get(queue[0], 0))
            if room < 0:
                break
            batch.append(queue.popleft())
        return batch

    async def _send(self, folder: str, names: Sequence[str]) -> dict[str, SaveError]:
        contents, damaged = await asyncio.to_thread(self._read, names)
        if len(contents) == 1:
            ((name, content),) = contents.items()
            await self._sender.send(f"{folder}/{name}", content)
        elif contents:
            batch = [BatchFile(path=name, content=content, modified=0.0) for name, content in contents.items()]
            await self._patience.move(lambda: self._files.write_batch(folder, batch))
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
