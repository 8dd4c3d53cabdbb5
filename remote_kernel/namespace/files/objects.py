"""Objects: content by its SHA-256, each in a file of its own."""

from __future__ import annotations

import contextlib
import hashlib
import os
import zlib
from typing import TYPE_CHECKING, Union

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

# What is cut travels again from the last whole piece, and what has changed in one place travels in part.
CONTENT_BYTES = 4 << 20
# What a look at the beginning shows to shrink to less than this is compressed.
WORTH = 0.9
SAMPLE_BYTES = 64 << 10

RAW, ZLIB = b"\0", b"\1"

# An object's hash in 64 hexadecimal digits, and the bytes of its content.
Reference = tuple[str, int]
Buffer = Union[bytes, bytearray, memoryview]


class Damaged(Exception):
    """An object is not there, or is not what its name says; the text says which."""


class NoRoom(Exception):
    """The pod's disk takes no more; the text is a sentence."""


class ObjectWriter:
    """Writes what is not known yet.

    Args:
        folder: is there, and takes the files.
        known: hashes of what is not to be written again.
    """

    def __init__(self, folder: str, known: Container[str]) -> None:
        self._folder, self._known = folder, known

    def write(self, data: Buffer) -> list[Reference]:
        """Return the objects that `data` is made of, all of them written or known. `OSError` if there is no room."""
        return [self._write_one(content) for content in pieces_of(data)]

    def _write_one(self, content: memoryview) -> Reference:
        name = hashlib.sha256(content).hexdigest()
        path = os.path.join(self._folder, name)
        if name not in self._known and not os.path.exists(path):
            write_file(path, *encode(content))
        return name, len(content)


def pieces_of(data: Buffer) -> Iterable[memoryview]:
    """Yield what becomes an object each; of no bytes at all, one that is empty."""
    view = memoryview(data).cast("B")
    for start in range(0, max(len(view), 1), CONTENT_BYTES):
        yield view[start : start + CONTENT_BYTES]


def encode(content: Buffer) -> tuple[bytes, Buffer]:
    """Return the first byte of the file, and the rest of it."""
    sample = memoryview(content)[:SAMPLE_BYTES]
    if len(zlib.compress(sample, 1)) < WORTH * len(sample):
        return ZLIB, zlib.compress(content, 1)
    return RAW, content


def decode(file: bytes) -> bytes:
    """Return the content of an object's file; `Damaged` if it is none."""
    if file[:1] == RAW:
        return file[1:]
    inflate = zlib.decompressobj()
    try:
        content = inflate.decompress(memoryview(file)[1:], CONTENT_BYTES) if file[:1] == ZLIB else b""
    except zlib.error:
        content = b""
    if not inflate.eof:
        raise Damaged("it cannot be decompressed")
    return content


def read_objects(folder: str, references: Iterable[Reference]) -> bytearray:
    """Return the contents, one after another, each of them checked by its hash; `Damaged` if one is not there."""
    data = bytearray()
    for name, size in references:
        content = read_object(folder, name)
        if len(content) != size:
            raise Damaged(f"the file {name[:12]}… has another size")
        data += content
    return data


def read_object(folder: str, name: str) -> bytes:
    """Return an object's content; `Damaged` if its file is missing, or is not what its name says."""
    try:
        with open(os.path.join(folder, name), "rb") as file:
            content = decode(file.read())
    except OSError as error:
        raise Damaged(f"the file {name[:12]}… cannot be read: {error.strerror}") from None
    except Damaged as error:
        raise Damaged(f"the file {name[:12]}… is damaged: {error}") from None
    if hashlib.sha256(content).hexdigest() != name:
        raise Damaged(f"the file {name[:12]}… is not what was saved")
    return content


def write_file(path: str, *parts: Buffer) -> None:
    """Write a file that is there whole or not at all. `OSError` if there is no room."""
    new = f"{path}.{os.getpid()}.new"
    try:
        with open(new, "wb") as file:
            for part in parts:
                file.write(part)
        os.replace(new, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(new)
        raise


def no_room(error: OSError) -> str:
    """Return what to say of a file that cannot be written."""
    return f"The save cannot be written to the pod's disk: {error.strerror or error}."
