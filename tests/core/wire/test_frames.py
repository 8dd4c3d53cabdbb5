"""Frames: what their fields may hold, whoever says it."""

import json

import pytest

from remote_kernel.core.errors import WireError
from remote_kernel.core.wire.codec import decode_all, encode
from remote_kernel.core.wire.frames import MAX_FILES, ChangedFile, EpochChange, Files, FrameType, Gap, Hello
from tests.core.wire.test_codec import HELLO, frame_of


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
        decode_all(frame_of(FrameType.GAP, body))


def test_fields_of_newer_versions_are_passed_over() -> None:
    body = json.dumps({"first": 1, "last": 2, "bytes": 3, "new": True}).encode()
    assert decode_all(frame_of(FrameType.GAP, body)) == [Gap(first=1, last=2)]


def test_an_agent_that_says_nothing_of_compressed_frames_takes_none() -> None:
    data = encode(HELLO).replace(b',"takes_compressed":false', b"")
    assert b"compressed" not in data
    assert decode_all((len(data) - 4).to_bytes(4, "big") + data[4:]) == [HELLO]


def test_a_whole_number_of_seconds_is_a_number() -> None:
    data = encode(HELLO).replace(b"300.0", b"300")
    (hello,) = decode_all((len(data) - 4).to_bytes(4, "big") + data[4:])
    assert hello == HELLO


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
