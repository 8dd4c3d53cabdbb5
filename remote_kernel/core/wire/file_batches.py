"""Batches of files that are sent, fetched or removed together, a part of `core.wire.files`: the same for both ends.

    POST /api/v2/files/batch     the body is a packed batch of small files, whole; answered with `BatchReceived`
    POST /api/v2/files/fetch     the body is a `Fetch`; answered with a packed batch of the first ones of these files
    POST /api/v2/files/remove    the body is a `Removal`, answered with `Removed`

    packed   the head, a JSON object on one line, with path, size, mode and time of each file; a line feed; their bytes

A batch is no tar: there can be nothing in it but files, so that nobody has to look for links, devices and holes. What a
file costs beside its bytes is its path and some forty more; in a tar it is a thousand or two.
"""

import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

from remote_kernel.core.errors import WireError
from remote_kernel.core.limits import FILE_NAMES
from remote_kernel.core.numbers import BELOW, MOMENT, NAME, VERSION, Items
from remote_kernel.core.wire import blobs
from remote_kernel.core.wire.fields import JsonAnswer

T = TypeVar("T")

# Files in one request.
MAX_FILES = FILE_NAMES.entries or 0

# Size, mode and time of one file, as digits, and a version.
_FIELD_BYTES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFile:
    """A file on its way.

    Attributes:
        path: relative to the folder that the batch is for, with "/" between its parts.
        modified: seconds since 1970.
        version: on its way up, of the only file that it may replace, "" for none, and `None` for any; on its way down,
            its own, and "" for a file that is not of the version that was asked for, and not in the batch.
    """

    path: str
    content: bytes
    modified: float
    is_executable: bool = False
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileVersion:
    """A file, as it was at some time; its path is relative to the folder that a request names.

    Attributes:
        version: "" for a folder.
    """

    path: Annotated[str, BELOW]
    version: Annotated[str, VERSION]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchReceived(JsonAnswer):
    """The files of a batch as they are in their places, in its order.

    One that would have replaced another file than it may was not written, and has the version "".
    """

    pod: Annotated[str, NAME]
    files: Annotated[list[FileVersion], Items(most=MAX_FILES)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch(JsonAnswer):
    """Wish to have files, each if it is still of this version."""

    files: Annotated[list[FileVersion], Items(most=MAX_FILES)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal(JsonAnswer):
    """Wish that files be removed, each if it is still of this version, and folders, each if it is empty."""

    files: Annotated[list[FileVersion], Items(most=MAX_FILES)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed(JsonAnswer):
    """Outcome of a `Removal`.

    Attributes:
        removed: paths of what is not there any more.
        kept: of what has changed, or is no file.
    """

    pod: Annotated[str, NAME]
    removed: Annotated[list[Annotated[str, BELOW]], Items(most=MAX_FILES)]
    kept: Annotated[list[Annotated[str, BELOW]], Items(most=MAX_FILES)]


def packed_bytes(path: str, size: int) -> int:
    """Return how many bytes a file of this size adds to a batch at most."""
    return len(json.dumps(path)) + _FIELD_BYTES + size


def take_batch(queue: deque[T], room: int, file_of: Callable[[T], tuple[str, int]]) -> list[T]:
    """Take files from a queue for as long as they fit into one request.

    Args:
        room: bytes that it may have.
        file_of: returns the path and size of one.
    """
    batch: list[T] = []
    while queue and len(batch) < MAX_FILES:
        room -= packed_bytes(*file_of(queue[0]))
        if room < 0:
            break
        batch.append(queue.popleft())
    return batch


def pack(files: Sequence[BatchFile]) -> bytes:
    heads = [[file.path, len(file.content), file.is_executable, file.modified, file.version] for file in files]
    return blobs.join({"files": heads}, (file.content for file in files))


def unpack(body: bytes) -> list[BatchFile]:
    """Read what `pack` wrote.

    Raises:
        WireError: it is something else; there are more files than may be, or one of them twice; or a path is none that
            stays below a folder.
    """
    head, content = blobs.split(body, FILE_NAMES, FILE_NAMES.bytes or 0)
    try:
        rows = head["files"]
        if not isinstance(rows, list) or len(rows) > MAX_FILES:
            raise WireError(f"a batch of more than {MAX_FILES:,} files")
        files = [
            BatchFile(
                path=BELOW.check(path, "a path"),
                content=content.take(size),
                is_executable=is_executable is True,
                modified=float(MOMENT.check(modified, "a time")),
                version=None if version is None else VERSION.check(version, "a version"),
            )
            for path, size, is_executable, modified, version in rows
        ]
    except (TypeError, ValueError, KeyError) as error:
        raise WireError("a batch with other fields than it should have") from error
    if not content.is_empty or len({file.path for file in files}) < len(files):
        raise WireError("a batch with more bytes than its files have, or with a file twice")
    return files


def unpack_fetched(body: bytes, asked: Sequence[FileVersion]) -> list[BatchFile]:
    """Read the answer to a `Fetch`: one file at least, and no other than those that were asked for, in their order.

    Raises:
        WireError: as `unpack` does, and where it is about something else.
    """
    files = unpack(body)
    if not files or [file.path for file in files] != [each.path for each in asked[: len(files)]]:
        raise WireError("a batch of other files than were asked for")
    for file, each in zip(files, asked, strict=False):
        if file.version not in ("", each.version) or (file.content and not file.version):
            raise WireError("a file of another version than was asked for")
    return files
