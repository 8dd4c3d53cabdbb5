"""Files that arrive in pieces, over as many connections as it takes."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.io.file_pieces import digest
from remote_kernel.pod.files.data_folder import (
    UPLOAD_PREFIX,
    WrongKind,
    explaining,
    may_replace,
    put_in_place,
    version_of,
)


@dataclass(frozen=True, slots=True)
class Taken:
    """State of an upload: so many bytes are there, and the version of the file once it is in its place."""

    bytes: int
    version: str = ""


class ChecksumMismatch(RemoteKernelError):
    """All bytes have arrived, and they are not those that were announced."""


class FileChanged(RemoteKernelError):
    """The file is not the one that the client has spoken of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file on its way to `target`. What it will be names the hidden file in which it grows, so that whoever sends the
    same again goes on where the last one stopped.

    Attributes:
        size: in bytes, when it is complete.
        sha256: of the whole, in hex.
        modified: its time, in seconds since 1970; `None` for when it is complete.
        replaces: the version of the only file that it may replace, "" for none; `None` for any.
    """

    target: Path
    size: int
    sha256: str
    modified: float | None = None
    is_executable: bool = False
    replaces: str | None = None

    @property
    def _path(self) -> Path:
        name = hashlib.sha256(f"{self.target.name}/{self.size}/{self.sha256}".encode(errors="surrogateescape"))
        # Beside the target, as a file can only be moved at once within one file system.
        return self.target.with_name(f"{UPLOAD_PREFIX}{name.hexdigest()[:32]}")

    def write(self, offset: int, piece: bytes) -> Taken:
        """Take a piece; return what is there then.

        A piece behind bytes that are missing is not taken. One that has been taken already changes nothing.

        Raises:
            ChecksumMismatch: the bytes are not those announced; they are forgotten.
            FileChanged: another file is there than it may replace; the bytes are kept.
            WrongKind: the target is a folder, or something above it is a file.
            NotWritable: the system refuses, as when the disk is full.
        """
        if self.target.is_dir():
            raise WrongKind("The path is a folder.")
        with explaining():
            self.target.parent.mkdir(parents=True, exist_ok=True)
            if offset and not self._path.exists() and self._is_in_place():
                return Taken(self.size, version_of(self.target.stat()))  # and the answer to the last piece was lost
            with self._path.open("r+b" if self._path.exists() else "x+b") as file:
                have = file.seek(0, 2)
                if offset <= have:
                    file.seek(offset)
                    file.write(piece[: self.size - offset])
                    have = max(have, file.tell())
            if have < self.size:
                return Taken(have)
            return Taken(self.size, self._finish())

    def _is_in_place(self) -> bool:
        return self.target.is_file() and self.target.stat().st_size == self.size and digest(self.target) == self.sha256

    def _finish(self) -> str:
        if digest(self._path) != self.sha256:
            self._path.unlink()
            raise ChecksumMismatch("The bytes that arrived are not those of the file: it changed while it was sent.")
        if not may_replace(self.target, self.replaces):
            if self._is_in_place():  # and the answer that said so was lost
                self._path.unlink()
                return version_of(self.target.stat())
            raise FileChanged("The file that would be replaced has changed.")
        return put_in_place(self._path, self.target, is_executable=self.is_executable, modified=self.modified)
