"""Exchanges as bytes."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_kernel.core.errors import WireError
from remote_kernel.core.exchange import Call, Exchange, Piece, pack_pieces, unpack_pieces

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
    assert unpack_pieces(pack_pieces(pieces)) == pieces


def test_what_was_cut_anywhere_is_noticed() -> None:
    data = pack_pieces([Piece(id="a", status=200, data=b"some data")])
    for size in range(len(data)):
        with pytest.raises(WireError):
            unpack_pieces(data[:size])


@pytest.mark.parametrize(
    "text", [b"", b"[]\n", b"{}\n", b'{"pieces": 1}\n', b'{"pieces": [["a", 200, 5, true, true]]}\nabc', b"{"]
)
def test_what_is_no_exchange_is_refused(text: bytes) -> None:
    for read in (Exchange.unpack, unpack_pieces):
        with pytest.raises(WireError):
            read(zlib.compress(text))
