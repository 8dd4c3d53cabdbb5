"""Objects of saves: their files, and what is taken for one."""

import os
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_kernel.core.errors import WireError
from remote_kernel.core.saves.objects import (
    MAX_CONTENT_BYTES,
    MAX_FILE_BYTES,
    RAW,
    ZLIB,
    Object,
    check_object,
    max_file_bytes,
    parse_hash,
)
from tests.core.saves.examples import BUFFER, PACKED, file_of, object_of


@pytest.mark.parametrize("content", [b"", b"a", PACKED, BUFFER, bytes(MAX_CONTENT_BYTES)])
@pytest.mark.parametrize(
    "encode", [file_of, lambda content: RAW + content, lambda content: ZLIB + zlib.compress(content)]
)
def test_a_file_is_the_object_of_its_content(content: bytes, encode: object) -> None:
    assert callable(encode)
    check_object(object_of(content).hash, encode(content))


@pytest.mark.parametrize(
    "file",
    [
        b"",
        RAW + b"b",
        b"\2a",
        ZLIB + b"a",
        ZLIB + zlib.compress(b"a")[:-1],
        ZLIB + zlib.compress(b"a") + b"more",
        ZLIB + zlib.compress(b"a" * 2),
        RAW + b"a" * (MAX_CONTENT_BYTES + 10_000),
    ],
)
def test_another_file_is_not(file: bytes) -> None:
    with pytest.raises(WireError):
        check_object(object_of(b"a").hash, file)


def test_an_object_of_another_size_is_not_the_one_that_was_named() -> None:
    check_object(object_of(PACKED).hash, file_of(PACKED), len(PACKED))
    with pytest.raises(WireError, match="another size"):
        check_object(object_of(PACKED).hash, file_of(PACKED), 1)


@pytest.mark.parametrize("size", [0, 1, 1000, MAX_CONTENT_BYTES])
def test_no_file_is_larger_than_it_may_be(size: int) -> None:
    content = os.urandom(size)
    assert len(ZLIB + zlib.compress(content, 1)) <= max_file_bytes(size) <= MAX_FILE_BYTES


def test_what_becomes_much_more_is_not_unpacked() -> None:
    content = bytes(MAX_CONTENT_BYTES + 1)
    with pytest.raises(WireError, match="larger"):
        check_object(object_of(content).hash, ZLIB + zlib.compress(content))


@given(st.binary(max_size=300), st.data())
def test_a_changed_byte_is_refused_or_changes_nothing_of_the_content(content: bytes, data: st.DataObject) -> None:
    file = bytearray(file_of(content))
    place = data.draw(st.integers(0, len(file) - 1))
    file[place] ^= data.draw(st.integers(1, 255))
    try:
        check_object(object_of(content).hash, bytes(file))
    except WireError:
        return
    assert file[:1] == ZLIB
    assert zlib.decompress(file[1:]) == content


@pytest.mark.parametrize("value", [None, 1, "", "a" * 63, "A" * 64, "a" * 64 + "\n", "../" + "a" * 61, ["a" * 64]])
def test_only_a_hash_names_an_object(value: object) -> None:
    with pytest.raises(WireError):
        parse_hash(value)


@pytest.mark.parametrize(
    "value",
    [None, [], ["a" * 64], ["a" * 64, -1], ["a" * 64, MAX_CONTENT_BYTES + 1], ["a" * 64, True], ["a" * 64, 1, 2]],
)
def test_what_is_no_pair_of_hash_and_size_is_refused(value: object) -> None:
    with pytest.raises(WireError):
        Object.from_json(value)
