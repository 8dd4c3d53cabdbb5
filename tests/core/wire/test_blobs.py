"""Bytes of several things behind one head."""

import pytest

from remote_kernel.core.errors import WireError
from remote_kernel.core.limits import FILE_NAMES
from remote_kernel.core.wire.blobs import join, split


def test_blobs_are_taken_as_they_were_joined() -> None:
    head, blobs = split(join({"sizes": [3, 0, 2]}, [b"a\nb", b"", b"c\n"]), FILE_NAMES, 100)
    assert [blobs.take(size) for size in head["sizes"]] == [b"a\nb", b"", b"c\n"]
    assert blobs.is_empty


@pytest.mark.parametrize(("size", "error"), [(-1, ValueError), (4, ValueError), (True, TypeError), ("3", TypeError)])
def test_more_than_there_is_cannot_be_taken(size: object, error: type[Exception]) -> None:
    _, blobs = split(join({}, [b"abc"]), FILE_NAMES, 100)
    with pytest.raises(error):
        blobs.take(size)
    assert not blobs.is_empty


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"\n", b"[]\n", b'{"a": ' + b"[" * 20 + b"]" * 20 + b"}\n", b"{" + b" " * 100 + b"}\n"]
)
def test_a_head_that_nobody_writes_is_refused(body: bytes) -> None:
    with pytest.raises(WireError):
        split(body, FILE_NAMES, 100)
