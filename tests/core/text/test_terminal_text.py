"""Nothing but text and colours reaches a terminal, whatever it is and wherever it is cut."""

import re
import time
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_kernel.core.text.terminal_text import aligned, clean, escape, one_line

# What a hostile program would like to have written to a terminal, and what its user sees of it.
HOSTILE = [
    ("title", "a\x1b]0;owned\x07b", "ab"),
    ("title, ended by ST", "a\x1b]2;owned\x1b\\b", "ab"),
    ("clipboard", "a\x1b]52;c;cm0gLXJmIH4=\x07b", "ab"),
    ("link", "\x1b]8;;https://evil.example\x1b\\text\x1b]8;;\x1b\\", "text"),
    ("C1 title", "a\x9d0;owned\x9cb", "ab"),
    ("C1 cursor", "a\x9b2Jb", "ab"),
    ("clear the screen", "a\x1b[2J\x1b[Hb", "ab"),
    ("cursor up", "a\x1b[1A\x1b[2Kb", "ab"),
    ("alternate screen", "\x1b[?1049hb", "b"),
    ("a question that the terminal answers", "\x1b[6n\x1b[cb", "b"),
    ("reset", "a\x1bcb", "ab"),
    ("character set", "a\x1b(0b", "ab"),
    ("DCS", 'a\x1bP$q"p\x1b\\b', "ab"),
    ("APC", "a\x1b_Gi=1\x1b\\b", "ab"),
    ("PM", "a\x1b^x\x1b\\b", "ab"),
    ("SOS", "a\x1bXx\x1b\\b", "ab"),
    ("bell", "a\x07b", "ab"),
    ("NUL", "a\x00b", "ab"),
    ("DEL", "a\x7fb", "ab"),
    ("shift out", "a\x0eb", "ab"),
    ("backspace", "no\b\byes", "yes"),
    ("return", "rm -rf /\rls", "ls"),
    ("Windows' end of a line", "a\r\nb", "a\nb"),
    ("a title without end", "a\x1b]0;owned\nb", "a0;owned\nb"),
    ("sequence inside a sequence", "a\x1b\x1b]0;x\x07[2Jb", "a[2Jb"),
    ("right to left", "invoice\u202efdp.exe", "invoicefdp.exe"),
    ("isolate", "a\u2066b\u2069", "ab"),
]

COLOURS = re.compile(r"\x1b\[[0-9;:]{0,64}m")

# More controls than any text has by chance, and the letters that sequences are made of.
pieces = st.text() | st.sampled_from(
    ["\x1b", "\x1b[", "\x1b]", "\x1b[31m", "\x9b", "\x9d", "\x9c", "\x07", "\x1b\\", "\x1bP", "\r", "\b", "\n", "\t",
     "0;", "m", "1" * 70, "\u202e", "J", "[", "]52;c;x"]
)  # fmt: skip
texts = st.lists(pieces, max_size=12).map("".join)


def assert_harmless(text: str, *, keeps_colours: bool) -> None:
    left = COLOURS.sub("", text) if keeps_colours else text
    odd = {character for character in left if unicodedata.category(character) == "Cc"} - {"\n", "\t"}
    assert not odd
    assert not set(left) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@pytest.mark.parametrize(("text", "shown"), [case[1:] for case in HOSTILE], ids=[case[0] for case in HOSTILE])
@pytest.mark.parametrize("keeps_colours", [False, True])
def test_controls_of_a_program_are_left_out(text: str, shown: str, keeps_colours: bool) -> None:
    assert clean(text, keeps_colours=keeps_colours) == shown


@pytest.mark.parametrize("text", [case[1] for case in HOSTILE], ids=[case[0] for case in HOSTILE])
@pytest.mark.parametrize("keeps_colours", [False, True])
@pytest.mark.parametrize("make", [clean, escape])
def test_sequence_that_is_cut_anywhere_does_not_pass(text: str, keeps_colours: bool, make: Callable[..., str]) -> None:
    for place in range(len(text) + 1):
        whole = make(text[:place], keeps_colours=keeps_colours) + make(text[place:], keeps_colours=keeps_colours)
        assert_harmless(whole, keeps_colours=keeps_colours)


