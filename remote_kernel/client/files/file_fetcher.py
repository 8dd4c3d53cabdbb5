"""One file of the session to this machine, in pieces: resumed, checked, and in its place whole or not at all."""

import asyncio
import errno
import hashlib

from remote_kernel.client.files.patient_files import PatientFiles
from remote_kernel.client.files.target_folder import Found, Interfered, Partial, Parts, TargetFolder
from remote_kernel.core.download_paths import PARTIAL_PREFIX, shown
from remote_kernel.core.errors import TransferError
from remote_kernel.core.wire import files as wire

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class FileFetcher:
    """Fetches files one after the other.

    Args:
        files: whose progress is told how many bytes are done.
        folder: where they go.
    """

    def __init__(self, files: PatientFiles, folder: TargetFolder) -> None:
        self._files = files
        self._folder = folder

    async def fetch(
        self,
        source: str,
        parts: Parts,
        metadata: wire.Metadata,
        *,
        replaces: Found | None,
        modified: float | None = None,
        is_executable: bool | None = None,
    ) -> Found:
        """Fetch a file, which `metadata` describes with its checksum; return it as it is here then.

        Args:
            source: its path in the session.
            replaces: the file that is here in its place, and nothing else may be.
            modified: when it was changed, in seconds since 1970, if it is to have that time here.
            is_executable: see `Partial.finish`.

        Raises:
            OSError, TransferError: it cannot be written, or its checksum is wrong.
            PoolError, SessionLost.
        """
        progress, done_before = self._files.progress, self._files.progress.bytes_done
        with self._folder.partial(parts, _partial_name(parts[-1], metadata)) as partial:
            while (offset := partial.size) < metadata.size:
                progress.bytes_done = done_before + offset
                piece = await self._files.read(source, offset, metadata.size, metadata.version)
                await asyncio.to_thread(_append, partial, piece)
            if await asyncio.to_thread(partial.digest) != metadata.sha256:
                partial.remove()
                raise TransferError(f"'{shown(source)}' arrived with a wrong checksum: download it again.")
            found = self._finish(partial, replaces=replaces, modified=modified, is_executable=is_executable)
        progress.bytes_done = done_before + metadata.size
        return found

    def put(
        self, parts: Parts, metadata: wire.Metadata, content: bytes, *, replaces: Found | None,
        modified: float | None = None, is_executable: bool | None = None,
    ) -> Found:  # fmt: skip
        """As `fetch`, for a file whose content is here already; blocks."""
        with self._folder.partial(parts, _partial_name(parts[-1], metadata)) as partial:
            _append(partial, content[partial.size :])  # of what was begun, in pieces, the beginning is there
            if partial.digest() != metadata.sha256:
                partial.remove()
                raise TransferError(f"'{shown(metadata.path)}' was changed on its way by another program.")
            return self._finish(partial, replaces=replaces, modified=modified, is_executable=is_executable)

    def _finish(
        self, partial: Partial, *, replaces: Found | None, modified: float | None, is_executable: bool | None
    ) -> Found:
        try:
            return partial.finish(replaces=replaces, modified=modified, is_executable=is_executable)
        except Interfered:
            partial.remove()  # what is fetched next may be another file, or go elsewhere
            raise


def _append(partial: Partial, piece: bytes) -> None:
    """Add a piece; what has no room keeps none from others."""
    try:
        partial.append(piece)
    except OSError as error:
        if error.errno in _NO_ROOM:
            partial.remove()
        raise


def _partial_name(target: str, metadata: wire.Metadata) -> str:
    """Return what a file is called while it grows: it says which version of which file, for the next try to go on."""
    name = hashlib.sha256(f"{target}/{metadata.pod}/{metadata.version}/{metadata.sha256}".encode())
    return f"{PARTIAL_PREFIX}{name.hexdigest()[:32]}"
