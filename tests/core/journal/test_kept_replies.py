"""Replies that outlive what is dropped around them."""

from remote_kernel.core.journal.kept_replies import KeptReplies


def test_reply_is_found_from_before_it() -> None:
    replies = KeptReplies(max_bytes=10)
    replies.keep(3, b"333")
    replies.keep(7, b"777")
    found = [replies.next(number) for number in (1, 3, 4, 8)]
    assert found == [(3, b"333"), (3, b"333"), (7, b"777"), None]


def test_oldest_goes_where_there_is_no_room() -> None:
    replies = KeptReplies(max_bytes=10)
    for number in (1, 2, 3, 4):
        replies.keep(number, b"12345")
    assert replies.next(1) == (3, b"12345")


def test_what_is_large_and_no_reply_is_not_kept() -> None:
    replies = KeptReplies(max_bytes=1_000_000)
    replies.keep(1, b"x" * 100_000)
    assert replies.next(1) is None
