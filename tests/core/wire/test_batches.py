"""Exchanges as bytes."""

import json
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_kernel.core.errors import WireError
from remote_kernel.core.wire.batches import MAX_HEAD_BYTES, Call, Exchange, Piece, pack_pieces, unpack_pieces

PARAMS = st.dictionaries(st.text(), st.text())
CALLS = st.builds(Call, id=st.text(), method=st.text(), path=st.text(), params=PARAMS, content=st.binary())
PIECES = st.builds(
    Piece, id=st.text(), status=st.integers(0, 599), data=st.binary(), is_last=st.booleans(), is_busy=st.booleans()
)


@given(st.lists(CALLS), st.lists(st.text()), st.lists(st.text()), st.floats(0, 60))
def test_an_exchange_is_read_as_it_was_written(
    calls: list[Call], reads: list[str], closes: list[str], seconds: float
) -> None:
    asked = Exchange(calls=calls, reads=reads, closes=closes, call_seconds=seconds, news_seconds=0.5)
    assert Exchange.unpack(asked.pack()) == asked


@given(st.lists(PIECES))
def test_pieces_are_read_as_they_were_written(pieces: list[Piece]) -> None:
    assert unpack_pieces(pack_pieces(pieces), len(pieces)) == pieces


def test_what_was_cut_anywhere_is_noticed() -> None:
    data = pack_pieces([Piece(id="a", status=200, data=b"some data")])
    for size in range(len(data)):
        with pytest.raises(WireError):
            unpack_pieces(data[:size], 1)


@pytest.mark.parametrize(
    "text", [b"", b"[]\n", b"{}\n", b'{"pieces": 1}\n', b'{"pieces": [["a", 200, 5, true, true]]}\nabc', b"{"]
)
def test_what_is_no_exchange_is_refused(text: bytes) -> None:
    with pytest.raises(WireError):
        Exchange.unpack(zlib.compress(text))
    with pytest.raises(WireError):
        unpack_pieces(zlib.compress(text), 1)


@pytest.mark.parametrize(
    "head",
    [
        '{"pieces": [["a", 1e400, 0, true, true]]}',
        '{"pieces": [["a", -1, 0, true, true]]}',
        '{"pieces": [["a", true, 0, true, true]]}',
        '{"pieces": [["a", 200, -1, true, true]]}',
        '{"pieces": [["a", 200, 0.5, true, true]]}',
        '{"pieces": [[7, 200, 0, true, true]]}',
        '{"pieces": [["a", 200, 0, true, true], ["b", 200, 0, true, true]]}',
        '{"pieces": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"pieces": ' + "[" * 100 + "]" * 100 + "}",
        '{"pieces": [], "padding": "' + " " * MAX_HEAD_BYTES + '"}',
    ],
)
def test_answers_that_no_agent_gives_are_refused(head: str) -> None:
    with pytest.raises(WireError):
        unpack_pieces(zlib.compress(head.encode() + b"\n"), 1)


@pytest.mark.parametrize(
    "fields",
    [
        {"call_seconds": float("nan")},
        {"news_seconds": "1"},
        {"reads": [1]},
        {"closes": None},
        {"calls": [["a", "GET", "/", {"name": 1}, 0]]},
        {"calls": [["a", "GET", "/", {}, True]]},
    ],
)
def test_an_exchange_that_no_kernel_asks_for_is_refused(fields: dict[str, object]) -> None:
    asked = {"calls": [], "reads": [], "closes": [], "call_seconds": 1.0, "news_seconds": 1.0}
    with pytest.raises(WireError):
        Exchange.unpack(zlib.compress(json.dumps(asked | fields).encode() + b"\n"))


def test_nobody_waits_in_the_pod_for_longer_than_a_minute() -> None:
    asked = Exchange.unpack(Exchange(call_seconds=1e300, news_seconds=-1.0).pack())
    assert (asked.call_seconds, asked.news_seconds) == (60.0, 0.0)


def test_a_batch_that_becomes_too_much_is_not_unpacked() -> None:
    packer = zlib.compressobj(zlib.Z_BEST_SPEED)
    bomb = packer.compress(b'{"pieces": []}\n') + b"".join(packer.compress(bytes(2**20)) for _ in range(100))
    bomb += packer.flush()
    assert len(bomb) < 1_000_000
    tracemalloc.start()
    try:
        with pytest.raises(WireError, match="holds more than 3,145,728 bytes"):
            unpack_pieces(bomb, 2)
        assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    finally:
        tracemalloc.stop()
