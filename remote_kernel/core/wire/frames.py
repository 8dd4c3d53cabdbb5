"""Wire version 2 between kernel and pod: its requests and frames, one definition for both ends.

A stream, and the body of a `POST /api/v2/messages`, is a run of frames; `wire.codec` has their bytes. Nothing here
knows what the parts of messages mean: signatures and routing prefixes belong to each side's ZeroMQ sockets and do not
travel.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Any, NamedTuple

from remote_kernel.core.limits import FILES
from remote_kernel.core.numbers import BELOW, COOLDOWN, EPOCH, MOMENT, NAME, REMARK, VERSION, Items

# How the paths of all its requests begin.
AGENT_PREFIX = "/api/v2/"

EXECUTE_PATH = "/api/v2/execute"
SESSION_PATH = "/api/v2/session"
MESSAGES_PATH = "/api/v2/messages"
EVENTS_PATH = "/api/v2/events"
RELEASE_PATH = "/api/v2/release"
# Here, so that those who only need to know them do not load `wire.packages` and `wire.saves`.
PACKAGES_PATH = "/api/v2/packages"
CALLS_PATH = "/api/v2/saves/calls"
CANCEL_PATH = "/api/v2/saves/cancel"
STOP_SESSION_PATH = "/.management/stopSession"

DEFAULT_KERNEL = "main"
DEFAULT_KERNELSPEC = "python3"

# How the names of kernels begin that are one process's alone (`REMOTE_KERNEL_FRESH`): nobody can come back to them.
FRESH_PREFIX = "run-"

FRAME_MEDIA_TYPE = "application/vnd.remote-kernel.v2"
NDJSON_MEDIA_TYPE = "application/x-ndjson"

# Who only looks at a session, and does not use it, says so with "1".
LOOK_PARAM = "look"

# What a reader of events says that takes compressed frames.
COMPRESS_PARAM = "compress"
COMPRESS_ZLIB = "zlib"

# The folder whose changes a reader of events wants to hear of: "." for the data folder, or a path in it.
WORKSPACE_PARAM = "workspace"

# So many files, and so many bytes with all else in it, are named in one `Files` frame.
MAX_FILES = FILES.entries or 0
MAX_FILES_BYTES = 200 * 1024

# Silence for this long means that the connection is dead. Half of it still carries two keepalives.
KEEPALIVE_SECONDS = 5.0
STALE_SECONDS = 4 * KEEPALIVE_SECONDS

# Azure cuts a request after about 1,801 s (measured on a real pool); we end it ourselves well before.
MAX_STREAM_SECONDS = 1500.0

# `error.code` of the refusal that tells a client that its session is gone.
EPOCH_MISMATCH = "EpochMismatch"

# And of the one that tells it of a defect of the agent's: the same request would meet it again.
AGENT_FAILED = "AgentFailed"


class Channel(IntEnum):
    """Jupyter's channels that carry messages (the heartbeat stays local)."""

    SHELL = 1
    CONTROL = 2
    STDIN = 3
    IOPUB = 4


class FrameType(IntEnum):
    MESSAGE = 1
    KEEPALIVE = 2
    HELLO = 3
    GAP = 4
    EPOCH = 5
    END = 6
    PEERS = 7
    COMPRESSED = 8
    FILES = 9


class Message(NamedTuple):
    """One Jupyter message as raw parts: header, parent header, metadata, content, then buffers.

    Large ones are where they came in (`core.jupyter.parts`).

    A named tuple, as those that travel thousands of times a second are made in half of a frozen dataclass's time.
    """

    channel: Channel
    parts: tuple[bytes, ...]
    sequence: int = 0
    seen: int = 0

    @property
    def size(self) -> int:
        """Return how many bytes its parts have."""
        return sum(map(len, self.parts))


@dataclass(frozen=True, slots=True)
class Keepalive:
    """Nothing happened; the connection is alive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """The first frame of every downlink stream.

    Attributes:
        epoch: names the interpreter's life; a new one means new state.
        cursor: the journal position after which this stream goes on.
        cooldown_seconds: how long the pool keeps the pod without a call, as far as the pod knows.
        pod: a name for people to tell pods apart; it opens nothing.
        is_busy: whether the interpreter is executing something.
        kernel_info: the content of the `kernel_info_reply` of the kernel in the pod.
        takes_compressed: whether the agent understands compressed frames.
        last: the newest position of the journal, which a stream that goes on after an older one has yet to reach.
        cell_files: how the debugger's messages name the files of cells (`core.jupyter.debugger_files`); "" where the
            names are the interpreter's own.
        launch: what has become of the launch options that were asked for (`core.wire.launch`); "" where none were, or
            the agent does not know of them.
        is_untouched: whether the interpreter is as it was started: nothing has run in it so far.
    """

    epoch: Annotated[str, EPOCH]
    cursor: int
    cooldown_seconds: Annotated[float, COOLDOWN]
    pod: Annotated[str, NAME]
    is_busy: bool
    kernel_info: dict[str, Any]
    takes_compressed: bool = False
    last: int = 0
    cell_files: str = ""
    launch: str = ""
    is_untouched: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Journal positions `first` to `last` were dropped because the journal was full."""

    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochChange:
    """From here on the journal speaks of another interpreter. Takes a journal position of its own.

    Attributes:
        reason: "restart" when somebody asked for it, "died" when the interpreter ended by itself.
        detail: for people, such as "exit status 1" or "signal 9 (SIGKILL)"; may be empty.
    """

    epoch: Annotated[str, EPOCH]
    sequence: int
    reason: str
    detail: Annotated[str, REMARK]


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The stream ends here on purpose.

    Attributes:
        reason: "cap" before the platform would cut the request: come back with your cursor; "stopping" when the pod
            goes, and "closed" when a client has shut the kernel down: there is nothing to come back to.
    """

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Peers:
    """Count of other readers of the same kernel; sent when it changes, and at first when there are any."""

    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedFile:
    """A file that is new or has changed.

    Attributes:
        path: relative to the folder that was looked through, with "/" between its parts; never out of it.
        size: in bytes.
        modified: seconds since 1970.
        version: changes whenever the file does.
    """

    path: Annotated[str, BELOW]
    size: int
    modified: Annotated[float, MOMENT]
    version: Annotated[str, VERSION]


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Difference between a folder as it was found behind a cell, and as it was found before.

    There is one for each cell that was not silent, behind its idle, for as long as a reader of the kernel has asked for
    it by `WORKSPACE_PARAM`. Of several cells that have ended before the folder could be looked through, the first one's
    names what all of them have changed. Takes a journal position of its own.

    Attributes:
        folder: the folder, as it was asked for last.
        cell: id of the `execute_request`.
        is_whole: whether the lists name all; otherwise they are empty, and whoever wants to know lists the folder.
        changed: what is new or has changed since it was looked at last, whoever has done it.
        removed: paths of what is gone since then.
    """

    folder: str
    cell: str
    sequence: int
    is_whole: bool
    changed: Annotated[list[ChangedFile], Items(most=MAX_FILES)]
    removed: Annotated[list[Annotated[str, BELOW]], Items(most=MAX_FILES)]


Frame = Message | Keepalive | Hello | Gap | EpochChange | End | Peers | Files