@given(texts, st.booleans())
@pytest.mark.parametrize("make", [clean, escape])
def test_whatever_comes_only_text_and_colours_are_left(
    make: Callable[..., str], text: str, keeps_colours: bool
) -> None:
    made = make(text, keeps_colours=keeps_colours)
    assert_harmless(made, keeps_colours=keeps_colours)
    assert make(made, keeps_colours=keeps_colours) == made


@given(texts)
def test_name_is_one_line_without_controls(text: str) -> None:
    line = one_line(text)
    assert_harmless(line, keeps_colours=False)
    assert line.splitlines() in ([line], [])
    assert one_line(line) == line


@given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Cf", "Cs"])))
def test_text_without_controls_is_left_as_it_is(text: str) -> None:
    assert clean(text) == escape(text) == text


@pytest.mark.parametrize(
    ("text", "with_colours", "without"),
    [
        ("\x1b[1;31mred\x1b[0m", "\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b[38:2:255:0:0mred\x1b[m", "\x1b[38:2:255:0:0mred\x1b[m", "red"),
        ("\x1b[8mhidden", "\x1b[8mhidden\x1b[0m", "hidden"),
        (f"\x1b[{'9' * 5000}mx", rf"\x1b[{'9' * 5000}mx", rf"\x1b[{'9' * 5000}mx"),
        ("\x1b[>4;2mx", r"\x1b[>4;2mx", r"\x1b[>4;2mx"),
    ],
)
def test_colours_of_a_message_end_with_it_or_are_dropped(text: str, with_colours: str, without: str) -> None:
    assert escape(text, keeps_colours=True) == with_colours
    assert escape(text) == without


def test_message_shows_what_it_holds() -> None:
    assert escape("a\x1b]0;x\x07\x9b2J\u202e\r\nb\tc\rd") == "a\\x1b]0;x\\x07\\x9b2J\\u202e\nb\tc\\rd"
    assert one_line("a\n\x1b[31mb\tc\u2028") == r"a\n\x1b[31mb\tc\u2028"
    assert one_line("caf\udce9") == r"caf\udce9"  # as a file's name that is no UTF-8 arrives here


def test_backspace_takes_no_colour_away() -> None:
    assert clean("ab\x1b[31m\bc", keeps_colours=True) == "a\x1b[31mc"


@pytest.mark.parametrize(
    "text",
    ["\x1b]" * 50_000, "\x9d" * 100_000, "\x1b[" * 50_000, ("\x9b" + "1" * 1000) * 100, ("\x1bP" + "x" * 1000) * 100,
     "\x1b[31ma" * 20_000 + "\b" * 20_000, "a\r" * 50_000, "\x1b " * 50_000],
    ids=["osc", "c1", "csi", "parameters", "dcs", "backspaces", "returns", "intermediates"],
)  # fmt: skip
@pytest.mark.parametrize("make", [clean, escape])
def test_time_grows_with_the_length_and_no_faster(make: Callable[..., str], text: str) -> None:
    began = time.process_time()
    assert_harmless(make(text, keeps_colours=True), keeps_colours=True)
    assert time.process_time() - began < 5  # a fraction of a second; where it grew with the square, minutes


def test_columns_stand_below_one_another_and_no_line_ends_with_blanks() -> None:
    rows = [("NAME", "SIZE", "WHERE"), ("a", "12", "here"), ("longer", "3", "")]
    assert aligned(rows) == ["NAME    SIZE  WHERE", "a       12    here", "longer  3"]
    assert aligned(rows, right={1})[1:] == ["a         12  here", "longer     3"]
