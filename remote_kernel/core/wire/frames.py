"""Wire version 2 between kernel and pod: one definition for both ends.

A stream, and the body of a `POST /api/v2/messages`, is a run of frames:

    frame    length   4 bytes, big endian: how many bytes follow
             type     1 byte: FrameType
             body

    message  channel  1 byte: Channel
             sequence 8 bytes: downlink: position in the pod's journal, from 1 without holes;
                               uplink: the sender's own count on this lane, from 1 without holes
             seen     8 bytes: uplink: the journal position that the front end had been shown
                               when it sent this message; downlink: 0
             count    2 bytes: number of parts, at least 4
             sizes    count times 4 bytes
             parts    header, parent header, metadata, content (JSON), then the buffers

    compressed         one zlib stream of at most 1 MB, unpacked, and 32 times what it has packed

Every other body is one JSON object of at most 256 KB. What compressed frames unpack to takes their place: put together
it is whole frames, none of them compressed. One may be cut where a compressed frame ends, and goes on in the next
frame, which is compressed, too. They are sent to who has said that it takes them: a reader by a parameter of its
request, the agent in its `Hello`. Tokens and identifiers are in the heads of requests, and so never in what is
compressed.

Numbers are unsigned and big endian. Nothing here knows what the parts mean: signatures and routing prefixes belong to
each side's ZeroMQ sockets and do not travel.
"""

import json
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, is_dataclass
from enum import IntEnum
from typing import Annotated, Any, Self, cast, get_args, get_origin

from remote_kernel.core.errors import Oversized, WireError
from remote_kernel.core.json_text import parse_json_object
from remote_kernel.core.limits import COMPRESSED, EVENTS, FILES, MESSAGE, NOTE
from remote_kernel.core.numbers import (
    AMOUNT,
    BELOW,
    COOLDOWN,
    COUNT,
    EPOCH,
    MAX_SEQUENCE,
    MOMENT,
    NAME,
    REMARK,
    VERSION,
    Below,
    Items,
    Range,
    Text,
)
from remote_kernel.core.wire import compression

EXECUTE_PATH = "/api/v2/execute"
SESSION_PATH = "/api/v2/session"
MESSAGES_PATH = "/api/v2/messages"
EVENTS_PATH = "/api/v2/events"
RELEASE_PATH = "/api/v2/release"
PACKAGES_PATH = "/api/v2/packages"  # here, so that those who only need to know it do not load `wire.packages`
STOP_SESSION_PATH = "/.management/stopSession"

DEFAULT_KERNEL = "main"
DEFAULT_KERNELSPEC = "python3"

# How the names of kernels begin that are one process's alone (`REMOTE_KERNEL_FRESH`): nobody can come back to them.
FRESH_PREFIX = "run-"

FRAME_MEDIA_TYPE = "application/vnd.remote-kernel.v2"
NDJSON_MEDIA_TYPE = "application/x-ndjson"

# What a reader of events says that takes compressed frames.
COMPRESS_PARAM = "compress"
COMPRESS_ZLIB = "zlib"

# The folder whose changes a reader of events wants to hear of: "." for the data folder, or a path in it.
WORKSPACE_PARAM = "workspace"

# So many files, and so many bytes with all else in it, are named in one `Files` frame.
MAX_FILES = FILES.entries or 0
MAX_FILES_BYTES = 200 * 1024

# One Jupyter message.
MAX_FRAME_BYTES = MESSAGE.bytes or 0

