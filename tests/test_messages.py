"""The sentences that a user can get are those of `tests/messages.txt`."""

import ast

import pytest

from tests import messages


def test_the_list_of_messages_is_that_of_the_code() -> None:
    assert messages.FILE.read_text(encoding="utf-8") == messages.page(), "write it anew: python -m tests.messages"


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ('raise Problem("It is full.")', ["It is full."]),
        ('raise Problem(f"{path} is {size:.1f} MB" " too long")', ["{path} is {size} MB too long"]),
        ('print(f"{count} files", file=sys.stderr)', ["{count} files"]),
        ('add("--jobs", help="how many at once (default: %(default)s)")', ["how many at once (default: %(default)s)"]),
        ('TEXT = """\\\ntwo\nlines\n"""', ["two\nlines\n"]),
        ('"""Docstring of a module."""', []),
        ('def f(x: "a type") -> "a type":\n    """Return a value."""', []),
        ('log.info(LogEvent("pool full", reason="not for long"))', ["pool full", "not for long"]),
        ('NOTE = f"[The cell was ended after {seconds} s.]"', ["[The cell was ended after {seconds} s.]"]),
        ('source = "from the Azure login"; CODE = "from os import path"', ["from the Azure login"]),
        ('PATTERN = re.compile(r"with some words")', []),
        ('NAME = "word"; KEY = "content-type"; URL = "https://example.org/a"', []),
    ],
)
def test_what_a_user_gets_to_see_is_found(code: str, shown: list[str]) -> None:
    assert messages.sentences(ast.parse(code)) == shown
