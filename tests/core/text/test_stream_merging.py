import json
from collections.abc import Sequence
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_kernel.core.text.stream_merging import (
    GATHER_SECONDS,
    MAX_MERGED_BYTES,
    MAX_PER_SECOND,
    MAX_TEXT_BYTES,
    VAIN_SECONDS,
    Gathering,
    merge_streams,
)
from remote_kernel.core.wire.frames import Channel, Frame, Keepalive, Message


def message(sequence: int, msg_type: str, content: object, parent: str = "cell", *buffers: bytes) -> Message:
    parts = [{"msg_id": f"m{sequence}", "msg_type": msg_type}, {"msg_id": parent}, {}, content]
    encoded = tuple(json.dumps(part).encode() for part in parts)
    return Message(channel=Channel.IOPUB, parts=(*encoded, *buffers), sequence=sequence)


def printed(sequence: int, text: str, name: str = "stdout", parent: str = "cell") -> Message:
    return message(sequence, "stream", {"name": name, "text": text}, parent)


def content_of(frame: Frame) -> dict[str, str]:
    assert isinstance(frame, Message)
    content: dict[str, str] = json.loads(frame.parts[3])
    return content


def test_neighbours_of_one_cell_and_name_become_one_message() -> None:
    first = printed(1, "a\n")
    (merged,) = merge_streams([first, printed(2, "ä🐍\n"), printed(3, "c")])
    assert isinstance(merged, Message)
    assert merged.parts[:3] == first.parts[:3]
    assert content_of(merged) == {"name": "stdout", "text": "a\nä🐍\nc"}
    assert merged.sequence == 3


def test_one_message_stays_as_it_is_byte_for_byte() -> None:
    (same,) = merge_streams([first := printed(1, "a")])
    assert same is first


def test_nothing_is_merged_across_another_message_name_or_parent() -> None:
    frames: list[Frame] = [
        printed(1, "a"),
        message(2, "display_data", {"data": {}}),
        printed(3, "b"),
        printed(4, "c", name="stderr"),
        printed(5, "d", name="stderr", parent="other"),
        Keepalive(),
        printed(6, "e", name="stderr", parent="other"),
    ]
    assert merge_streams(frames) == frames


def test_what_is_large_strange_or_has_buffers_is_left_alone() -> None:
    frames: list[Frame] = [
        printed(1, "x" * MAX_TEXT_BYTES),
        printed(2, "y" * MAX_TEXT_BYTES),
        message(3, "stream", {"name": "stdout", "text": "a", "more": 1}),
        message(4, "stream", {"name": "stdout", "text": "a", "more": 1}),
        message(5, "stream", {"name": "stdout", "text": 1}),
        message(6, "stream", {"name": "stdout", "text": 1}),
        message(7, "stream", {"name": "stdout", "text": "a"}, "cell", b"buffer"),
        message(8, "stream", {"name": "stdout", "text": "a"}, "cell", b"buffer"),
        Message(channel=Channel.IOPUB, parts=(b'"stream"', b"", b"", b"{"), sequence=9),
        Message(channel=Channel.IOPUB, parts=(b'"stream"', b"", b"", b"{"), sequence=10),
    ]
    assert merge_streams(frames) == frames


def test_a_merged_message_has_a_bound() -> None:
    length = MAX_MERGED_BYTES // 8
    merged = merge_streams([printed(number, "a" * length) for number in range(1, 18)])
    assert [len(content_of(frame)["text"]) for frame in merged] == [8 * length, 8 * length, length]


@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":")])
@pytest.mark.parametrize("is_ascii", [True, False])
def test_the_ways_in_which_kernels_write_json_are_understood(separators: tuple[str, str], is_ascii: bool) -> None:
    said = ['"quoted"\\', "\u2028ä🐍\x00\n", '"}', '", "text": "', "\\"]
    frames = [
        frame._replace(parts=(*frame.parts[:3], encode(content_of(frame), separators, is_ascii)))
        for frame in (printed(number, text) for number, text in enumerate(said, 1))
    ]
    (merged,) = merge_streams(frames)
    assert content_of(merged)["text"] == "".join(said)


def encode(content: object, separators: tuple[str, str], is_ascii: bool) -> bytes:
    return json.dumps(content, separators=separators, ensure_ascii=is_ascii).encode()


