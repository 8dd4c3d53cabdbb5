"""Requests about a pod's files, as `core.wire.files` defines them."""

import asyncio
import contextlib
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from weakref import WeakValueDictionary

from remote_kernel.core.json_text import parse_json_object
from remote_kernel.core.limits import FILE_NAMES
from remote_kernel.core.wire import file_batches as batches
from remote_kernel.core.wire import files as wire
from remote_kernel.core.wire.compression import deflated_bytes, inflate
from remote_kernel.core.wire.frames import COMPRESS_PARAM, COMPRESS_ZLIB
from remote_kernel.io.file_pieces import digest, read_piece
from remote_kernel.pod.api.calls import Answer, BadRequest, Call, Handler
from remote_kernel.pod.files.data_folder import DataFolder, Entry, FileMissing, InvalidPath, explaining, version_of
from remote_kernel.pod.files.file_batches import read_files, remove_files, write_files
from remote_kernel.pod.files.uploads import FileChanged, Upload

MAX_FILE_BYTES = 1 << 40

# So long after one page of a list the next one may be asked for.
LISTED_SECONDS = 60.0


class Files:
    """The file requests of one pod.

    Args:
        pod: its name.

    Attributes:
        handlers: by method and path, as those of `Api`.
    """

    def __init__(self, folder: DataFolder, pod: str) -> None:
        self._folder = folder
        self._pod = pod
        self._locks: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()
        self._batch_lock = asyncio.Lock()
        self._listed: tuple[tuple[str, bool], list[Entry]] | None = None
        self._forgetting: asyncio.TimerHandle | None = None
        self.handlers: dict[tuple[str, str], Handler] = {
            ("GET", wire.FILES_PATH): self._list,
            ("GET", wire.METADATA_PATH): self._describe,
            ("GET", wire.CONTENT_PATH): self._read,
            ("POST", wire.CONTENT_PATH): self._write,
            ("POST", wire.FOLDER_PATH): self._make_folder,
            ("POST", wire.BATCH_PATH): self._write_batch,
            ("POST", wire.FETCH_PATH): self._fetch,
            ("POST", wire.REMOVE_PATH): self._remove,
        }

    def _path_of(self, call: Call, name: str = "path") -> str:
        """Return the path that a request speaks of; raises `PodMismatch` when it means another pod's."""
        call.check_pod(self._pod)
        return call.params.get(name, "")

    async def _list(self, call: Call) -> Answer:
        path, start = self._path_of(call), call.number("start", 0)
        entries = await self._entries(path, start, is_recursive=call.params.get("recursive") == "1")
        end = start + wire.MAX_ENTRIES
        listed = [_to_wire(entry) for entry in entries[start:end]]
        if call.params.get("sha256") == "1":
            listed = await asyncio.to_thread(self._with_checksums, path, listed)
        listing = wire.Listing(pod=self._pod, entries=listed, next=end if end < len(entries) else 0)
        return Answer.of_json(listing.to_json())

    async def _entries(self, path: str, start: int, *, is_recursive: bool) -> list[Entry]:
        """Return what is in a folder: for a later page as it was for the first one, so that no entry changes its number
        between the two, and the folder is walked through once."""
        folder, listed = (path, is_recursive), self._listed
        if start and listed is not None and listed[0] == folder:
            entries = listed[1]
        else:
            entries = await asyncio.to_thread(self._folder.entries, path, recursive=is_recursive)
        self._forget_listed()
        if start + wire.MAX_ENTRIES < len(entries):
            self._listed = folder, entries
            self._forgetting = asyncio.get_running_loop().call_later(LISTED_SECONDS, self._forget_listed)
        return entries

    def _forget_listed(self) -> None:
        self._listed = None
        if self._forgetting is not None:
            self._forgetting.cancel()

    def _with_checksums(self, folder: str, listed: list[wire.RemoteEntry]) -> list[wire.RemoteEntry]:
        """Add the checksums of files that have not changed meanwhile, until there are too many bytes."""
        left = wire.MAX_CHECKSUM_BYTES
        summed = []
        for entry in listed:
            left -= entry.size
            sha256 = self._checksum(folder, entry) if left >= 0 and not entry.is_folder else ""
            summed.append(replace(entry, sha256=sha256))
        return summed

    def _checksum(self, folder: str, entry: wire.RemoteEntry) -> str:
        try:
            file = self._folder.resolve_below(folder, entry.path)
            sha256 = digest(file)
            return sha256 if version_of(file.stat()) == entry.version else ""
        except (OSError, InvalidPath):
            return ""

    async def _describe(self, call: Call) -> Answer:
        path = self._path_of(call)
        entry = self._folder.describe(path)
        file = self._folder.resolve(path)
        is_asked = call.params.get("sha256") == "1" and not entry.is_directory
        with _reading():
            sha256 = await asyncio.to_thread(digest, file) if is_asked else ""
        metadata = wire.Metadata(
            pod=self._pod,
            path="" if file == self._folder.root else file.relative_to(self._folder.root).as_posix(),
            is_folder=entry.is_directory,
            size=0 if entry.is_directory else entry.size,
            modified=entry.modified.timestamp(),
            version=entry.version,  # as it was before it was read
            sha256=sha256,
            permissions=entry.permissions,
        )
        return Answer.of_json(metadata.to_json())

    async def _read(self, call: Call) -> Answer:
        file = self._folder.file(self._path_of(call))
        offset = call.number("offset", 0)
        length = min(call.number("length", wire.MAX_PIECE_BYTES), wire.MAX_PIECE_BYTES)
        with _reading():
            piece = await asyncio.to_thread(read_piece, file, offset, length)
            is_same = call.params.get("version", "") in ("", version_of(file.stat()))
        if not is_same:
            raise FileChanged("The file has changed since the client began to read it.")
        return Answer(body=piece, media_type="application/octet-stream")

    async def _write(self, call: Call) -> Answer:
        path, offset = self._path_of(call), call.number("offset")
        size, sha256 = call.number("size"), call.required("sha256")
        replaces = call.params.get("replaces")
        upload = Upload(
            target=self._folder.resolve(path), size=size, sha256=sha256,
            modified=call.moment("mtime"), is_executable=call.params.get("executable") == "1",
            replaces="" if replaces == wire.NOTHING else replaces,
        )  # fmt: skip
        piece = await call.read_body()
        if size > MAX_FILE_BYTES or len(piece) > wire.MAX_PIECE_BYTES:
            raise BadRequest(f"A file may have {MAX_FILE_BYTES:,} bytes, and a piece {wire.MAX_PIECE_BYTES:,}.")
        # What was sent again because its answer was lost may still be at work.
        async with self._locks.setdefault(upload.target, asyncio.Lock()):
            taken = await asyncio.to_thread(upload.write, offset, piece)
        received = wire.Received(
            pod=self._pod, bytes=taken.bytes, is_complete=bool(taken.version), version=taken.version
        )
        return Answer.of_json(received.to_json())

    async def _write_batch(self, call: Call) -> Answer:
        folder, body = self._path_of(call, "folder"), await call.read_body()
        files = await asyncio.to_thread(_unpack, body, is_compressed=call.params.get(COMPRESS_PARAM) == COMPRESS_ZLIB)
        async with self._batch_lock:  # the same again, whose answer was lost, is to be the last
            written = await asyncio.to_thread(write_files, self._folder, folder, files)
        return Answer.of_json(batches.BatchReceived(pod=self._pod, files=written).to_json())

    async def _fetch(self, call: Call) -> Answer:
        folder, body = self._path_of(call, "folder"), await call.read_body()
        wanted = batches.Fetch.from_json(parse_json_object(body, FILE_NAMES)).files
        most = min(call.number("bytes", wire.MAX_PIECE_BYTES), wire.MAX_PIECE_BYTES)
        compresses = call.params.get(COMPRESS_PARAM) == COMPRESS_ZLIB
        packed = await asyncio.to_thread(self._pack, folder, wanted, most, compresses=compresses)
        return Answer(body=packed, media_type="application/octet-stream")

    def _pack(self, folder: str, wanted: list[batches.FileVersion], most: int, *, compresses: bool) -> bytes:
        packed = batches.pack(read_files(self._folder, folder, wanted, most))
        return zlib.compress(packed, zlib.Z_BEST_SPEED) if compresses else packed

    async def _remove(self, call: Call) -> Answer:
        folder, body = self._path_of(call, "folder"), await call.read_body()
        wanted = batches.Removal.from_json(parse_json_object(body, FILE_NAMES)).files
        async with self._batch_lock:
            removed, kept = await asyncio.to_thread(remove_files, self._folder, folder, wanted)
        return Answer.of_json(batches.Removed(pod=self._pod, removed=removed, kept=kept).to_json())

    async def _make_folder(self, call: Call) -> Answer:
        folder = self._folder.resolve(self._path_of(call))
        with explaining():
            folder.mkdir(parents=True, exist_ok=True)
        return Answer.of_json({"pod": self._pod})


def _to_wire(entry: Entry) -> wire.RemoteEntry:
    return wire.RemoteEntry(
        path=f"{entry.directory}/{entry.name}" if entry.directory else entry.name,
        is_folder=entry.is_directory,
        size=0 if entry.is_directory else entry.size,
        modified=entry.modified.timestamp(),
        version="" if entry.is_directory else entry.version,
    )


def _unpack(body: bytes, *, is_compressed: bool) -> list[batches.BatchFile]:
    """Return the files of a batch, which has as many bytes as a piece may have; raises `BadRequest` or `WireError`."""
    if len(body) > (deflated_bytes(wire.MAX_PIECE_BYTES) if is_compressed else wire.MAX_PIECE_BYTES):
        raise BadRequest(f"A batch of files may have {wire.MAX_PIECE_BYTES:,} bytes.")
    return batches.unpack(inflate(body, max_bytes=wire.MAX_PIECE_BYTES, name="a batch") if is_compressed else body)


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FileMissing(f"The file cannot be read: {error.strerror}.") from None
