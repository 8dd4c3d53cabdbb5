"""The codec of frames: every split point, every kind of damage."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_kernel.core.errors import Oversized, WireError
from remote_kernel.core.wire.codec import (
    FRAMES_AT_ONCE,
    FrameDecoder,
    compressed,
    decode_all,
    encode,
    encode_all,
)
from remote_kernel.core.wire.frames import (
    ChangedFile,
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
)

HELLO = Hello(
    epoch="e1", cursor=3, cooldown_seconds=300.0, pod="pod-1", is_busy=False, kernel_info={"banner": "☃"},
    is_untouched=True,
)  # fmt: skip
CHANGED = ChangedFile(path="out/é\n.csv", size=3, modified=1.5, version="a-3-b-c")
FILES = Files(folder=".", cell="id", sequence=11, is_whole=True, changed=[CHANGED], removed=["old.csv", "..a/b"])
EXAMPLES: list[Frame] = [
    HELLO,
    Message(channel=Channel.IOPUB, parts=(b"{}", b"{}", b"{}", b'{"a":1}'), sequence=1),
    Message(channel=Channel.SHELL, parts=(b"h", b"", b"m", b"c", b"\x00" * 300, b""), sequence=2**63 - 1, seen=7),
    Keepalive(),
    Gap(first=4, last=9),
    EpochChange(epoch="e2", sequence=10, reason="died", detail="signal 9 (SIGKILL)"),
    FILES,
    End(reason="cap"),
]

MESSAGES = st.lists(
    st.builds(
        Message,
        channel=st.sampled_from(Channel),
        parts=st.lists(st.binary(max_size=50), min_size=4, max_size=12).map(tuple),
        sequence=st.integers(0, 2**63 - 1),
        seen=st.integers(0, 2**63 - 1),
    ),
    max_size=5,
)


def in_compressed_frame(data: bytes) -> bytes:
    body = zlib.compress(data)
    return (len(body) + 1).to_bytes(4, "big") + b"\x08" + body


def test_frames_survive_encoding() -> None:
    assert decode_all(encode_all(EXAMPLES)) == EXAMPLES


def test_a_stream_may_be_cut_at_every_byte() -> None:
    data = encode_all(EXAMPLES)
    for split in range(len(data) + 1):
        decoder = FrameDecoder()
        assert decoder.feed(data[:split]) + decoder.feed(data[split:]) == EXAMPLES
        decoder.close()


def test_a_stream_may_come_byte_by_byte() -> None:
    decoder = FrameDecoder()
    frames = [frame for byte in encode_all(EXAMPLES) for frame in decoder.feed(bytes([byte]))]
    assert frames == EXAMPLES


@pytest.mark.parametrize("frame", EXAMPLES, ids=lambda frame: type(frame).__name__)
def test_a_frame_cut_short_raises_at_the_end(frame: Frame) -> None:
    data = encode(frame)
    for length in range(1, len(data)):
        decoder = FrameDecoder()
        assert decoder.feed(data[:length]) == []
        with pytest.raises(WireError, match="inside a frame"):
            decoder.close()


def test_a_frame_over_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(WireError, match="announced"):
        FrameDecoder(max_frame_bytes=100).feed((101).to_bytes(4, "big") + b"\x01")


def test_an_empty_frame_is_refused() -> None:
    with pytest.raises(WireError):
        FrameDecoder().feed(bytes(5))


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(WireError, match="unknown"):
        FrameDecoder().feed(b"\x00\x00\x00\x01\xff")


def frame_of(frame_type: FrameType, body: bytes) -> bytes:
    return (len(body) + 1).to_bytes(4, "big") + bytes([frame_type]) + body


def test_a_million_files_are_refused_before_they_are_read() -> None:
    with pytest.raises(WireError, match="announced"):
        FrameDecoder().feed((8_000_000).to_bytes(4, "big") + bytes([FrameType.FILES]))


@pytest.mark.parametrize("sequence", [2**63, 2**64 - 1])
def test_a_position_that_no_journal_comes_to_is_refused(sequence: int) -> None:
    data = bytearray(encode(EXAMPLES[1]))
    data[6:14] = sequence.to_bytes(8, "big")
    with pytest.raises(WireError, match="no journal"):
        decode_all(bytes(data))


@pytest.mark.parametrize(
    ("frame_type", "length"),
    [(FrameType.HELLO, 256 * 1024 + 1), (FrameType.KEEPALIVE, 2**30), (FrameType.COMPRESSED, 2 * 1024 * 1024 + 1)],
)
def test_a_frame_is_refused_by_its_length_before_any_of_it_has_come(frame_type: FrameType, length: int) -> None:
    with pytest.raises(WireError, match="was announced"):
        FrameDecoder().feed(length.to_bytes(4, "big") + bytes([frame_type]))


def take_until_refused(data: bytes, *, match: str) -> list[int]:
    """Return how many frames each batch had before the decoder refused the rest."""
    sizes: list[int] = []

    def take() -> None:
        for batch in FrameDecoder().batches(data):
            sizes.append(len(batch))

    with pytest.raises(WireError, match=match):
        take()
    return sizes


def test_64_kilobytes_of_compressed_keepalives_are_refused_after_few_of_them() -> None:
    keepalives = encode(Keepalive()) * 200_000
    packer = zlib.compressobj(9)
    frame = frame_of(FrameType.COMPRESSED, packer.compress(keepalives) + packer.flush())
    assert take_until_refused(frame * (64 * 1024 // len(frame)), match="holds more than") == []


def test_frames_come_in_small_batches_and_not_more_than_a_read_may_bring() -> None:
    packer = zlib.compressobj(strategy=zlib.Z_HUFFMAN_ONLY)
    frame = frame_of(FrameType.COMPRESSED, packer.compress(encode(Keepalive()) * 100_000) + packer.flush())
    sizes = take_until_refused(frame * 100, match="more than 50,000 frames")
    assert set(sizes) == {FRAMES_AT_ONCE}
    assert sum(sizes) == 50_000


def test_frames_that_are_decoded_in_batches_are_the_same() -> None:
    messages = [Message(channel=Channel.IOPUB, parts=(b"{}",) * 4, sequence=number) for number in range(1, 2001)]
    data = encode_all(messages)
    for split in (0, 1, 700, len(data) - 1):
        decoder = FrameDecoder()
        batches = [*decoder.batches(data[:split]), *decoder.batches(data[split:])]
        assert [frame for batch in batches for frame in batch] == messages
        decoder.close()


@given(MESSAGES, st.integers(1, 40))
def test_any_messages_survive_any_chunks(messages: list[Message], size: int) -> None:
    data = encode_all(messages)
    decoder = FrameDecoder()
    frames = [frame for start in range(0, len(data), size) for frame in decoder.feed(data[start : start + size])]
    assert frames == messages


LARGE = [
    Message(channel=Channel.IOPUB, parts=(b"{}", b"{}", b"{}", b"c" * size, b"", b"\x01" * 70_000), sequence=number)
    for number, size in enumerate((70_000, 3, 200_000, 65_536), 1)
]


@pytest.mark.parametrize("size", [1000, 65_536, 100_000, 1_000_000])
def test_large_parts_are_what_they_were_when_more_has_come(size: int) -> None:
    data, decoder = encode_all(LARGE), FrameDecoder()
    pieces = (data[start : start + size] for start in range(0, len(data), size))
    assert [frame for piece in pieces for frame in decoder.feed(piece)] == LARGE
    decoder.close()


def test_large_parts_are_not_copied_out_of_what_came_in_one_piece() -> None:
    data = encode_all(LARGE)
    frames = decode_all(data)
    views = [part for frame in frames if isinstance(frame, Message) for part in frame.parts if len(part) >= 65_536]
    assert len(views) == 7
    assert all(isinstance(view, memoryview) and view.obj is data for view in views)
    assert encode_all(frames) == data


DAMAGED = encode_all(EXAMPLES) + in_compressed_frame(encode_all(EXAMPLES))


@given(st.integers(0, len(DAMAGED) - 1), st.integers(1, 255))
def test_a_changed_byte_gives_frames_or_a_wire_error(position: int, change: int) -> None:
    data = bytearray(DAMAGED)
    data[position] ^= change
    try:
        frames = decode_all(bytes(data))
    except WireError:
        return
    assert all(isinstance(frame, Frame) for frame in frames)


@given(st.binary(max_size=400))
def test_any_bytes_give_frames_or_a_wire_error(data: bytes) -> None:
    decoder = FrameDecoder(max_frame_bytes=1000)
    try:
        decoder.feed(data)
        decoder.close()
    except WireError as error:
        assert str(error)  # noqa: PT017 - either outcome is right


def test_compressed_frames_may_be_cut_at_every_byte() -> None:
    data = in_compressed_frame(encode_all(EXAMPLES[:2])) + encode_all(EXAMPLES[2:4])
    data += in_compressed_frame(encode_all(EXAMPLES[4:]))
    for split in range(len(data) + 1):
        decoder = FrameDecoder()
        assert decoder.feed(data[:split]) + decoder.feed(data[split:]) == EXAMPLES
        decoder.close()


@given(MESSAGES, st.integers(1, 40), st.integers(1, 40))
def test_any_messages_survive_compressed_frames_that_cut_them_anywhere(
    messages: list[Message], piece_bytes: int, chunk_bytes: int
) -> None:
    plain = encode_all(messages)
    pieces = [plain[start : start + piece_bytes] for start in range(0, len(plain), piece_bytes)]
    data = b"".join(map(in_compressed_frame, pieces)) + encode(Keepalive())
    decoder = FrameDecoder()
    chunks = [data[start : start + chunk_bytes] for start in range(0, len(data), chunk_bytes)]
    assert [frame for chunk in chunks for frame in decoder.feed(chunk)] == [*messages, Keepalive()]
    decoder.close()


def large_message(content: bytes) -> Message:
    return Message(channel=Channel.IOPUB, parts=(b"{}", b"{}", b"{}", content), sequence=1)


def test_a_large_message_is_compressed_in_pieces_and_comes_back() -> None:
    frames: list[Frame] = [
        large_message(b"".join(b"line %d\n" % number for number in range(100_000))),
        Keepalive(),
        large_message(b"the same\n" * 100_000),
    ]
    data = encode_all(frames)
    pieces = list(compressed(data))
    assert len(pieces) > 5
    assert sum(map(len, pieces)) < len(data) / 3
    assert decode_all(b"".join(pieces)) == frames


def test_a_few_frames_stay_as_they_are() -> None:
    assert list(compressed(encode_all(EXAMPLES))) == [encode_all(EXAMPLES)]


def test_a_compressed_frame_in_another_one_is_refused() -> None:
    with pytest.raises(WireError, match="none may be"):
        decode_all(in_compressed_frame(in_compressed_frame(encode(Keepalive()))))


def test_a_frame_over_the_limit_is_refused_in_a_compressed_one() -> None:
    with pytest.raises(WireError, match="a frame of 101 bytes was announced"):
        FrameDecoder(max_frame_bytes=100).feed(in_compressed_frame((101).to_bytes(4, "big") + b"\x01"))


def test_a_frame_that_was_cut_goes_on_in_a_compressed_one_or_not_at_all() -> None:
    beginning = in_compressed_frame(encode(EXAMPLES[1])[:20])
    with pytest.raises(WireError, match="should go on"):
        decode_all(beginning + encode(Keepalive()))
    with pytest.raises(WireError, match="inside a frame, after 20"):
        decode_all(beginning)


def test_many_compressed_frames_hold_no_more_than_they_may() -> None:
    data = in_compressed_frame(encode_all([Keepalive()] * 20)) * 10
    assert len(decode_all(data, max_unpacked_bytes=1000)) == 200
    with pytest.raises(Oversized, match="more than 999 bytes"):
        decode_all(data, max_unpacked_bytes=999)
