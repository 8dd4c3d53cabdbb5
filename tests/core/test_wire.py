"""The frame codec: every split point, every kind of damage."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_kernel.core.errors import WireError
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


def test_a_whole_number_of_seconds_is_a_number() -> None:
    data = encode(HELLO).replace(b"300.0", b"300")
    (hello,) = decode_all((len(data) - 4).to_bytes(4, "big") + data[4:])
    assert hello == HELLO


@given(
    st.lists(
        st.builds(
            Message,
            channel=st.sampled_from(Channel),
            parts=st.lists(st.binary(max_size=50), min_size=4, max_size=12).map(tuple),
            sequence=st.integers(0, 2**64 - 1),
            seen=st.integers(0, 2**64 - 1),
        ),
        max_size=5,
    ),
    st.integers(1, 40),
)
def test_any_messages_survive_any_chunks(messages: list[Message], size: int) -> None:
    data = encode_all(messages)
    decoder = FrameDecoder()
    frames = [frame for start in range(0, len(data), size) for frame in decoder.feed(data[start : start + size])]
    assert frames == messages


@given(st.integers(0, len(encode_all(EXAMPLES)) - 1), st.integers(1, 255))
def test_a_changed_byte_gives_frames_or_a_wire_error(position: int, change: int) -> None:
    data = bytearray(encode_all(EXAMPLES))
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
