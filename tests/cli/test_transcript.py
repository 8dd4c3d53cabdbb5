"""Messages become the lines that a terminal would show."""

from typing import Any

import pytest

from remote_kernel.cli.output.transcript import MAX_LINE_CHARS, Transcript, describe_data


def stream(text: str, name: str = "stdout") -> dict[str, Any]:
    return {"msg_type": "stream", "content": {"name": name, "text": text}}


def lines_of(*messages: dict[str, Any]) -> list[str]:
    transcript = Transcript()
    return [line for message in messages for line in transcript.feed(message)] + transcript.close()


BAR = "one\ntwo\n  0%|    |\r 50%|##  |\r100%|####|\nend\r\n\nno newline"


@pytest.mark.parametrize("split", range(len(BAR) + 1))
def test_lines_are_the_same_wherever_the_text_is_cut(split: int) -> None:
    assert lines_of(stream(BAR[:split]), stream(BAR[split:])) == ["one", "two", "100%|####|", "end", "", "no newline"]


def test_pending_line_holds_only_what_was_not_overwritten() -> None:
    transcript = Transcript()
    for step in range(10_000):
        transcript.feed(stream(f"\rstep {step}"))
    assert transcript.pending == "step 9999"


def test_line_without_end_is_not_copied_for_ever() -> None:
    lines = lines_of(*[stream("x" * 100)] * 3_000)
    assert "".join(lines) == "x" * 300_000
    assert max(map(len, lines)) <= MAX_LINE_CHARS + 100


def test_bar_that_ends_its_line_with_a_return_stays_visible() -> None:
    transcript = Transcript()
    transcript.feed(stream("50%\r"))
    assert transcript.close() == ["50%"]


def test_other_stream_starts_a_line_of_its_own() -> None:
    assert lines_of(stream("out"), stream("err", "stderr"), stream("out")) == ["out", "err", "out"]


def test_display_ends_the_pending_line() -> None:
    shown = {"msg_type": "display_data", "content": {"data": {"text/plain": "a\nb"}}}
    assert lines_of(stream("first"), shown, stream("second")) == ["first", "a", "b", "second"]


def test_an_update_of_several_lines_is_shown_whole() -> None:
    bar, report = (
        {"msg_type": "update_display_data", "content": {"data": {"text/plain": text}}}
        for text in ("above\n50%", "3 of 4 restored\n\nNot restored: g")
    )
    assert lines_of(bar, report, stream("end")) == ["3 of 4 restored", "", "Not restored: g", "end"]
    assert lines_of(report, {"msg_type": "clear_output", "content": {}}, stream("end")) == ["end"]


def test_updates_of_a_display_overwrite_one_another() -> None:
    updates = [
        {"msg_type": "update_display_data", "content": {"data": {"text/plain": f"step {step}"}}} for step in range(100)
    ]
    assert lines_of(stream("start"), *updates, stream("end")) == ["start", "step 99", "end"]


def test_cleared_output_takes_the_pending_line_along() -> None:
    assert lines_of(stream("gone"), {"msg_type": "clear_output", "content": {"wait": False}}) == []


def test_error_without_traceback_has_name_and_value() -> None:
    error = {"msg_type": "error", "content": {"ename": "Oops", "evalue": "why", "traceback": []}}
    assert lines_of(error) == ["Oops: why"]


@pytest.mark.parametrize("msg_type", ["status", "execute_input", "comm_msg", "something_new"])
def test_other_messages_show_nothing(msg_type: str) -> None:
    assert lines_of({"msg_type": msg_type, "content": {}}) == []


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"text/plain": "42"}, "42"),
        ({"text/plain": "<Figure>", "image/png": "A" * 30_666}, "[image/png, 23 kB]"),
        ({"image/svg+xml": "<svg/>"}, "[image/svg+xml, 6 bytes]"),
        ({"image/png": "A" * 4_000_000}, "[image/png, 3 MB]"),
        ({"text/plain": "<IPython.core.display.Markdown object>", "text/markdown": "**bold**"}, "**bold**"),
        ({"text/plain": "<IPython.core.display.HTML object>", "text/html": "<b>bold</b>"}, "[text/html, 11 bytes]"),
        ({"text/plain": "   a\n0  1", "text/html": "<table>"}, "   a\n0  1"),
        ({"application/json": {"a": 1}}, "[application/json, 8 bytes]"),
        ({}, "[text/plain, 0 bytes]"),
    ],
)
def test_data_is_shown_as_text_or_a_note(data: dict[str, Any], text: str) -> None:
    assert describe_data(data) == text


HOSTILE = "a\x1b]52;c;eA==\x07b\x1b[2Jc\x9b1Ad\x1b[31me\x1b[0m\n"


@pytest.mark.parametrize("split", range(len(HOSTILE) + 1))
def test_sequence_over_two_messages_is_left_out_and_a_colour_stays(split: int) -> None:
    assert lines_of(stream(HOSTILE[:split]), stream(HOSTILE[split:])) == ["abcd\x1b[31me\x1b[0m"]


@pytest.mark.parametrize("split", range(len(HOSTILE)))
def test_line_that_is_being_written_shows_no_controls(split: int) -> None:
    transcript = Transcript()
    transcript.feed(stream(HOSTILE[:split]))
    assert not set(transcript.pending) & set("\x1b\x9b\x07")


@pytest.mark.parametrize(
    "message",
    [
        {"msg_type": "error", "content": {"ename": "a\x1bc", "evalue": "\x9b2J", "traceback": []}},
        {"msg_type": "error", "content": {"traceback": ["\x1b]0;x\x07a", None]}},
        {"msg_type": "display_data", "content": {"data": {"text/plain": "\x1b]0;x\x07a"}}},
        {"msg_type": "update_display_data", "content": {"data": {"text/markdown": "\x1b[6na"}}},
    ],
)
def test_no_kind_of_output_lets_controls_through(message: dict[str, Any]) -> None:
    assert not set("".join(lines_of(message))) & set("\x1b\x9b\x07")
