"""Bounds of everything that a pod, or whoever answers in a pool's place, may send.

One table, so that a bound is stated once, with its reason. `docs/reliability.md` shows it, and a test compares the two.
What reads an answer finds its bounds here by the path that was asked for (`limit_of`), so that nobody who makes a
request has to think of them. What is larger is not taken: it costs that answer, and no memory beyond the bound.
"""

from typing import NamedTuple

KILOBYTE = 1024
MEGABYTE = 1024 * KILOBYTE
GIGABYTE = 1024 * MEGABYTE


class Limit(NamedTuple):
    """Bounds of one kind of answer; `None` where there is nothing of that to bound.

    Attributes:
        kind: what is bounded, for people.
        reason: why the bounds are where they are.
        bytes: as they come over the line.
        unpacked_bytes: what becomes of them, where they are compressed.
        expansion: how many bytes may become of each one that is compressed.
        frames: in what one read brings.
        entries: in all pages of a list.
        name_chars: of the names of all these entries.
        pages: requests that one list may take.
        nesting: objects and lists within one another in its JSON.
        values: in its JSON; each list or object counts twice. An empty one of three bytes becomes 72 bytes of memory.
    """

    kind: str
    reason: str
    bytes: int | None = None
    unpacked_bytes: int | None = None
    expansion: int | None = None
    frames: int | None = None
    entries: int | None = None
    name_chars: int | None = None
    pages: int | None = None
    nesting: int | None = None
    values: int | None = None


HEAD = Limit(
    kind="head of an answer, and all else in it that is no body",
    reason="A few hundred bytes are usual, and proxies add some.",
    bytes=64 * KILOBYTE,
)
ANSWER = Limit(
    kind="answer to a request, where no line below is for it",
    reason="A few numbers and names.",
    bytes=64 * KILOBYTE,
    nesting=16,
)
REFUSAL = Limit(
    kind="answer that is an error",
    reason="One sentence; of what is longer, as pages of gateways are, only the status counts.",
    bytes=64 * KILOBYTE,
    nesting=16,
)
SESSION = Limit(
    kind="what a pod, or a local pool, says of itself",
    reason="Some thousand packages or sessions with 100 to 300 bytes each.",
    bytes=4 * MEGABYTE,
    entries=20_000,
    nesting=16,
)
LISTING = Limit(
    kind="page of a folder's list",
    reason="1,000 entries a page, each with a path of up to 4 KB; a list of more is a case for an archive.",
    bytes=8 * MEGABYTE,
    entries=200_000,
    name_chars=32_000_000,
    pages=1000,
    nesting=16,
)
FILE_PIECE = Limit(
    kind="piece of a file",
    reason="Bounds the memory that one request takes at either end; fewer where fewer were asked for.",
    bytes=16 * MEGABYTE,
)
FILE_NAMES = Limit(
    kind="list of the files of one request, and the answer to it",
    reason="1,000 files that are sent or removed together, each with a path of up to 4 KB.",
    bytes=8 * MEGABYTE,
    entries=1000,
    nesting=16,
)
SAVE_CALL = Limit(
    kind="call that saves or restores variables, and what has become of it",
    reason="The checksums of 200,000 objects up; down, a report on 50,000 variables with some hundred bytes each.",
    bytes=16 * MEGABYTE,
    entries=50_000,
    nesting=16,
    values=2_000_000,
)
SESSION_LIST = Limit(
    kind="page of a pool's list of sessions",
    reason="Up to 300 sessions a page, each with some 300 bytes.",
    bytes=4 * MEGABYTE,
    entries=10_000,
    pages=200,
    nesting=16,
)
EXECUTION = Limit(
    kind="execution in a built-in interpreter",
    reason="A million characters of each stream are asked for, of six bytes each where they are no ASCII.",
    bytes=16 * MEGABYTE,
    nesting=64,
    values=2_000_000,
)
TRIAL = Limit(
    kind="messages of the cell that `remote-kernel doctor` runs",
    reason="It computes one number.",
    bytes=1 * MEGABYTE,
)
BATCH = Limit(
    kind="batch of a built-in pool's answers, for each request in it",
    reason="As much as the agent keeps ready for one reader.",
    unpacked_bytes=1 * MEGABYTE,
    nesting=16,
)
CELL = Limit(
    kind="cell without an agent",
    reason="All that it shows, at its end. What is more is an error of the cell.",
    bytes=64 * MEGABYTE,
    unpacked_bytes=128 * MEGABYTE,
    nesting=256,
    values=4_000_000,
)
MESSAGE = Limit(
    kind="message with its buffers, down",
    reason="Far over what people display, far under what would take a small machine down.",
    bytes=1 * GIGABYTE,
)
HEADER = Limit(
    kind="header of a message",
    reason="Two ids, a type, a date.",
    bytes=64 * KILOBYTE,
)
REPLY = Limit(
    kind="content of a reply that is looked into",
    reason="Whether a cell has failed, and its number; of what is longer neither is known.",
    bytes=16 * MEGABYTE,
    values=1_000_000,
)
EVENTS = Limit(
    kind="one read of a pod's events",
    reason="A piece becomes at most 20 times as much where an agent of ours has compressed it, and a message has 400 "
    "bytes or more.",
    expansion=32,
    frames=50_000,
)
COMPRESSED = Limit(
    kind="compressed frame",
    reason="An agent compresses 256 KB at a time.",
    bytes=2 * MEGABYTE,
    unpacked_bytes=1 * MEGABYTE,
    expansion=32,
)
NOTE = Limit(
    kind="frame that is neither a message nor compressed",
    reason="The largest one holds the pod's `kernel_info`.",
    bytes=256 * KILOBYTE,
    nesting=32,
)
FILES = Limit(
    kind="frame that names the files that a cell has changed",
    reason="An agent names 1,000 files in 200 KB at most; of what is more, it says only that it is.",
    bytes=256 * KILOBYTE,
    entries=1000,
    nesting=16,
)
KERNEL_INFO = Limit(
    kind="`kernel_info` that is remembered",
    reason="As much as its frame may have.",
    bytes=256 * KILOBYTE,
    nesting=32,
)
REQUEST = Limit(
    kind="request to a pod, unpacked",
    reason="Comms carry arrays, uploads of widgets whole files; more than this at once is a mistake.",
    bytes=256 * MEGABYTE,
    unpacked_bytes=256 * MEGABYTE,
    frames=50_000,
)
BATCH_OF_REQUESTS = Limit(
    kind="batch of requests to an agent in a built-in pool",
    reason="More than one request may have, far less than what would take a small machine down.",
    bytes=256 * MEGABYTE,
    unpacked_bytes=512 * MEGABYTE,
    nesting=16,
)
LAUNCH = Limit(
    kind="launch options of a kernel, to its pod",
    reason="The variables that are forwarded, and a startup file of up to 64 KB.",
    bytes=256 * KILOBYTE,
    entries=1_000,
    nesting=4,
)
ISSUER = Limit(
    kind="document of the issuer that a local pool trusts",
    reason="Microsoft Entra ID has some ten keys in 20 KB.",
    bytes=256 * KILOBYTE,
    nesting=16,
)
JUPYTER_SESSIONS = Limit(
    kind="answer of the Jupyter server that has started the kernel",
    reason="Its sessions, of 500 bytes each.",
    bytes=4 * MEGABYTE,
)

