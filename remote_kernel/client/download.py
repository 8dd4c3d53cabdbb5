"""Files of the session to this machine: whole folders, resumed, checked."""

import asyncio
import contextlib
import fnmatch
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from remote_kernel.client.files import RemoteFiles
from remote_kernel.client.transfer import Patience, PieceSize, Progress, digest
from remote_kernel.core import files as wire
from remote_kernel.core.errors import PoolRefused, PoolUnreachable, TransferError

_WILD = frozenset("*?[")


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteItem:
    """A file or folder of the session, and where it goes."""

    source: str
    target: Path
    size: int
    is_folder: bool = False


class Download:
    """Fetches files of the session.

    Args:
        progress: told how far it is.
        patience_seconds: how long nothing at all may get through before it fails.
    """

    def __init__(self, files: RemoteFiles, progress: Progress, *, patience_seconds: float) -> None:
        self._files = files
        self._progress = progress
        self._piece = PieceSize(files.piece_bytes)
        self._patience = Patience(progress, self._piece, patience_seconds)

    async def run(self, paths: Sequence[str], *, to: Path) -> None:
        """Fetch what `paths` mean into the folder `to`: files, folders with all in them, patterns in their last part.

        Raises:
            TransferError: there is no such file, it changes meanwhile, or cannot be written here.
            PoolError, SessionLost.
        """
        items = [item for path in paths for item in await self._plan(path, to)]
        progress = self._progress
        progress.files = sum(not item.is_folder for item in items)
        progress.bytes = sum(item.size for item in items)
        for item in items:
            progress.name = item.source
            with _explaining(item):
                if item.is_folder:
                    item.target.mkdir(parents=True, exist_ok=True)
                else:
                    await self._fetch(item)
                    progress.files_done += 1

    async def _plan(self, path: str, to: Path) -> list[RemoteItem]:
        try:
            found = {path: await self._patience.persist(lambda: self._files.describe(path))}
        except PoolRefused as error:
            if error.code != wire.FILE_MISSING:
                raise TransferError(f"'{path}': {error}") from None
            found = await self._match(path)
        if not found:
            raise TransferError(f"There is no file or folder '{path}' in the session.")
        return [item for source, metadata in found.items() for item in await self._expand(source, metadata, to)]

    async def _match(self, pattern: str) -> dict[str, wire.Metadata]:
        """Return the files whose path matches a pattern in its last part."""
        path = PurePosixPath(pattern)
        if not _WILD & set(path.name):
            return {}
        with contextlib.suppress(PoolRefused):
            entries = await self._patience.persist(lambda: self._files.list(str(path.parent)))
            names = fnmatch.filter([entry.path for entry in entries], path.name)
            return {name: await self._describe(name) for name in (str(path.parent / name) for name in names)}
        return {}

    async def _describe(self, path: str, *, with_checksum: bool = False) -> wire.Metadata:
        return await self._patience.persist(lambda: self._files.describe(path, with_checksum=with_checksum))

    async def _expand(self, source: str, metadata: wire.Metadata, to: Path) -> list[RemoteItem]:
        # A link has the name that it was asked for by, and the data folder itself has none.
        target = to / _safe(PurePosixPath(source).name if metadata.path else "")
        if not metadata.is_folder:
            return [RemoteItem(source=source, target=target, size=metadata.size)]
        entries = await self._patience.persist(lambda: self._files.list(source, is_recursive=True))
        return [RemoteItem(source=source, target=target, size=0, is_folder=True)] + [
            RemoteItem(
                source=str(PurePosixPath(source) / entry.path),
                target=target / _safe(entry.path),
                size=entry.size,
                is_folder=entry.is_folder,
            )
            for entry in entries
        ]

    async def _fetch(self, item: RemoteItem) -> None:
        done_before = self._progress.bytes_done
        metadata = await self._describe(item.source, with_checksum=True)
        if await asyncio.to_thread(_is_same, item.target, metadata):
            self._progress.unchanged += 1
        else:
            partial = _partial(item.target, metadata)
            await self._fetch_pieces(item.source, metadata, partial, done_before)
            if await asyncio.to_thread(digest, partial) != metadata.sha256:
                partial.unlink()
                raise TransferError(f"'{item.source}' arrived with a wrong checksum: download it again.")
            partial.replace(item.target)
        self._progress.bytes_done = done_before + item.size

    async def _fetch_pieces(self, path: str, metadata: wire.Metadata, partial: Path, done_before: int) -> None:
        """Append to a file what is missing in it."""
        partial.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("ab") as file:
            while (offset := file.tell()) < metadata.size:
                self._progress.bytes_done = done_before + offset
                length = min(self._piece.bytes, metadata.size - offset)
                piece = await self._patience.move(lambda: self._read(path, offset, metadata.version))
                await asyncio.to_thread(file.write, piece[:length])
                self._progress.moved += len(piece)

    async def _read(self, path: str, offset: int, version: str) -> bytes:
        piece = await self._files.read(path, offset, self._piece.bytes, version=version)
        if not piece:
            raise PoolUnreachable("The session sent nothing.")
        return piece


@contextlib.contextmanager
def _explaining(item: RemoteItem) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TransferError(f"'{item.target}' cannot be written: {error.strerror}.") from None
    except PoolRefused as error:
        if error.code == wire.FILE_CHANGED:
            raise TransferError(
                f"'{item.source}' changed while it was fetched: download it again once it is complete."
            ) from None
        if error.code == wire.FILE_MISSING:
            raise TransferError(f"'{item.source}' is not there any more.") from None
        raise


def _safe(path: str) -> PurePosixPath:
    """Return a path that came from the pod, which must not lead out of the folder that it is put in."""
    parts = path.split("/") if path else []
    if any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
        raise TransferError(f"The session names a file {path!r}, which cannot be written here.")
    return PurePosixPath(*parts)


def _partial(target: Path, metadata: wire.Metadata) -> Path:
    """Return where a file grows: its name says which version of which file it is, for the next try to go on."""
    name = hashlib.sha256(f"{target.name}/{metadata.pod}/{metadata.version}/{metadata.sha256}".encode())
    return target.with_name(f".download-{name.hexdigest()[:32]}")


def _is_same(target: Path, metadata: wire.Metadata) -> bool:
    return target.is_file() and target.stat().st_size == metadata.size and digest(target) == metadata.sha256
