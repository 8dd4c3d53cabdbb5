"""Names of saves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_kernel.core.errors import UsageError
from remote_kernel.core.saves.names import is_id, parse_name


@pytest.mark.parametrize(
    "name", ["before", "été", "a b", "../../x", "a/b", "a\\b", "con", "*", "'\"", "日本", "👩‍🔬"[:1], "1"]
)
def test_a_name_is_any_text_of_one_line(name: str) -> None:
    assert parse_name(name) == name


def test_blanks_around_a_name_are_no_part_of_it_and_accents_are_composed() -> None:
    assert parse_name("  e\u0301te\u0301 ") == "\u00e9t\u00e9"


@pytest.mark.parametrize("name", ["", " ", "a\nb", "a\x1b[2J", "\u202ea", "a\0", "x" * 65, "-f", "--force", "\ud800"])
def test_what_cannot_be_shown_or_typed_is_no_name(name: str) -> None:
    with pytest.raises(UsageError):
        parse_name(name)


@given(st.text())
def test_a_name_is_read_again_as_it_is(text: str) -> None:
    try:
        name = parse_name(text)
    except UsageError:
        return
    assert parse_name(name) == name


@pytest.mark.parametrize(
    ("text", "expected"), [("0123abcd", True), ("0123ABCD", False), ("0123abc", False), ("", False)]
)
def test_ids_are_eight_hexadecimal_digits(text: str, *, expected: bool) -> None:
    assert is_id(text) is expected
