"""The files of one session, as `core.wire.files` has them on the wire."""

import asyncio
import json
import zlib
from collections.abc import Sequence
from functools import partial
from typing import Any

from remote_kernel.client.http.pieces import Pieces
from remote_kernel.client.http.transport import Broke
from remote_kernel.client.routes.route import Route, understood
from remote_kernel.core.download_paths import shown
from remote_kernel.core.errors import (
    PoolRefused,
    PoolUnreachable,
    RemoteKernelError,
    SessionLost,
    TransferError,
)
from remote_kernel.core.limits import LISTING, Limit
from remote_kernel.core.numbers import NAME
from remote_kernel.core.wire import file_batches as batches
from remote_kernel.core.wire import files as wire
from remote_kernel.core.wire.compression import deflated_bytes, inflate
from remote_kernel.core.wire.frames import COMPRESS_PARAM, COMPRESS_ZLIB

# The pod computes a checksum before it answers: some 300 MB a second on a small machine.
CHECKSUM_SECONDS = 200.0
READ_SECONDS = 60.0

# Of a list; a workspace has less, and whatever else there is would only take time.
MAX_CHECKSUM_BYTES = 1_000_000_000

POD_GONE = (
    "The remote session's pod was replaced while files were on their way, and its files are gone. "
    "Run the notebook again from the top, and transfer the files again."
)

AZURE_TAKES_FILES = "Azure's own API for files works there, with up to 128 MB for each: docs/interpreter-api.md has it."


