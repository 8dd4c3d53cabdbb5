"""Pieces of a body."""

import tracemalloc

import pytest

from remote_kernel.client.http.pieces import Pieces


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 2500])
def test_pieces_are_put_together_in_their_order(count: int) -> None:
    pieces, expected = Pieces(), [str(number).encode() for number in range(count)]
    for piece in expected:
        pieces.add(piece)
    assert pieces.join() == b"".join(expected)


def test_pieces_of_two_bytes_take_little_more_memory_than_the_body() -> None:
    pieces = Pieces()
    tracemalloc.start()
    try:
        for number in range(100_000):
            pieces.add(b"%02d" % (number % 100))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(pieces.join()) == 200_000
    assert most < 500_000