def test_a_text_that_speaks_of_streams_is_none() -> None:
    content = {"name": "stdout", "text": "a"}
    header = {"msg_id": '"msg_type": "stream"', "msg_type": "display_data"}
    parts = tuple(json.dumps(part).encode() for part in (header, {}, {}, content))
    frames = [Message(channel=Channel.IOPUB, parts=parts, sequence=number) for number in (1, 2)]
    assert merge_streams(frames) == frames


# What is said: name, parent and text of a `stream` message, or something else.
SAID = st.one_of(
    st.tuples(st.sampled_from(["stdout", "stderr"]), st.sampled_from("pq"), st.text(max_size=5)),
    st.sampled_from(["display_data", "status"]),
)


@given(st.lists(SAID, max_size=30))
def test_text_order_and_last_position_are_kept(said: list[tuple[str, str, str] | str]) -> None:
    frames: list[Frame] = [
        message(number, what, {}) if isinstance(what, str) else printed(number, what[2], what[0], what[1])
        for number, what in enumerate(said, 1)
    ]
    merged = merge_streams(frames)
    assert shown(merged) == shown(frames)
    sequences = [frame.sequence for frame in merged if isinstance(frame, Message)]
    assert sequences == sorted(set(sequences))
    assert not frames or sequences[-1] == len(frames)
    assert len(merged) == len(list(groupby(frames, key_of)))


def shown(frames: Sequence[Frame]) -> list[object]:
    """Return what a reader of the messages sees, in order: each letter with its stream and cell, each other message."""
    seen: list[object] = []
    for frame in frames:
        assert isinstance(frame, Message)
        content = content_of(frame)
        if "text" in content:
            seen += [(content["name"], frame.parts[1], letter) for letter in content["text"]]
        else:
            seen.append(frame)
    return seen


def key_of(frame: Frame) -> object:
    """Return what neighbours that are merged have in common."""
    assert isinstance(frame, Message)
    content = content_of(frame)
    return (frame.parts[1], content["name"]) if "text" in content else frame


class TestGathering:
    """The clock is a number here: what comes, comes in pieces of some frames each, `pause` seconds apart."""

    def pass_for(self, seconds: float, piece: list[Frame], pause: float) -> tuple[int, float]:
        """Return how many messages passed within `seconds`, and how long was waited in all."""
        gathering, now, passed, waited, behind = Gathering(), 1000.0, 0, 0.0, 0.0
        while now < 1000.0 + seconds:
            came = piece * (1 + round(behind / pause))
            merged = merge_streams(came)
            passed += len(merged)
            behind = gathering.passed(came, merged, now)
            waited += behind
            now += pause + behind
        return passed, waited

    def test_a_flood_of_prints_is_at_most_so_many_messages(self) -> None:
        passed, waited = self.pass_for(10, [printed(1, "a\n")], pause=0.0002)
        assert passed <= 1.1 * 11 * MAX_PER_SECOND  # ten seconds, and what waits for nothing
        assert waited < 10

    def test_what_comes_slower_waits_for_nothing(self) -> None:
        passed, waited = self.pass_for(5, [printed(1, "a\n")], pause=1 / (MAX_PER_SECOND - 50))
        assert passed > 5 * (MAX_PER_SECOND - 60)
        assert waited == 0

    def test_the_first_of_a_flood_wait_for_nothing(self) -> None:
        gathering = Gathering()
        frames: list[Frame] = [printed(1, "a\n")]
        waits = [gathering.passed(frames, frames, 1000.0 + number / 100_000) for number in range(MAX_PER_SECOND)]
        assert sum(waits) <= GATHER_SECONDS

    def test_what_cannot_be_put_together_is_hardly_held_up(self) -> None:
        in_turn: list[Frame] = [printed(1, "a\n"), printed(2, "b\n", name="stderr")]
        _, waited = self.pass_for(10, in_turn, pause=0.0002)
        assert waited <= (10 / VAIN_SECONDS + 1) * GATHER_SECONDS

    def test_what_is_no_text_waits_for_nothing(self) -> None:
        _, waited = self.pass_for(2, [message(1, "display_data", {"data": {}})], pause=0.0002)
        assert waited == 0
