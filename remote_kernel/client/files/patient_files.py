"""The files of one session over a line that may break: tried again, and moved in pieces as large as it carries."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from remote_kernel.client.files.remote_files import RemoteFiles
from remote_kernel.client.files.transfer import Patience, PieceSize, Progress
from remote_kernel.core.download_paths import shown
from remote_kernel.core.errors import PoolRefused, PoolUnreachable, TransferError
from remote_kernel.core.wire import files as wire
from remote_kernel.core.wire.file_batches import BatchFile, FileVersion, Removed

T = TypeVar("T")

# A pod keeps what it is sent; only one that was replaced, which is told by its name, begins anew.
MAX_VAIN_PIECES = 10

# Returns a piece of a file here: so many bytes from an offset on, fewer at its end.
ReadPiece = Callable[[int, int], Awaitable[bytes]]


class PatientFiles:
    """`RemoteFiles` that are asked again for as long as the trouble may pass; its methods raise as those do.

    Args:
        progress: told what is waited for, and how many bytes have gone over the line.
        patience_seconds: how long nothing at all may get through before a request fails.

    Attributes:
        piece: how much the next request carries.
    """

    def __init__(self, files: RemoteFiles, progress: Progress, patience_seconds: float) -> None:
        self.progress = progress
        self.piece = PieceSize(files.piece_bytes)
        self.patience = Patience(progress, self.piece, patience_seconds)
        self._files = files

    @property
    def pod(self) -> str:
        """The name of the pod; "" before it has answered."""
        return self._files.pod

    async def list(
        self, path: str, *, is_recursive: bool = False, with_checksums: bool = False
    ) -> "list[wire.RemoteEntry]":
        """Return what is in a folder."""
        return await self.patience.persist(
            lambda: self._files.list(path, is_recursive=is_recursive, with_checksums=with_checksums)
        )

    async def describe(self, path: str, *, with_checksum: bool = False) -> wire.Metadata:
        return await self.patience.persist(lambda: self._files.describe(path, with_checksum=with_checksum))

    async def make_folder(self, path: str) -> None:
        """Make a folder, with those above it, unless it is there."""
        await self.patience.persist(lambda: self._files.make_folder(path))

    async def remove(self, files: Sequence[FileVersion], *, folder: str) -> Removed:
        """Remove files, each if it is still of the version that is named."""
        return await self.patience.persist(lambda: self._files.remove(files, folder=folder))

    async def read(self, path: str, offset: int, size: int, version: str) -> bytes:
        """Return the next piece of a file of this size and version; one byte at least."""

        async def attempt() -> bytes:
            piece = await self._files.read(path, offset, min(self.piece.bytes, size - offset), version=version)
            if not piece:
                raise PoolUnreachable("The session sent nothing.")
            return piece

        piece = await self.patience.move(attempt)
        self.progress.moved += len(piece)
        return piece

    async def read_batch(self, folder: str, files: Sequence[FileVersion]) -> Sequence[BatchFile]:
        """Return the first of these files: as many as a piece holds, and one at least."""
        # A line that is cut again and again carries smaller pieces, so each try may ask for less.
        return await self.patience.move(lambda: self._files.read_batch(folder, files, self.piece.bytes))

    async def write_batch(self, folder: str, files: Callable[[], Sequence[BatchFile]]) -> Sequence[FileVersion]:
        """Send whole files; `files` returns as many as a piece holds, anew for each try."""
        return await self.patience.move(lambda: self._files.write_batch(folder, files()))

    async def send(
        self, target: str, size: int, sha256: str, read: ReadPiece, *, note: Callable[[int], None] = lambda _: None,
        modified: float | None = None, is_executable: bool = False, replaces: str | None = None,
    ) -> wire.Received | None:  # fmt: skip
        """Send a file in pieces, and go on where it was cut; return what the pod says of it at its end.

        That is `None` where the end of the file is not here any more. See `RemoteFiles.write`.

        Args:
            note: told how many of its bytes are there.

        Raises:
            TransferError: the pod does not keep what it is sent.
        """

        async def write(offset: int, piece: bytes) -> wire.Received:
            return await self._files.write(
                target, offset, piece, size=size, sha256=sha256, modified=modified, is_executable=is_executable,
                replaces=replaces,
            )  # fmt: skip

        async def move(offset: int, piece: bytes) -> wire.Received:
            # A line that is cut again and again carries smaller pieces, so each try may send less.
            received = await self.patience.move(lambda: write(offset, piece[: self.piece.bytes]))
            self.progress.moved += max(received.bytes - offset, 0)
            return received

        received = wire.Received(pod="", bytes=0, is_complete=False)
        if size > self.piece.bytes:  # a small one is sent sooner than it is asked about
            received = await self.patience.persist(lambda: write(size, b""))
        furthest, vain = received.bytes, 0
        while not received.is_complete:
            note(received.bytes)
            piece = await read(received.bytes, self.piece.bytes)
            if not piece and size:
                return None
            received = await move(received.bytes, piece)
            vain = 0 if received.bytes > furthest else vain + 1
            furthest = max(furthest, received.bytes)
            if vain > MAX_VAIN_PIECES and not received.is_complete:
                raise TransferError(f"The session does not keep what it is sent of '{shown(target)}'.")
        return received


async def if_there(asked: Awaitable[T]) -> T | None:
    """Return what is answered, `None` where there is no file or folder of that path."""
    try:
        return await asked
    except PoolRefused as error:
        if error.code != wire.FILE_MISSING:
            raise
        return None
