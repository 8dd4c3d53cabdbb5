"""Requests about a pod's files, as `core.wire.files` defines them."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from weakref import WeakValueDictionary

from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.core.wire import files as wire
from remote_kernel.io.file_pieces import digest, read_piece
from remote_kernel.pod.api.calls import Answer, BadRequest, Call, Handler
from remote_kernel.pod.files.data_folder import DataFolder, Entry, FileMissing, explaining
from remote_kernel.pod.files.uploads import Upload

MAX_FILE_BYTES = 1 << 40


class PodMismatch(RemoteKernelError):
    """The client speaks of another pod."""


class FileChanged(RemoteKernelError):
    """The file is not the one that the client has begun to read."""


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
        self.handlers: dict[tuple[str, str], Handler] = {
            ("GET", wire.FILES_PATH): self._list,
            ("GET", wire.METADATA_PATH): self._describe,
            ("GET", wire.CONTENT_PATH): self._read,
            ("POST", wire.CONTENT_PATH): self._write,
            ("POST", wire.FOLDER_PATH): self._make_folder,
        }

    def _path_of(self, call: Call) -> str:
        """Return the path that a request speaks of; raises `PodMismatch` when it means another pod's."""
        if call.params.get("pod", self._pod) != self._pod:
            raise PodMismatch("The pod of the session is another one, and has none of the files of the one before it.")
        return call.params.get("path", "")

    async def _list(self, call: Call) -> Answer:
        path, start = self._path_of(call), call.number("start", 0)
        is_recursive = call.params.get("recursive") == "1"
        entries = await asyncio.to_thread(self._folder.entries, path, recursive=is_recursive)
        end = start + wire.MAX_ENTRIES
        listed = [_to_wire(entry) for entry in entries[start:end]]
        listing = wire.Listing(pod=self._pod, entries=listed, next=end if end < len(entries) else 0)
        return Answer.of_json(listing.to_json())

    async def _describe(self, call: Call) -> Answer:
        path = self._path_of(call)
        entry = self._folder.describe(path)
        file = self._folder.resolve(path)
        is_asked = call.params.get("sha256") == "1" and not entry.is_directory
        with _reading():
            sha256 = await asyncio.to_thread(digest, file) if is_asked else ""
            version = _version(file)
        metadata = wire.Metadata(
            pod=self._pod,
            path="" if file == self._folder.root else file.relative_to(self._folder.root).as_posix(),
            is_folder=entry.is_directory,
            size=0 if entry.is_directory else entry.size,
            modified=entry.modified.timestamp(),
            version=version,
            sha256=sha256,
        )
        return Answer.of_json(metadata.to_json())

    async def _read(self, call: Call) -> Answer:
        file = self._folder.file(self._path_of(call))
        offset = call.number("offset", 0)
        length = min(call.number("length", wire.MAX_PIECE_BYTES), wire.MAX_PIECE_BYTES)
        with _reading():
            piece = await asyncio.to_thread(read_piece, file, offset, length)
            is_same = call.params.get("version", "") in ("", _version(file))
        if not is_same:
            raise FileChanged("The file has changed since the client began to read it.")
        return Answer(body=piece, media_type="application/octet-stream")

    async def _write(self, call: Call) -> Answer:
        path, offset = self._path_of(call), call.number("offset")
        size, sha256 = call.number("size"), call.required("sha256")
        upload = Upload(target=self._folder.resolve(path), size=size, sha256=sha256)
        piece = await call.read_body()
        if size > MAX_FILE_BYTES or len(piece) > wire.MAX_PIECE_BYTES:
            raise BadRequest(f"A file may have {MAX_FILE_BYTES:,} bytes, and a piece {wire.MAX_PIECE_BYTES:,}.")
        # What was sent again because its answer was lost may still be at work.
        async with self._locks.setdefault(upload.target, asyncio.Lock()):
            have, is_complete = await asyncio.to_thread(upload.write, offset, piece)
        return Answer.of_json(wire.Received(pod=self._pod, bytes=have, is_complete=is_complete).to_json())

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
    )


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FileMissing(f"The file cannot be read: {error.strerror}.") from None


def _version(file: Path) -> str:
    status = file.stat()
    return f"{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns:x}"