class RemoteFiles:
    """Reads and writes the files of one pod.

    All methods raise `PoolError`, and `SessionLost` once another pod answers than the one at first.

    Args:
        pod: its name; "" for whichever answers first.
        limit: how long a list may be.
    """

    def __init__(self, transport: Route, pod: str = "", *, limit: Limit = LISTING) -> None:
        self._transport = transport
        self._limit = limit
        self._pod = pod

    @property
    def pod(self) -> str:
        """The name of the pod; "" before it has answered."""
        return self._pod

    @property
    def piece_bytes(self) -> int:
        """The largest piece that may be read or written at once."""
        return min(self._transport.piece_bytes, wire.MAX_PIECE_BYTES)

    async def list(
        self, path: str, *, is_recursive: bool = False, with_checksums: bool = False
    ) -> "list[wire.RemoteEntry]":
        """Return what is in a folder, sorted; with `is_recursive` also what is in the folders below it.

        Two of them may have one name: what is no Unicode in names is replaced there. Of checksums, some may be missing.

        Raises:
            TransferError: the list is longer than one may be, or goes round in circles.
        """
        entries: list[wire.RemoteEntry] = []
        name_chars = 0
        params = {"path": path, "recursive": "1" if is_recursive else "0"}
        for _ in range(self._limit.pages or 0):
            is_quick = sum(entry.size for entry in entries) < MAX_CHECKSUM_BYTES
            asked = {"start": str(len(entries)), **({"sha256": "1"} if with_checksums and is_quick else {})}
            answer = await self._request("GET", wire.FILES_PATH, params | asked, read_seconds=CHECKSUM_SECONDS)
            listing = understood(wire.Listing.from_json, answer)
            entries += listing.entries
            name_chars += sum(len(entry.path) for entry in listing.entries)
            if not listing.next:
                return entries
            if len(entries) > (self._limit.entries or 0) or name_chars > (self._limit.name_chars or 0):
                break
            if listing.next != len(entries) or not listing.entries:
                raise TransferError(f"The session's list of '{shown(path)}' does not come to an end.")
        raise TransferError(
            f"'{shown(path)}' in the session has more than {self._limit.entries:,} files, too long names, or its list "
            "comes in too small pieces: pack them into one archive there."
        )

    async def describe(self, path: str, *, with_checksum: bool = False) -> wire.Metadata:
        params = {"path": path, "sha256": "1" if with_checksum else "0"}
        answer = await self._request("GET", wire.METADATA_PATH, params, read_seconds=CHECKSUM_SECONDS)
        return understood(wire.Metadata.from_json, answer)

    async def make_folder(self, path: str) -> None:
        """Make a folder, with those above it, unless it is there."""
        await self._request("POST", wire.FOLDER_PATH, {"path": path})

    async def write(
        self, path: str, offset: int, piece: bytes, *, size: int, sha256: str,
        modified: float | None = None, is_executable: bool = False, replaces: str | None = None,
    ) -> wire.Received:  # fmt: skip
        """Send a piece of a file that will have `size` bytes and this checksum; return how far the pod has it.

        Args:
            modified: the time that the file will have, in seconds since 1970; `None` for when it is complete there.
            replaces: the version of the only file that it may replace, "" for none; `None` for any.

        Raises:
            PoolRefused: another file is there (`wire.FILE_CHANGED`).
        """
        params = {"path": path, "offset": str(offset), "size": str(size), "sha256": sha256}
        params |= {} if modified is None else {"mtime": str(modified)}
        params |= {"executable": "1"} if is_executable else {}
        params |= {} if replaces is None else {"replaces": replaces or wire.NOTHING}
        answer = await self._request("POST", wire.CONTENT_PATH, params, piece, read_seconds=CHECKSUM_SECONDS)
        return understood(wire.Received.from_json, answer)

    async def write_batch(self, folder: str, files: "Sequence[batches.BatchFile]") -> "Sequence[batches.FileVersion]":
        """Send whole files to a folder; return them as they are there, in the same order.

        It may be made again. Where it fails, some may have been written, each of them whole. One that would have
        replaced another file than it may has the version "".

        Args:
            files: at most `batches.MAX_FILES`, of at most `piece_bytes` together, as `batches.packed_bytes` counts.
        """
        compresses = self._transport.should_compress
        content = await asyncio.to_thread(_pack, files, compresses=compresses)
        params = {"folder": folder, **({COMPRESS_PARAM: COMPRESS_ZLIB} if compresses else {})}
        answer = await self._request("POST", wire.BATCH_PATH, params, content, read_seconds=CHECKSUM_SECONDS)
        received = understood(batches.BatchReceived.from_json, answer).files
        _check([file.path for file in files], [file.path for file in received])
        return received

    async def read_batch(
        self, folder: str, files: "Sequence[batches.FileVersion]", most: int
    ) -> "Sequence[batches.BatchFile]":
        """Return the first of these files that have at most `most` bytes together, and one at least, as they are there.

        One that is not of its version any more has the version "" and no content.

        Args:
            files: at most `batches.MAX_FILES`, with paths below `folder`.

        Raises:
            TransferError: the session sends more than a batch may have.
        """
        compresses = self._transport.should_compress
        params = {"folder": folder, "bytes": str(most), **({COMPRESS_PARAM: COMPRESS_ZLIB} if compresses else {})}
        asked = json.dumps(batches.Fetch(files=[*files]).to_json()).encode()
        size = deflated_bytes(wire.MAX_PIECE_BYTES) if compresses else wire.MAX_PIECE_BYTES
        body = await self._stream("POST", wire.FETCH_PATH, params, asked, name=folder, most=size)
        return await asyncio.to_thread(understood, partial(_unpack, asked=files, is_compressed=compresses), body)

    async def remove(self, files: "Sequence[batches.FileVersion]", *, folder: str = "") -> batches.Removed:
        """Remove files, each if it is still of the version that is named; it may be made again.

        Args:
            files: at most `batches.MAX_FILES`, with paths below `folder`.
            folder: stays, even if nothing is left in it, unlike those below it.
        """
        content = json.dumps(batches.Removal(files=[*files]).to_json()).encode()
        answer = await self._request(
            "POST", wire.REMOVE_PATH, {"folder": folder}, content, read_seconds=CHECKSUM_SECONDS
        )
        removed = understood(batches.Removed.from_json, answer)
        _check(sorted(file.path for file in files), sorted([*removed.removed, *removed.kept]))
        return removed

    async def read(self, path: str, offset: int, length: int, *, version: str) -> bytes:
        """Return `length` bytes from `offset` on, fewer at the end of the file.

        Raises:
            PoolRefused: the file is not of this version any more (`wire.FILE_CHANGED`).
            TransferError: the session sends more than was asked for.
        """
        params = {"path": path, "offset": str(offset), "length": str(length), "version": version}
        return await self._stream("GET", wire.CONTENT_PATH, params, b"", name=path, most=length)

    async def _stream(
        self, method: str, path: str, params: dict[str, str], content: bytes, *, name: str, most: int
    ) -> bytes:
        """Return the bytes of an answer; `name` is what they are of."""
        pieces = Pieces()
        left = most
        try:
            async with self._transport.stream(
                method, path, params=self._named(params), content=content, read_seconds=READ_SECONDS
            ) as response:
                async for piece in response.chunks():
                    left -= len(piece)
                    if left < 0:
                        raise TransferError(f"The session sends more of '{shown(name)}' than it has announced.")
                    pieces.add(piece)
        except Broke as error:
            raise PoolUnreachable(f"The connection to the session broke: {error}.") from error
        except PoolRefused as error:
            raise _translate(error) from None
        return pieces.join()

    async def _request(
        self,
        method: str,
        path: str,
        params: dict[str, str],
        content: bytes = b"",
        read_seconds: float = READ_SECONDS,
    ) -> dict[str, Any]:
        try:
            answer = await self._transport.request(
                method, path, params=self._named(params), content=content, read_seconds=read_seconds
            )
        except PoolRefused as error:
            raise _translate(error) from None
        self._pod = self._pod or str(answer.get("pod", ""))[: NAME.most]
        return answer

    def _named(self, params: dict[str, str]) -> dict[str, str]:
        return {**params, "pod": self._pod} if self._pod else params


def _pack(files: Sequence[batches.BatchFile], *, compresses: bool) -> bytes:
    packed = batches.pack(files)
    return zlib.compress(packed, zlib.Z_BEST_SPEED) if compresses else packed


def _unpack(body: bytes, asked: Sequence[batches.FileVersion], *, is_compressed: bool) -> Sequence[batches.BatchFile]:
    packed = inflate(body, max_bytes=wire.MAX_PIECE_BYTES, name="a batch") if is_compressed else body
    return batches.unpack_fetched(packed, asked)


def _check(asked: Sequence[str], answered: Sequence[str]) -> None:
    """Raise `PoolUnreachable` where an answer is not about the files that were asked about."""
    if asked != answered:
        raise PoolUnreachable("The session speaks of other files than it was asked about.")


def _translate(error: PoolRefused) -> RemoteKernelError:
    match error.code:
        case wire.POD_MISMATCH:
            return SessionLost(POD_GONE)
        case wire.NO_AGENT:
            return TransferError(f"{error} {AZURE_TAKES_FILES}")
        case _:
            return error
