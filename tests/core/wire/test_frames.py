"""The frame codec: every split point, every kind of damage."""

import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_kernel.core.errors import Oversized, WireError
from remote_kernel.core.wire.frames import (
    FRAMES_AT_ONCE,
    MAX_FILES,
    ChangedFile,
    Channel,
    End,
    EpochChange,
    Files,
    Frame,
    FrameDecoder,
    FrameType,
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
    assert decode_all((len(body) + 1).to_bytes(4, "big") + b"\x04" + body) == [Gap(first=1, last=2)]


def test_an_agent_that_says_nothing_of_compressed_frames_takes_none() -> None:
    data = encode(HELLO).replace(b',"takes_compressed":false', b"")
    assert b"compressed" not in data
    assert decode_all((len(data) - 4).to_bytes(4, "big") + data[4:]) == [HELLO]


def test_a_whole_number_of_seconds_is_a_number() -> None:
    data = encode(HELLO).replace(b"300.0", b"300")
    (hello,) = decode_all((len(data) - 4).to_bytes(4, "big") + data[4:])
    assert hello == HELLO


def frame_of(frame_type: FrameType, body: bytes) -> bytes:
    return (len(body) + 1).to_bytes(4, "big") + bytes([frame_type]) + body


def hello_with(**fields: object) -> bytes:
    known = {name: getattr(HELLO, name) for name in HELLO.__slots__}
    return frame_of(FrameType.HELLO, json.dumps(known | fields).encode())


@pytest.mark.parametrize(
    "fields",
    [
        {"cursor": -1},
        {"cursor": 2**63},
        {"last": 2**64},
        {"last": True},
        {"cursor": 1.0},
        {"cooldown_seconds": float("nan")},
        {"cooldown_seconds": float("inf")},
        {"cooldown_seconds": "300"},
        {"cooldown_seconds": False},
        {"epoch": ""},
        {"epoch": "e" * 129},
        {"epoch": "e\x1b[2J"},
        {"pod": "pod\x9b2J"},
        {"pod": "p" * 129},
        {"kernel_info": json.loads("[" * 40 + "]" * 40)},
        {"kernel_info": {"a": json.loads("[" * 40 + "]" * 40)}},
    ],
)
def test_a_hello_that_no_agent_says_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(WireError, match="Hello"):
        decode_all(hello_with(**fields))


def files_with(**fields: object) -> bytes:
    known = {"folder": ".", "cell": "id", "sequence": 1, "is_whole": True, "changed": [], "removed": []}
    return frame_of(FrameType.FILES, json.dumps(known | fields).encode())


def test_files_of_newer_versions_may_have_more_fields() -> None:
    changed = {"path": "a", "size": 1, "modified": 2, "version": "v", "mode": 7}
    (files,) = decode_all(files_with(changed=[changed], new=[1]))
    assert isinstance(files, Files)
    assert files.changed == [ChangedFile(path="a", size=1, modified=2.0, version="v")]


BAD_PATHS = ["", "/a", "a/", "../a", "a/../b", "./a", "a//b", "a\0b", "\ud800", "a" * 4097, 7, None, ["a"]]


@pytest.mark.parametrize("path", BAD_PATHS, ids=repr)
def test_files_that_are_not_below_their_folder_are_refused(path: object) -> None:
    with pytest.raises(WireError):
        decode_all(files_with(removed=[path]))
    with pytest.raises(WireError):
        decode_all(files_with(changed=[{"path": path, "size": 1, "modified": 2.0, "version": "v"}]))


@pytest.mark.parametrize(
    "fields",
    [
        {"changed": None},
        {"changed": {}},
        {"changed": ["a"]},
        {"changed": [{}]},
        {"changed": [{"path": "a", "size": -1, "modified": 2.0, "version": "v"}]},
        {"changed": [{"path": "a", "size": 1, "modified": "now", "version": "v"}]},
        {"changed": [{"path": "a", "size": 1, "modified": 2.0, "version": "v" * 129}]},
        {"changed": [{"path": "a", "size": 1, "modified": 2.0, "version": "\x1b[2J"}]},
        {"removed": ["a"] * (MAX_FILES + 1)},
        {"removed": "a"},
        {"is_whole": 1},
        {"sequence": -1},
        {"cell": 3},
    ],
)
def test_files_that_no_agent_names_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(WireError, match="File"):
        decode_all(files_with(**fields))


def test_a_million_files_are_refused_before_they_are_read() -> None:
    with pytest.raises(WireError, match="announced"):
        FrameDecoder().feed(files_with(removed=["a"] * 1_000_000)[:100])


@pytest.mark.parametrize(
    ("body", "frame_type"),
    [
        (b"[" * 100_000, FrameType.HELLO),
        (b'{"first":1,"last":1e400}', FrameType.GAP),
        (b'{"first":1,"last":18446744073709551616}', FrameType.GAP),
        (b'{"first":-1,"last":2}', FrameType.GAP),
        (b'{"count":' + b"9" * 5000 + b"}", FrameType.PEERS),
        (b'{"epoch":"e","sequence":9223372036854775808,"reason":"died","detail":""}', FrameType.EPOCH),
    ],
)
def test_numbers_and_depths_that_nothing_has_are_refused(body: bytes, frame_type: FrameType) -> None:
    with pytest.raises(WireError):
        decode_all(frame_of(frame_type, body))


@pytest.mark.parametrize(
    ("said", "taken"), [(0, 1.0), (0.0, 1.0), (-5.0, 1.0), (1e300, 86_400.0), (10**400, 86_400.0), (300, 300.0)]
)
def test_a_cooldown_is_no_shorter_and_no_longer_than_one_may_be(said: float, taken: float) -> None:
    (hello,) = decode_all(hello_with(cooldown_seconds=said))
    assert isinstance(hello, Hello)
    assert hello.cooldown_seconds == taken


def test_what_an_interpreter_ended_with_is_a_few_words() -> None:
    body = json.dumps({"epoch": "e", "sequence": 1, "reason": "died", "detail": "\x1b]0;title\x07" + "x" * 1000})
    (change,) = decode_all(frame_of(FrameType.EPOCH, body.encode()))
    assert isinstance(change, EpochChange)
    assert change.detail == "]0;title" + "x" * 190


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
