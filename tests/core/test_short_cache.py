"""What is remembered, and what is not."""

import pytest

from remote_kernel.core.short_cache import MAX_BYTES, remembered


def test_short_questions_are_answered_once_and_long_ones_and_errors_each_time() -> None:
    asked: list[bytes] = []

    @remembered(2)
    def size_of(question: bytes) -> int:
        asked.append(question)
        if not question:
            raise ValueError("empty")
        return len(question)

    assert [size_of(b"a"), size_of(b"a")] == [1, 1]
    assert asked == [b"a"]
    long = bytes(MAX_BYTES + 1)
    assert [size_of(long), size_of(long)] == [MAX_BYTES + 1] * 2
    assert asked == [b"a", long, long]
    for _ in range(2):
        with pytest.raises(ValueError, match="empty"):
            size_of(b"")
    assert asked[3:] == [b"", b""]
    assert [size_of(b"b"), size_of(b"c"), size_of(b"a")] == [1] * 3
    assert asked[5:] == [b"b", b"c", b"a"], "the oldest answer makes room"
