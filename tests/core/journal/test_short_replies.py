"""Short forms of replies: of any shape, and of replies alone."""

import json

import pytest

from remote_kernel.core.journal.short_replies import CUT, MAX_BYTES, MAX_VALUE_CHARS, shorten
from remote_kernel.core.wire.codec import decode_all, encode
from remote_kernel.core.wire.frames import Channel, Message


def reply_with(content: dict[str, object]) -> bytes:
    return encode(Message(channel=Channel.SHELL, parts=(b"{}", b"{}", b"{}", json.dumps(content).encode())))


def test_reply_that_is_short_stays_as_it_is() -> None:
    reply = reply_with({"status": "ok", "execution_count": 1})
    assert shorten(reply) == reply


def test_long_text_is_cut_and_no_colour_is_left_unfinished() -> None:
    text = "x" * (MAX_VALUE_CHARS - 2) + "\x1b[31m" + "y" * MAX_BYTES
    (short,) = decode_all(shorten(reply_with({"status": "error", "evalue": text})) or b"")
    assert isinstance(short, Message)
    assert json.loads(short.parts[3]) == {"status": "error", "evalue": "x" * (MAX_VALUE_CHARS - 2) + CUT}


@pytest.mark.parametrize("content", [{f"field {n}": n for n in range(9999)}, {"status": "ok", "x" * 99_999: 1}])
def test_a_reply_of_any_shape_has_a_short_form(content: dict[str, object]) -> None:
    reply = Message(channel=Channel.CONTROL, parts=(b"{}", b"{}", b"{}", json.dumps(content).encode()))
    short = shorten(encode(reply))
    assert short is not None
    assert len(short) <= MAX_BYTES


@pytest.mark.parametrize("entry", [b"x" * 99_999, encode(Message(channel=Channel.IOPUB, parts=(b"x" * 99_999,) * 4))])
def test_what_is_no_reply_has_no_short_form(entry: bytes) -> None:
    assert shorten(entry) is None
