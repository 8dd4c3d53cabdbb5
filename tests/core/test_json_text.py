"""JSON from outside."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_kernel.core.errors import WireError
from remote_kernel.core.json_text import has_more_values, is_deeper, parse_json_object
from remote_kernel.core.limits import Limit

LIMIT = Limit(kind="", reason="", bytes=1000, nesting=4)
NUMBERS = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


@given(st.dictionaries(st.text(), VALUES, max_size=3))
def test_any_object_is_read_as_it_was_written(value: dict[str, object]) -> None:
    assert parse_json_object(json.dumps(value).encode(), Limit(kind="", reason="", nesting=100)) == value


@given(st.binary())
def test_any_bytes_give_an_object_or_a_wire_error(data: bytes) -> None:
    try:
        assert isinstance(parse_json_object(data, LIMIT), dict)
    except WireError as error:
        assert str(error)  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "7", "null", "{", '{"a": NaN}', '{"a": Infinity}', '{"a": -Infinity}', '{"a": 1e400}',
        '{"a": -1e400}',
        '{"a": ' + "9" * 5000 + "}", '{"a": [[[[]]]]}', '{"a":' * 5 + "1" + "}" * 5, "[" * 100_000,
        '{"a": "' + "x" * 1000 + '"}',
    ],
)  # fmt: skip
def test_what_is_none_as_it_may_be_is_refused(text: str) -> None:
    with pytest.raises(WireError):
        parse_json_object(
            text.encode(), Limit(kind="", reason="", bytes=200_000 if text[0:1] == "[" else 1000, nesting=4)
        )


def test_brackets_in_texts_are_no_depth() -> None:
    assert parse_json_object(b'{"a": [["[[[[{{{{"]]}', LIMIT) == {"a": [["[[[[{{{{"]]}


@pytest.mark.parametrize(("value", "depth"), [(1, 0), ([], 1), ({"a": []}, 2), ([[], {"a": [1]}], 3)])
def test_depth_is_counted_in_objects_and_lists(value: object, depth: int) -> None:
    assert not is_deeper(value, max(depth, 1))
    assert depth < 2 or is_deeper(value, depth - 1)


@given(st.dictionaries(st.text(), VALUES, max_size=3))
def test_values_are_counted_as_they_are_and_not_by_what_stands_in_texts(value: dict[str, object]) -> None:
    text = json.dumps(value).encode()
    count = json.dumps(_without_texts(value)).translate({ord(each): "," for each in "[{"}).count(",")
    assert not has_more_values(text, count)
    assert count == 0 or has_more_values(text, count - 1)


def _without_texts(value: object) -> object:
    match value:
        case dict():
            return {str(number): _without_texts(each) for number, each in enumerate(value.values())}
        case list():
            return [_without_texts(each) for each in value]
        case _:
            return 0


def test_values_are_counted_over_chunks() -> None:
    texts = ["a,[{" * 100_000, '"\\', "\\" * 1_000_001, "b", ""]
    text = json.dumps({"a": texts * 3}).encode()
    assert not has_more_values(text, 16)
    assert has_more_values(text, 15)


def test_little_that_would_become_many_lists_is_not_read() -> None:
    limit = Limit(kind="", reason="", nesting=9, values=100_000)
    with pytest.raises(WireError, match="more than 100,000 values"):
        parse_json_object(b'{"status": "done", "x": [' + b"[]," * 100_000 + b"[]]}", limit)
    table = {"text": "1,2,3\n" * 100_000}
    assert parse_json_object(json.dumps(table).encode(), limit) == table