# So many frames are handed on at once, before others have their turn.
FRAMES_AT_ONCE = 500

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One Jupyter message as raw parts: header, parent header, metadata, content, then buffers."""

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


_TYPE_OF: dict[type, FrameType] = {
    Keepalive: FrameType.KEEPALIVE,
    Hello: FrameType.HELLO,
    Gap: FrameType.GAP,
    EpochChange: FrameType.EPOCH,
    End: FrameType.END,
    Peers: FrameType.PEERS,
    Files: FrameType.FILES,
}
_CLASS_OF = {frame_type: frame_class for frame_class, frame_type in _TYPE_OF.items()}

Frame = Message | Keepalive | Hello | Gap | EpochChange | End | Peers | Files

_PREFIX = struct.Struct(">IB")
_MESSAGE = struct.Struct(">BQQH")
_CHANNELS = {int(channel): channel for channel in Channel}
_MAX_BYTES = {int(FrameType.COMPRESSED): COMPRESSED.bytes or 0, int(FrameType.FILES): FILES.bytes or 0}
_SIZES = {count: struct.Struct(f">{count}I") for count in range(4, 9)}


def encode(frame: Frame) -> bytes:
    """Return one frame as bytes, in one piece so that one write sends it."""
    if isinstance(frame, Message):
        return _encode_message(frame)
    fields = {name: getattr(frame, name) for name in frame.__slots__}
    body = json.dumps(fields, separators=(",", ":"), default=asdict).encode() if fields else b""
    return _PREFIX.pack(len(body) + 1, _TYPE_OF[type(frame)]) + body


def _encode_message(message: Message) -> bytes:
    sizes = [len(part) for part in message.parts]
    layout = _sizes_struct(len(sizes))
    length = 1 + _MESSAGE.size + layout.size + sum(sizes)
    if length > MAX_FRAME_BYTES:
        raise WireError(f"a message of {length:,} bytes is over the limit of {MAX_FRAME_BYTES:,}")
    return b"".join(
        (
            _PREFIX.pack(length, FrameType.MESSAGE),
            _MESSAGE.pack(message.channel, message.sequence, message.seen, len(sizes)),
            layout.pack(*sizes),
            *message.parts,
        )
    )


def _sizes_struct(count: int) -> struct.Struct:
    return _SIZES.get(count) or struct.Struct(f">{count}I")


class FrameDecoder:
    """Bytes in, frames out; a frame may be cut anywhere.

    `feed` and `batches` return the frames that are complete, those in compressed ones among them; `close` says that no
    more bytes come. All raise `WireError`, after which the decoder must not be used again.

    Args:
        max_unpacked_bytes: how much all compressed frames may hold together; more raises `Oversized`.
        allows_compressed: whether there may be any.
    """

    def __init__(
        self, max_frame_bytes: int = MAX_FRAME_BYTES, *, max_unpacked_bytes: float = float("inf"),
        allows_compressed: bool = True,
    ) -> None:  # fmt: skip
        self._buffer = bytearray()
        self._max_frame_bytes = max_frame_bytes
        self._unpacked_bytes = 0
        self._max_unpacked_bytes = max_unpacked_bytes
        self._allows_compressed = allows_compressed
        self._unpacked: FrameDecoder | None = None

    def feed(self, data: bytes) -> list[Frame]:
        """Take more bytes and return the frames that they complete, in order."""
        return [frame for batch in self.batches(data) for frame in batch]

    def batches(self, data: bytes) -> Iterator[list[Frame]]:
        """Take more bytes and yield the frames that they complete, in order, at most `FRAMES_AT_ONCE` at a time.

        Each batch is decoded when it is asked for, and all must be, before more bytes are given.
        """
        count, batch = 0, []
        for frame in self._decode_all(data):
            batch.append(frame)
            if len(batch) == FRAMES_AT_ONCE:
                count += len(batch)
                if count > (EVENTS.frames or 0):
                    raise WireError(f"more than {EVENTS.frames:,} frames at once")
                yield batch
                batch = []
        if batch:
            yield batch

    def _decode_all(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that are complete with `data`, and keep what is left of it."""
        if self._buffer:
            self._buffer += data
        whole = self._buffer or data  # most often there is nothing to put together
        start = 0
        with memoryview(whole) as view:
            while len(view) - start >= _PREFIX.size:
                length, frame_type = _PREFIX.unpack_from(view, start)
                if not 1 <= length <= self._most(frame_type):
                    raise WireError(f"a frame of {length:,} bytes was announced")
                end = start + 4 + length
                if end > len(view):
                    break
                with view[start + _PREFIX.size : end] as body:
                    frames = self._decode_frame(frame_type, body)
                start = end
                yield from frames
        if self._buffer:
            del self._buffer[:start]
        elif start < len(data):
            self._buffer += memoryview(data)[start:]

    def _most(self, frame_type: int) -> int:
        """Return how many bytes a frame of this type may have, its type included."""
        if frame_type == FrameType.MESSAGE:
            return self._max_frame_bytes
        return min(_MAX_BYTES.get(frame_type, NOTE.bytes or 0), self._max_frame_bytes)

    def _decode_frame(self, frame_type: int, body: memoryview) -> Iterable[Frame]:
        """Return the frame, or those that a compressed one completes."""
        if frame_type == FrameType.COMPRESSED:
            return self._unpack(body)
        if self._unpacked is not None and self._unpacked._buffer:
            raise WireError("a frame begins where a compressed one should go on")
        return (_decode(frame_type, body),)

    def _unpack(self, body: memoryview) -> Iterator[Frame]:
        """Yield the frames that a compressed one completes."""
        if not self._allows_compressed:
            raise WireError("a compressed frame is where none may be")
        data = compression.decompress(body)
        self._unpacked_bytes += len(data)
        if self._unpacked_bytes > self._max_unpacked_bytes:
            raise Oversized(f"compressed frames hold more than {self._max_unpacked_bytes:,} bytes")
        if self._unpacked is None:
            self._unpacked = FrameDecoder(self._max_frame_bytes, allows_compressed=False)
        return self._unpacked._decode_all(data)

    def close(self) -> None:
        """Say that the stream has ended; raises `WireError` when it ended inside a frame."""
        if self._buffer:
            raise WireError(f"the stream ended inside a frame, after {len(self._buffer):,} of its bytes")
        if self._unpacked is not None:
            self._unpacked.close()


