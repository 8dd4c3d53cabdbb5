"""The files of a pod, a part of wire version 2: one definition for both ends.

    GET  /api/v2/files           path, recursive=1, start,   a `Listing` of a folder
                                 sha256=1
    GET  /api/v2/files/metadata  path, sha256=1              the `Metadata` of a file or folder
    GET  /api/v2/files/content   path, version,              the bytes of a file from `offset` on,
                                 offset, length              at most `length` and `MAX_PIECE_BYTES`
    POST /api/v2/files/content   path, size, sha256, offset, the body is a piece of the file; answered with `Received`
                                 mtime, executable=1, replaces
    POST /api/v2/files/folder    path                        make a folder, with those above it
    POST /api/v2/files/batch     folder, compress=zlib       the body is a batch of whole files (`file_batches`), with
                                                             paths relative to `folder`
    POST /api/v2/files/fetch     folder, bytes,              the body is a `Fetch`, with paths relative to `folder`;
                                 compress=zlib               the answer is a batch of at most `bytes`, or of one file
    POST /api/v2/files/remove    folder                      the body is a `Removal`, with paths relative to `folder`

A path is relative to the pod's data folder, which is where cells run and which nothing here leads out of; "" is the
folder itself. Every request may carry `pod=`, and is refused with `POD_MISMATCH` by a pod of another name, so that a
transfer never goes on in a pod that has nothing of it.

A file is sent in pieces that may be repeated: each is written at its offset into a hidden file beside the target, which
takes the target's place once it has all bytes and their checksum is right. `Received.bytes` says how many the pod has,
whatever has been asked of it, so that a sender goes on from there after anything that has gone wrong. Small files go
many at a time, each of which gets its place in one step; what cannot be understood, or leads out of the data folder, is
refused before anything is written. Either way `replaces` may name the version of the only file that may be in the
place, or say that there may be none, so that no change is lost that the sender has not seen. A file is removed only if
it is the one that the client knows, by its version; with it go folders above it, below `folder`, that are empty then; a
folder that is named goes if it is empty.
"""

from dataclasses import dataclass
from typing import Annotated

from remote_kernel.core.limits import FILE_PIECE
from remote_kernel.core.numbers import MOMENT, NAME, VERSION, Items
from remote_kernel.core.wire.fields import JsonAnswer

FILES_PATH = "/api/v2/files"
METADATA_PATH = "/api/v2/files/metadata"
CONTENT_PATH = "/api/v2/files/content"
FOLDER_PATH = "/api/v2/files/folder"
BATCH_PATH = "/api/v2/files/batch"
FETCH_PATH = "/api/v2/files/fetch"
REMOVE_PATH = "/api/v2/files/remove"

# `replaces` where there may be no file.
NOTHING = "nothing"

MAX_PIECE_BYTES = FILE_PIECE.bytes or 0

# Entries in one answer: some 150 KB of JSON.
MAX_ENTRIES = 1000

# Bytes of the files whose checksums are in one answer: a second or two of a small machine.
MAX_CHECKSUM_BYTES = 256 * 1024 * 1024

# `error.code` of the refusals that a client acts on.
POD_MISMATCH = "PodMismatch"
FILE_MISSING = "FileMissing"
FILE_CHANGED = "FileChanged"
CHECKSUM_MISMATCH = "ChecksumMismatch"
NOT_WRITABLE = "NotWritable"
NO_AGENT = "NoAgent"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteEntry:
    """A file or folder in a listing.

    Attributes:
        path: relative to the folder that was listed, with "/" between its parts.
        size: in bytes; 0 for a folder.
        modified: seconds since 1970.
        version: changes whenever the file does; "" for a folder.
        sha256: of the content, in hex; "" for folders, where it was not asked for, and where it would take too long.
    """

    path: str
    is_folder: bool
    size: int
    modified: Annotated[float, MOMENT]
    version: Annotated[str, VERSION] = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(JsonAnswer):
    """Entries of a folder, sorted, from the one with the number `start` on.

    Attributes:
        pod: the name of the pod that answers.
        next: the number of the first entry that is left for another request; 0 when there is none.
    """

    pod: Annotated[str, NAME]
    entries: Annotated[list[RemoteEntry], Items(most=MAX_ENTRIES)]
    next: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata(JsonAnswer):
    """A file or folder.

    Attributes:
        path: as the pod understands it: relative to the data folder, "" for the folder itself.
        version: changes whenever the file does.
        sha256: of the content, in hex; "" for folders and where it was not asked for.
        permissions: the bits of its mode; 0 where the agent does not say.
    """

    pod: Annotated[str, NAME]
    path: str
    is_folder: bool
    size: int
    modified: Annotated[float, MOMENT]
    version: Annotated[str, VERSION]
    sha256: str
    permissions: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Received(JsonAnswer):
    """State of an upload: the first `bytes` of the file are there; whether it is in its place.

    Attributes:
        version: of the file in its place; "" before that.
    """

    pod: Annotated[str, NAME]
    bytes: int
    is_complete: bool
    version: Annotated[str, VERSION] = ""