PICTURE = Limit(
    kind="picture that `run --verify` compares by what it shows",
    reason="A large poster; of what is larger the file is compared.",
    unpacked_bytes=256 * MEGABYTE,
)
SAVED_OBJECT = Limit(
    kind="object of a save",
    reason="The program in the interpreter cuts what is longer; what does not shrink has a few bytes more compressed.",
    bytes=4 * MEGABYTE + 8 * KILOBYTE,
    unpacked_bytes=4 * MEGABYTE,
)
MANIFEST = Limit(
    kind="manifest of a save",
    reason="Its objects with some 80 bytes each, of packs twice: as many as 12 GB of arrays of 64 KB have.",
    bytes=64 * MEGABYTE,
    entries=200_000,
    nesting=8,
    values=4_000_000,
)
PACK_HEADER = Limit(
    kind="header of a pack of a save",
    reason="Some 256 variables share a pack; one that has very many buffers has 80 bytes for each of them. All of a "
    "save have as many bytes as a manifest at most.",
    bytes=16 * MEGABYTE,
    nesting=8,
    values=2_000_000,
)

TABLE = (
    HEAD, ANSWER, REFUSAL, SESSION, LISTING, FILE_PIECE, FILE_NAMES, SAVE_CALL, SESSION_LIST, EXECUTION, TRIAL, BATCH,
    CELL, MESSAGE, HEADER, REPLY, EVENTS, COMPRESSED, NOTE, FILES, KERNEL_INFO, REQUEST, BATCH_OF_REQUESTS, LAUNCH,
    ISSUER, JUPYTER_SESSIONS, PICTURE, SAVED_OBJECT, MANIFEST, PACK_HEADER,
)  # fmt: skip
