"""Objects: the pieces that saves consist of, each named by the SHA-256 of its content.

The file of an object is one byte, `RAW` or `ZLIB`, and the content in that encoding. The program in the interpreter
makes them, of up to `MAX_CONTENT_BYTES` of content; here they are looked at as bytes, and nothing is unpickled.
"""

import hashlib
import re
import zlib
from typing import NamedTuple

from remote_kernel.core.errors import WireError
from remote_kernel.core.limits import SAVED_OBJECT
from remote_kernel.core.numbers import Range

RAW, ZLIB = b"\0", b"\1"

MAX_CONTENT_BYTES = SAVED_OBJECT.unpacked_bytes or 0
MAX_FILE_BYTES = SAVED_OBJECT.bytes or 0

_HASH = re.compile(r"[0-9a-f]{64}")
_SIZE = Range(least=0, most=MAX_CONTENT_BYTES)


class Object(NamedTuple):
    """An object.

    Attributes:
        hash: SHA-256 of its content, in hex; its name.
        size: of its content, in bytes.
    """

    hash: str
    size: int

    @classmethod
    def from_json(cls, value: object) -> "Object":
        """Read `[hash, size]`; raises `WireError`."""
        if not (isinstance(value, list) and len(value) == 2):
            raise WireError("an object of a save is not a pair")
        return cls(parse_hash(value[0]), int(_SIZE.check(value[1], "the size of an object")))


def is_hash(text: str) -> bool:
    """Return whether a text can name an object."""
    return _HASH.fullmatch(text) is not None


def parse_hash(value: object) -> str:
    """Return the name of an object; raises `WireError` for anything else."""
    if not (isinstance(value, str) and is_hash(value)):
        raise WireError("the name of an object of a save is none")
    return value


def check_object(name: str, file: bytes, size: int | None = None) -> None:
    """Raise `WireError` where a file is not the object of this name, or not of this size where one is given.

    A file that differs from the one that was written, and passes, has the same content: there are several ways to
    compress it.
    """
    content = content_of(name, file)
    if size is not None and len(content) != size:
        raise WireError("an object of a save has another size than its manifest says")


def max_file_bytes(size: int) -> int:
    """Return how large the file of an object may be whose content has this size, in bytes: what does not shrink grows
    a little where it is compressed."""
    return min(size + size // 512 + 64, MAX_FILE_BYTES)


def content_of(name: str, file: bytes) -> bytes:
    """Return what is in the file of an object; raises `WireError` where it is not the object of this name."""
    content = _content(file)
    if hashlib.sha256(content).hexdigest() != name:
        raise WireError("the content of an object of a save is not what its name says")
    return content


def _content(file: bytes) -> bytes:
    if len(file) > MAX_FILE_BYTES:
        raise WireError("an object of a save is too large")
    encoding, data = file[:1], file[1:]
    if encoding == RAW:
        return data
    if encoding != ZLIB:
        raise WireError("an object of a save is in no encoding that is known")
    return _unpacked(data)


def _unpacked(data: bytes) -> bytes:
    decompressor = zlib.decompressobj()
    try:
        content = decompressor.decompress(data, MAX_CONTENT_BYTES + 1)
    except zlib.error as error:
        raise WireError("an object of a save is not compressed as it says") from error
    if len(content) > MAX_CONTENT_BYTES or not decompressor.eof or decompressor.unused_data:
        raise WireError("an object of a save is larger than it may be, or incomplete")
    return content
