"""What is worth compressing, and pieces that are none."""

import base64
import os
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_kernel.core.errors import WireError
from remote_kernel.core.wire.compression import (
    MAX_UNPACKED_BYTES,
    MIN_BYTES,
    PIECE_BYTES,
    choose_strategy,
    compress,
    decompress,
)

LINES = b"".join(b"2026-11-25 INFO step %d took %d ms\n" % (number, number * 7919 % 1000) for number in range(20_000))
PICTURE = os.urandom(100_000)


@pytest.mark.parametrize(
    ("data", "strategy"),
    [
        (LINES, zlib.Z_DEFAULT_STRATEGY),
        (LINES[:MIN_BYTES], zlib.Z_DEFAULT_STRATEGY),
        (LINES[: MIN_BYTES - 1], None),
        (base64.b64encode(PICTURE), zlib.Z_HUFFMAN_ONLY),
        (PICTURE, None),
        (b"the same for ever\n" * 50_000, zlib.Z_HUFFMAN_ONLY),
        (bytes(100_000), zlib.Z_HUFFMAN_ONLY),
        (b"", None),
    ],
    ids=["lines", "few lines", "too few", "picture in base64", "picture", "the same", "zeros", "nothing"],
)
def test_what_is_compressed_how(data: bytes, strategy: int | None) -> None:
    assert choose_strategy(data) == strategy


@pytest.mark.parametrize(
    ("data", "least", "most"),
    [(LINES, 0.1, 0.25), (base64.b64encode(PICTURE), 0.7, 0.8), (bytes(1_000_000), 0.12, 0.2)],
)
def test_pieces_are_small_and_whole(data: bytes, least: float, most: float) -> None:
    strategy = choose_strategy(data)
    assert strategy is not None
    pieces = list(compress(data, strategy))
    assert len(pieces) == -(-len(data) // PIECE_BYTES)
    assert b"".join(map(decompress, pieces)) == data
    assert least * len(data) < sum(map(len, pieces)) < most * len(data)


@given(st.binary(max_size=2000), st.sampled_from([zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY]))
def test_anything_comes_back_as_it_was(data: bytes, strategy: int) -> None:
    assert b"".join(map(decompress, compress(data, strategy))) == data


def an_eighth(data: bytes) -> bytes:
    """Return data compressed as far as it may be."""
    packer = zlib.compressobj(strategy=zlib.Z_HUFFMAN_ONLY)
    return packer.compress(data) + packer.flush()


def test_a_piece_may_have_all_that_is_allowed() -> None:
    assert decompress(an_eighth(bytes(MAX_UNPACKED_BYTES))) == bytes(MAX_UNPACKED_BYTES)
    with pytest.raises(WireError, match="more than 1,048,576"):
        decompress(an_eighth(bytes(MAX_UNPACKED_BYTES + 1)))


def test_a_piece_that_shrinks_more_than_any_of_ours_is_refused() -> None:
    piece = zlib.compress(bytes(PIECE_BYTES))
    with pytest.raises(WireError, match=f"more than {32 * len(piece):,}"):
        decompress(piece)


def test_what_shrinks_only_between_the_samples_shrinks_no_more_than_is_allowed() -> None:
    edge = LINES[: 3 * PIECE_BYTES]
    data = edge + bytes(8 * PIECE_BYTES) + edge + LINES[:3000] + bytes(8 * PIECE_BYTES) + edge
    pieces = list(compress(data, zlib.Z_DEFAULT_STRATEGY))
    assert min(map(len, pieces)) > PIECE_BYTES / 20
    assert b"".join(map(decompress, pieces)) == data


def test_a_bomb_is_not_unpacked() -> None:
    bomb = zlib.compress(bytes(100_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(WireError, match="more than"):
            decompress(bomb)
        assert tracemalloc.get_traced_memory()[1] < 4 * MAX_UNPACKED_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "piece",
    [b"", b"rubbish", zlib.compress(LINES)[:-1], zlib.compress(LINES) + b"x", zlib.compress(LINES)[:10]],
    ids=["nothing", "rubbish", "cut", "more behind it", "a beginning"],
)
def test_what_is_no_piece_raises(piece: bytes) -> None:
    with pytest.raises(WireError, match="compressed frame"):
        decompress(piece)
