"""A log line is one line, comes back as it was, and holds nothing that opens anything."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_kernel.core.text.log_lines import MAX_TEXT_LENGTH, LogEvent, LogLine, redact

LINE = LogLine(
    at=1.5, level="warning", program="kernel", pid=7, event=LogEvent("attached", seconds=0.12345, is_new=True)
)


def test_line_is_one_object_with_what_happened_and_when() -> None:
    assert json.loads(LINE.to_json()) == {
        "time": "1970-01-01T00:00:01.500Z", "level": "warning", "program": "kernel", "pid": 7, "event": "attached",
        "seconds": 0.123, "is_new": True,
    }  # fmt: skip


def test_line_for_people_looks_as_jupyters_do() -> None:
    text = LINE.to_text()
    assert text.startswith("[W 19")
    assert text.endswith(".500 kernel 7] attached seconds=0.123 is_new=true")


def test_trace_stands_below_its_line_for_people() -> None:
    event = LogEvent("failed inside", error="KeyError", trace="  File x\n    y\n")
    text = LogLine(at=0, level="error", program="pool", pid=1, event=event).to_text()
    assert text.splitlines()[1:] == ["  File x", "    y"]


def test_text_with_blanks_is_one_value() -> None:
    assert str(LogEvent("bound", notebook="/my notes/a.ipynb", pool="local")) == (
        'bound notebook="/my notes/a.ipynb" pool=local'
    )


values = st.none() | st.booleans() | st.integers() | st.text(max_size=50)
keys = st.from_regex(r"[a-z_]{1,10}", fullmatch=True).filter(
    lambda key: key not in {"time", "level", "program", "pid", "event"}
)


@given(st.dictionaries(keys, values, max_size=4))
def test_whatever_is_in_a_line_it_comes_back_and_stays_one_line(fields: dict[str, str]) -> None:
    line = LogLine(at=2.25, level="info", program="pool", pid=1, event=LogEvent("something", **fields))
    assert "\n" not in line.to_json()
    assert LogLine.from_json(line.to_json()) == line


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '{"time": "x"}', "Traceback (most recent call last):"])
def test_what_is_no_line_is_none(text: str) -> None:
    assert LogLine.from_json(text) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET /api?identifier=abc-def&x=1 failed", "GET /api?identifier=…&x=1 failed"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer …"),
        ("session nb-0123456789abcdef is gone", "session … is gone"),
        ("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sig-1 refused", "token … refused"),
        ("proxy http://me:pass@proxy.example:80", "proxy http://…@proxy.example:80"),
        ("The pool at pool.example:8080 answers.", "The pool at pool.example:8080 answers."),
    ],
)
def test_secrets_are_taken_out_of_texts(text: str, shown: str) -> None:
    assert redact(text) == shown
    assert LogEvent("failed", text=text).fields["text"] == shown


def test_text_without_end_is_cut() -> None:
    assert len(str(LogEvent("failed", text="x" * 10_000).fields["text"])) == MAX_TEXT_LENGTH
