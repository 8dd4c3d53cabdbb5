"""The frame codec: every split point, every kind of damage."""

import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_kernel.core.errors import Oversized, WireError
from remote_kernel.core.wire import (
    Channel,
    End,
    EpochChange,
    Frame,
    FrameDecoder,
    Gap,
    Hello,
    Keepalive,
    Message,
    compressed,
    decode_all,
    encode,
    encode_all,
)

HELLO = Hello(
    epoch="e1", cursor=3, cooldown_seconds=300.0, pod="pod-1", is_busy=False, kernel_info={"banner": "☃"}
)  # fmt: skip
EXAMPLES: list[Frame] = [
    HELLO,
    Message(channel=Channel.IOPUB, parts=(b"{}", b"{}", b"{}", b'{"a":1}'), sequence=1),
    Message(channel=Channel.SHELL, parts=(b"h", b"", b"m", b"c", b"\x00" * 300, b""), sequence=2**63, seen=7),
    Keepalive(),
    Gap(first=4, last=9, bytes=77),
    EpochChange(epoch="e2", sequence=10, reason="died", detail="signal 9 (SIGKILL)"),
    End(reason="cap"),
]

MESSAGES = st.lists(
    st.builds(
        Message,
        channel=st.sampled_from(Channel),
        parts=st.lists(st.binary(max_size=50), min_size=4, max_size=12).map(tuple),
        sequence=st.integers(0, 2**64 - 1),
        seen=st.integers(0, 2**64 - 1),
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


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"first": "1", "last": 2}',
        b'{"first": true, "last": 2}',
        b'{"first": 1.5, "last": 2}',
    ],
)
def test_a_gap_with_a_wrong_body_is_refused(body: bytes) -> None:
    with pytest.raises(WireError, match="Gap"):
        FrameDecoder().feed((len(body) + 1).to_bytes(4, "big") + b"\x04" + body)


def test_fields_of_newer_versions_are_passed_over() -> None:
    body = json.dumps({"first": 1, "last": 2, "bytes": 3, "new": True}).encode()
    assert decode_all((len(body) + 1).to_bytes(4, "big") + b"\x04" + body) == [Gap(first=1, last=2, bytes=3)]


def test_an_agent_that_says_nothing_of_compressed_frames_takes_none() -> None:
    data = encode(HELLO).replace(b',"takes_compressed":false', b"")
    assert b"compressed" not in data
    assert decode_all((len(data) - 4).to_bytes(4, "big") + data[4:]) == [HELLO]


def test_a_whole_number_of_seconds_is_a_number() -> None:
    data = encode(HELLO).replace(b"300.0", b"300")
    (hello,) = decode_all((len(data) - 4).to_bytes(4, "big") + data[4:])
    assert hello == HELLO


@given(MESSAGES, st.integers(1, 40))
def test_any_messages_survive_any_chunks(messages: list[Message], size: int) -> None:
    data = encode_all(messages)
    decoder = FrameDecoder()
    frames = [frame for start in range(0, len(data), size) for frame in decoder.feed(data[start : start + size])]
    assert frames == messages


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
