"""What the interpreter API makes of what a cell shows."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_kernel.core.interpreter_api.values import MAX_LITERAL_CHARACTERS, ValueForm, nothing, picture_of, value_of

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(JSON_VALUES)
def test_value_with_a_json_form_comes_back_as_it_was(value: Any) -> None:
    assert value_of({"text/plain": repr(value)}) == value


@given(st.text())
def test_every_text_has_a_json_form(text: str) -> None:
    json.dumps(value_of({"text/plain": text}), allow_nan=False, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("text", "value", "jupyter", "scalars"),
    [
        ("4", 4, "4", 4), ("True", True, "True", True), ("0.5", 0.5, "0.5", 0.5), ("'nan'", "nan", "'nan'", "nan"),
        ("'\\d'", "\\d", "'\\d'", "\\d"), ("[1, 'a']", [1, "a"], [1, "a"], "[1, 'a']"),
        ("{'a': (1, 2)}", {"a": (1, 2)}, {"a": (1, 2)}, "{'a': (1, 2)}"),
    ],
)  # fmt: skip
def test_value_of_the_last_expression(text: str, value: Any, jupyter: Any, scalars: Any) -> None:
    assert value_of({"text/plain": text}) == value
    assert value_of({"text/plain": text}, ValueForm.JUPYTER) == jupyter
    assert value_of({"text/plain": text}, ValueForm.SCALARS) == scalars


@pytest.mark.parametrize(
    "text",
    [
        "nan",
        "[nan]",
        "{1, 2}",
        "1e999",
        "b'x'",
        "<object>",
        "9" * 5000,
        "[" * 5000,
        "1 +",
        "a b",
        "",
        "'\\udcaa'",
        "['\\ud83d']",
        "{'\\udfff': 1}",
    ],
)
@pytest.mark.parametrize("form", list(ValueForm))
def test_what_has_no_json_form_is_text(text: str, form: ValueForm) -> None:
    assert value_of({"text/plain": text}, form) == text


def test_json_that_is_shown_is_the_value() -> None:
    assert value_of({"application/json": {"a": 1}, "text/plain": "<JSON>"}) == {"a": 1}
    assert value_of({"application/json": [float("nan")], "text/plain": "<JSON>"}) == "<JSON>"


def test_long_text_is_not_taken_apart() -> None:
    text = "[" + "1," * MAX_LITERAL_CHARACTERS + "]"
    assert value_of({"text/plain": text}) == text


def test_picture_has_the_shape_that_clients_know() -> None:
    picture = {"type": "image", "format": "png", "base64_data": "aGk="}
    assert picture_of({"image/png": "aG\nk=\n", "text/plain": "<Figure>"}) == picture
    assert picture_of({"text/plain": "x"}) is None


def test_nothing_is_an_empty_text_or_null() -> None:
    assert nothing() == ""
    assert nothing(ValueForm.JUPYTER) is None