def _decode(frame_type: int, body: memoryview) -> Frame:
    if frame_type == FrameType.MESSAGE:
        return _decode_message(body)
    frame_class = _CLASS_OF.get(frame_type)  # type: ignore[call-overload]
    if frame_class is None:
        raise WireError(f"frame type {frame_type} is unknown")
    if frame_class is Keepalive:
        return Keepalive()
    try:
        fields = parse_json_object(bytes(body), NOTE)
    except WireError as error:
        raise WireError(f"the body of a {frame_class.__name__} frame is not JSON as it may be ({error})") from error
    frame: Frame = from_fields(frame_class, fields)
    if isinstance(frame, Gap) and frame.last < frame.first:
        raise WireError("a Gap frame ends before it begins")
    return frame


def _decode_message(body: memoryview) -> Message:
    if len(body) < _MESSAGE.size:
        raise WireError("a message frame is too short")
    channel, sequence, seen, count = _MESSAGE.unpack_from(body)
    layout = _sizes_struct(count)
    start = _MESSAGE.size + layout.size
    if count < 4 or channel not in _CHANNELS or len(body) < start:
        raise WireError("a message frame has no valid channel or number of parts")
    if max(sequence, seen) > MAX_SEQUENCE:
        raise WireError("a message frame has a number that no journal comes to")
    parts = []
    for size in layout.unpack_from(body, _MESSAGE.size):
        parts.append(bytes(body[start : start + size]))
        start += size
    if start != len(body):
        raise WireError("the parts of a message frame do not add up to its length")
    return Message(channel=_CHANNELS[channel], parts=tuple(parts), sequence=sequence, seen=seen)


def from_fields(frame_class: Any, fields: Any) -> Any:
    """Build a frame of `frame_class` from JSON; raises `WireError`.

    Unknown fields are left to newer versions; a field that older ones do not send has a default.
    """
    if not isinstance(fields, Mapping):
        raise WireError(f"the body of a {frame_class.__name__} frame is not an object")
    values: dict[str, Any] = {}
    for name, annotation in frame_class.__annotations__.items():
        value = fields.get(name, MISSING)
        if value is MISSING and frame_class.__dataclass_fields__[name].default is not MISSING:
            continue
        values[name] = _check(annotation, value, f"the field {name!r} of a {frame_class.__name__} frame")
    return frame_class(**values)


class JsonAnswer:
    """An answer that is a JSON object with the fields of its dataclass, on the wire in both directions alike."""

    __slots__ = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(cast(Any, self))

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read an answer; raises `WireError`."""
        answer: Self = from_fields(cls, value)
        return answer


_BOUNDS: dict[type, Range | Text | Below] = {int: COUNT, float: AMOUNT}


def _check(annotation: Any, value: object, name: str) -> object:
    """Return the value of a field, within the bounds that its annotation says."""
    kind, bounds = annotation, None
    if get_origin(annotation) is Annotated:
        kind, bounds = annotation.__origin__, annotation.__metadata__[0]
    if is_dataclass(kind):
        return from_fields(kind, value)
    if isinstance(bounds, Items):
        return _check_items(kind, value, bounds, name)
    kind = get_origin(kind) or kind
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise WireError(f"{name} is not {kind.__name__}")
    bounds = bounds or _BOUNDS.get(kind)
    checked = value if bounds is None else bounds.check(value, name)
    return float(checked) if kind is float else checked  # type: ignore[arg-type]


def _check_items(kind: Any, value: object, bounds: Items, name: str) -> list[object]:
    if not isinstance(value, list) or len(value) > bounds.most:
        raise WireError(f"{name} is not a list of at most {bounds.most:,} items")
    (item,) = get_args(kind)
    return [_check(item, each, f"an item of {name}") for each in value]


def decode_all(data: bytes, *, max_unpacked_bytes: float = float("inf")) -> list[Frame]:
    """Decode a complete body; raises as `FrameDecoder` does, also when it ends inside a frame."""
    decoder = FrameDecoder(max_unpacked_bytes=max_unpacked_bytes)
    frames = decoder.feed(data)
    decoder.close()
    return frames


def encode_all(frames: Iterable[Frame]) -> bytes:
    """Return several frames as one piece."""
    return b"".join(encode(frame) for frame in frames)


def is_compressed(frames: bytes) -> bool:
    """Return whether a run of frames begins with a compressed one."""
    return frames[4:5] == bytes([FrameType.COMPRESSED])


def compressed(frames: bytes) -> Iterator[bytes]:
    """Yield whole frames in compressed ones, each made when it is asked for, or as they are where that gains little."""
    strategy = compression.choose_strategy(frames)
    if strategy is None:
        yield frames
        return
    for body in compression.compress(frames, strategy):
        yield _PREFIX.pack(len(body) + 1, FrameType.COMPRESSED) + body
