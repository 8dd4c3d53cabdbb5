"""Files of this machine to the session: whole folders, resumed, checked."""

import asyncio
import contextlib
import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from remote_kernel.client.files import RemoteFiles
from remote_kernel.client.local_paths import expand_user
from remote_kernel.client.transfer import Patience, PieceSize, Progress, digest
from remote_kernel.core import files as wire
from remote_kernel.core.errors import PoolRefused, TransferError


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalItem:
    """A file or folder, and its path in the session."""

    source: Path
    target: str
    size: int
    is_folder: bool = False


def plan_upload(paths: Sequence[str], *, to: str, base: Path) -> list[LocalItem]:
    """Return what `paths` mean: files, folders with all in them, or patterns with `*`, `?` and `[…]`.

    Links to files are followed, links to folders are not.

    Args:
        to: folder in the session.
        base: what relative paths are relative to.

    Raises:
        TransferError: there is no such file, or it cannot be read.
    """
    items: list[LocalItem] = []
    for text in paths:
        for source in _find(text, base):
            # The name that the user sees, also of ".." and of links.
            name = Path(os.path.abspath(source)).name  # noqa: PTH100 - resolve() would follow links
            items += _walk(source, PurePosixPath(to) / name)
    return items


def _find(text: str, base: Path) -> list[Path]:
    path = base / expand_user(text)
    if path.exists():
        return [path]
    found = sorted(Path(name) for name in glob.glob(str(path)))  # noqa: PTH207 - Path.glob takes no absolute patterns
    if not found:
        raise TransferError(f"There is no file or folder '{text}' on this machine (looked in {base}).")
    return found


def _walk(source: Path, target: PurePosixPath) -> Iterator[LocalItem]:
    try:
        str(target).encode()
        if source.is_dir():
            yield LocalItem(source=source, target=_text(target), size=0, is_folder=True)
            for child in sorted(source.iterdir()):
                if not (child.is_symlink() and child.is_dir()):
                    yield from _walk(child, target / child.name)
        elif source.is_file():
            yield LocalItem(source=source, target=_text(target), size=source.stat().st_size)
    except OSError as error:
        raise TransferError(f"'{source}' cannot be read: {error.strerror}.") from None
    except UnicodeEncodeError:
        raise TransferError(f"The name of {os.fsencode(source)!r} is not Unicode: rename it first.") from None


def _text(path: PurePosixPath) -> str:
    return "" if str(path) == "." else str(path)


class Upload:
    """Sends what was planned.

    Args:
        progress: told how far it is.
        patience_seconds: how long nothing at all may get through before it fails.
    """

    def __init__(self, files: RemoteFiles, progress: Progress, *, patience_seconds: float) -> None:
        self._files = files
        self._progress = progress
        self._piece = PieceSize(files.piece_bytes)
        self._patience = Patience(progress, self._piece, patience_seconds)

    async def run(self, items: Sequence[LocalItem]) -> None:
        """Send everything, one after the other.

        Raises:
            TransferError: a file cannot be read, or has changed meanwhile.
            PoolError, SessionLost.
        """
        progress = self._progress
        progress.files = sum(not item.is_folder for item in items)
        progress.bytes = sum(item.size for item in items)
        for item in items:
            progress.name = item.target
            if item.is_folder:
                await self._make_folder(item.target)
            else:
                await self._send(item)
                progress.files_done += 1

    async def _make_folder(self, path: str) -> None:
        await self._patience.persist(lambda: self._files.make_folder(path))

    async def _send(self, item: LocalItem) -> None:
        done_before = self._progress.bytes_done
        with _explaining(item):
            sha256 = await asyncio.to_thread(digest, item.source)
            received = await self._find_out(item, sha256)
            self._progress.unchanged += received.is_complete
            while not received.is_complete:
                self._progress.bytes_done = done_before + received.bytes
                piece = await asyncio.to_thread(_read, item.source, received.bytes, self._piece.bytes)
                if not piece and item.size:
                    raise _changed(item)
                received = await self._send_piece(item, received.bytes, piece, sha256)
        self._progress.bytes_done = done_before + item.size

    async def _find_out(self, item: LocalItem, sha256: str) -> wire.Received:
        """Return how much of a file the pod has; of a small one it is quicker to send it."""
        if item.size <= self._piece.bytes:
            return wire.Received(pod="", bytes=0, is_complete=False)
        return await self._patience.persist(
            lambda: self._files.write(item.target, item.size, b"", size=item.size, sha256=sha256)
        )

    async def _send_piece(self, item: LocalItem, offset: int, piece: bytes, sha256: str) -> wire.Received:
        # A line that is cut again and again carries smaller pieces, so each try may send less.
        received = await self._patience.move(
            lambda: self._files.write(item.target, offset, piece[: self._piece.bytes], size=item.size, sha256=sha256)
        )
        self._progress.moved += max(received.bytes - offset, 0)
        return received


@contextlib.contextmanager
def _explaining(item: LocalItem) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TransferError(f"'{item.source}' cannot be read: {error.strerror}.") from None
    except PoolRefused as error:
        if error.code == wire.CHECKSUM_MISMATCH:
            raise _changed(item) from None
        if error.code == wire.NOT_WRITABLE or error.status == 400:
            raise TransferError(f"'{item.target}' was not written in the session: {error}") from None
        raise


def _changed(item: LocalItem) -> TransferError:
    return TransferError(f"'{item.source}' changed while it was sent: upload it again once it is complete.")


def _read(path: Path, offset: int, length: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length)
