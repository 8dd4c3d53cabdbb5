"""Bytes of the frames of wire version 2, for both ends.

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

Numbers are unsigned and big endian.
"""

import json
import struct
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import accumulate, pairwise

from remote_kernel.core.errors import Oversized, WireError
from remote_kernel.core.json_text import parse_json_object
from remote_kernel.core.jupyter.parts import MIN_VIEW_BYTES, as_parts
from remote_kernel.core.limits import COMPRESSED, EVENTS, FILES, MESSAGE, NOTE
from remote_kernel.core.numbers import MAX_SEQUENCE
from remote_kernel.core.wire.fields import from_fields
from remote_kernel.core.wire.frames import (
    Channel,
    End,
    EpochChange,
    Files,
    Frame,
    FrameType,
    Gap,
    Hello,
    Keepalive,
    Message,
    Peers,
)

# One Jupyter message.
MAX_FRAME_BYTES = MESSAGE.bytes or 0

# So many frames are handed on at once, before others have their turn.
FRAMES_AT_ONCE = 500

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

_PREFIX = struct.Struct(">IB")
_PREFIX_BYTES = _PREFIX.size
_MESSAGE = struct.Struct(">BQQH")
_MESSAGE_TYPE = int(FrameType.MESSAGE)
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
    sizes = [*map(len, message.parts)]
    layout = _sizes_struct(len(sizes))
    length = 1 + _MESSAGE.size + layout.size + sum(sizes)
    if length > MAX_FRAME_BYTES:
        raise WireError(f"a message of {length:,} bytes is over the limit of {MAX_FRAME_BYTES:,}")
    return b"".join(
        (
            _PREFIX.pack(length, _MESSAGE_TYPE),
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

    def feed(self, data: bytes | memoryview) -> list[Frame]:
        """Take more bytes and return the frames that they complete, in order."""
        return [frame for batch in self.batches(data) for frame in batch]

    def batches(self, data: bytes | memoryview) -> Iterator[list[Frame]]:
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

    def _decode_all(self, data: bytes | memoryview) -> Iterator[Frame]:
        """Yield the frames that are complete with `data`, and keep what is left of it."""
        if self._buffer:
            self._buffer += data
        whole = self._buffer or data  # most often there is nothing to put together
        start, size = 0, len(whole)
        with memoryview(whole) as view:
            while size - start >= _PREFIX_BYTES:
                length, frame_type = _PREFIX.unpack_from(view, start)
                is_message = frame_type == _MESSAGE_TYPE
                if not 1 <= length <= (self._max_frame_bytes if is_message else self._most(frame_type)):
                    raise WireError(f"a frame of {length:,} bytes was announced")
                begin, end = start + _PREFIX_BYTES, start + 4 + length
                if end > size:
                    break
                start = end
                if is_message and self._unpacked is None:
                    yield _decode_message(view, begin, end)
                else:
                    with view[begin:end] as body:
                        frames = self._decode_frame(frame_type, body)
                    yield from frames
        if not self._buffer:
            self._buffer += memoryview(data)[start:]
        elif start:
            self._buffer = self._buffer[start:]  # another one, as large parts of messages are where they were

    def _most(self, frame_type: int) -> int:
        """Return how many bytes a frame of this type, which is not a message's, may have, its type included."""
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
        from remote_kernel.core.wire import compression  # late, as every start of a kernel waits for imports

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
    if frame_type == _MESSAGE_TYPE:
        return _decode_message(body, 0, len(body))
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


def _decode_message(view: memoryview, begin: int, end: int) -> Message:
    """Return the message whose body is between two places."""
    begin_sizes = begin + _MESSAGE.size
    if end < begin_sizes:
        raise WireError("a message frame is too short")
    channel, sequence, seen, count = _MESSAGE.unpack_from(view, begin)
    layout = _sizes_struct(count)
    start = begin_sizes + layout.size
    if count < 4 or channel not in _CHANNELS or end < start:
        raise WireError("a message frame has no valid channel or number of parts")
    if sequence > MAX_SEQUENCE or seen > MAX_SEQUENCE:
        raise WireError("a message frame has a number that no journal comes to")
    sizes = layout.unpack_from(view, begin_sizes)
    if start + sum(sizes) != end:
        raise WireError("the parts of a message frame do not add up to its length")
    places = pairwise(accumulate(sizes, initial=start))
    if end - start < MIN_VIEW_BYTES:
        parts = tuple([bytes(view[at:to]) for at, to in places])
    else:
        parts = as_parts([view[at:to] for at, to in places])
    return Message(_CHANNELS[channel], parts, sequence, seen)


def decode_all(data: bytes | memoryview, *, max_unpacked_bytes: float = float("inf")) -> list[Frame]:
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
    from remote_kernel.core.wire import compression

    strategy = compression.choose_strategy(frames)
    if strategy is None:
        yield frames
        return
    for body in compression.compress(frames, strategy):
        yield _PREFIX.pack(len(body) + 1, FrameType.COMPRESSED) + body
