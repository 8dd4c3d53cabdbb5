"""Files for what a journal does not keep in memory."""

import os
import tempfile
from pathlib import Path


class SpillFile:
    """A file without a name, which only this process can open and which goes with it; raises `OSError`."""

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - it is closed by `close`
        self._end = 0

    def append(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            written = os.pwrite(self._file.fileno(), rest, self._end)
            self._end += written
            rest = rest[written:]

    def read(self, offset: int, size: int) -> bytes:
        pieces = []
        while size:
            piece = os.pread(self._file.fileno(), size, offset)
            if not piece:
                raise OSError("a spill file is too short")
            pieces.append(piece)
            offset += len(piece)
            size -= len(piece)
        return b"".join(pieces)

    def close(self) -> None:
        self._file.close()
