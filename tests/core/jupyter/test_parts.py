"""Which parts of a message are copied."""

from remote_kernel.core.jupyter.parts import MIN_VIEW_BYTES, as_parts

LARGE = memoryview(bytes(MIN_VIEW_BYTES))
SMALL = memoryview(b"small")


def test_large_contents_and_buffers_stay_where_they_are() -> None:
    parts = as_parts([b"h", b"p", b"m", LARGE, LARGE, SMALL])
    assert [type(part) for part in parts] == [bytes, bytes, bytes, memoryview, memoryview, bytes]
    assert list(map(bytes, parts)) == [b"h", b"p", b"m", bytes(LARGE), bytes(LARGE), b"small"]


def test_headers_are_bytes_however_large_they_are() -> None:
    assert [type(part) for part in as_parts([LARGE] * 4)] == [bytes, bytes, bytes, memoryview]


def test_what_is_bytes_already_is_taken_as_it_is() -> None:
    parts = [b"h", b"p", b"m", bytes(MIN_VIEW_BYTES)]
    assert all(mine is given for mine, given in zip(as_parts(parts), parts, strict=True))
