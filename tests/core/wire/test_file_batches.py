"""Batches of files: what was packed, and what somebody else has made up."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_kernel.core.errors import WireError
from remote_kernel.core.wire.file_batches import (
    MAX_FILES,
    BatchFile,
    BatchReceived,
    Fetch,
    FileVersion,
    Removal,
    Removed,
    pack,
    packed_bytes,
    unpack,
    unpack_fetched,
)  # fmt: skip

BATCH_RECEIVED = BatchReceived(
    pod="pod-1", files=[FileVersion(path="a/b", version="v"), FileVersion(path="c", version="w")]
)
REMOVAL = Removal(files=[FileVersion(path="a/b", version="v")])
FETCH = Fetch(files=[FileVersion(path="a/b", version="v")])
REMOVED = Removed(pod="pod-1", removed=["a/b"], kept=[])

FILES = st.lists(
    st.builds(
        BatchFile,
        path=st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20).map(
            lambda name: f"folder/_{name}"
        ),
        content=st.binary(max_size=50),
        modified=st.floats(0, 2e9),
        is_executable=st.booleans(),
    ),
    max_size=8,
    unique_by=lambda file: file.path,
)


@given(FILES)
def test_files_are_unpacked_as_they_were_packed(files: list[BatchFile]) -> None:
    packed = pack(files)
    assert unpack(packed) == files
    assert len(packed) <= 20 + sum(packed_bytes(file.path, len(file.content)) for file in files)


@given(FILES, st.data())
def test_a_batch_that_was_damaged_is_refused_or_is_another(files: list[BatchFile], data: st.DataObject) -> None:
    packed = bytearray(pack(files))
    at = data.draw(st.integers(0, len(packed) - 1))
    packed[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        unpacked = unpack(bytes(packed))
    except WireError:
        return
    assert sum(len(file.content) for file in unpacked) <= len(packed)


def body(*rows: object, content: bytes = b"") -> bytes:
    return json.dumps({"files": rows}).encode() + b"\n" + content


GOOD: list[Any] = ["a", 1, False, 1.5]


def test_a_batch_may_be_empty() -> None:
    assert unpack(body()) == []


@pytest.mark.parametrize(
    "path", ["", "..", "../a", "/a", "a/../../b", "a/", ".", "a\0", "\ud800", 7, None, "a" * 5000], ids=repr
)
def test_a_path_that_is_not_below_the_folder_is_refused(path: object) -> None:
    with pytest.raises(WireError):
        unpack(body([path, *GOOD[1:]], content=b"x"))


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"\n",
        b"{}\n",
        b'{"files": 1}\n',
        b'{"files": [1]}\n',
        b'{"files": [[]]}\n',
        b'{"files": [["a", 1, false, NaN]]}\nx',
        body(GOOD),
        body(GOOD, content=b"xy"),
        body(GOOD, GOOD, content=b"xy"),
        body(["a", -1, False, 1.5]),
        body(["a", 10**30, False, 1.5], content=b"x"),
        body(["a", 1, False, "now"], content=b"x"),
        body(*([f"f{number}", 0, False, 0.0] for number in range(MAX_FILES + 1))),
        b"x" * 1000,
    ],
    ids=lambda packed: repr(packed[:40]),
)
def test_a_batch_that_nobody_packs_is_refused(packed: bytes) -> None:
    with pytest.raises(WireError):
        unpack(packed)


@pytest.mark.parametrize("answer", [BATCH_RECEIVED, REMOVAL, REMOVED], ids=lambda answer: type(answer).__name__)
def test_answer_is_read_as_it_was_written(answer: Any) -> None:
    assert type(answer).from_json(answer.to_json() | {"of a newer version": 1}) == answer


@pytest.mark.parametrize(
    "fields",
    [
        {"removed": ["../a"]},
        {"removed": ["a"] * (MAX_FILES + 1)},
        {"removed": [1]},
        {"kept": None},
        {"kept": ["/etc/passwd"]},
    ],
)
def test_removed_files_that_no_agent_names_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        Removed.from_json(REMOVED.to_json() | fields)


@pytest.mark.parametrize("files", [None, [{}] * (MAX_FILES + 1), [{"path": "..", "version": "v"}], [{"path": "a"}]])
def test_versions_that_nobody_sends_are_refused(files: object) -> None:
    with pytest.raises(WireError):
        Removal.from_json({"files": files})
    with pytest.raises(WireError):
        BatchReceived.from_json({"pod": "pod-1", "files": files})


ASKED = [FileVersion(path="a", version="v"), FileVersion(path="b", version="w")]


def fetched(path: str, version: str | None, content: bytes = b"") -> BatchFile:
    return BatchFile(path=path, content=content, modified=1.0, version=version)


@pytest.mark.parametrize(
    "files",
    [
        [fetched("a", "v", b"x")],
        [fetched("a", "v", b"x"), fetched("b", "w")],
        [fetched("a", ""), fetched("b", "w", b"y")],
    ],
)
def test_the_first_of_the_files_that_were_asked_for_are_taken(files: list[BatchFile]) -> None:
    assert unpack_fetched(pack(files), ASKED) == files


@pytest.mark.parametrize(
    "files",
    [
        [],
        [fetched("b", "w")],
        [fetched("c", "v")],
        [fetched("b", "w"), fetched("a", "v")],
        [fetched("a", "v"), fetched("b", "w"), fetched("c", "x")],
        [fetched("a", "w", b"x")],
        [fetched("a", None, b"x")],
        [fetched("a", "", b"x")],
        [fetched("../a", "v")],
    ],
)
def test_files_that_nobody_has_asked_for_are_refused(files: list[BatchFile]) -> None:
    with pytest.raises(WireError):
        unpack_fetched(pack(files), ASKED)


@given(st.integers(1, 200))
def test_a_torn_answer_is_refused(length: int) -> None:
    whole = pack([fetched("a", "v", b"x" * 50), fetched("b", "w", b"y" * 50)])
    with pytest.raises(WireError):
        unpack_fetched(whole[: -min(length, len(whole))], ASKED)
