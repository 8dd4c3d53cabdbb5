"""Fields of JSON objects: read as the annotations of their dataclass say, or refused."""

import re
from dataclasses import dataclass, field
from typing import Annotated

import pytest

from remote_kernel.core.errors import WireError
from remote_kernel.core.numbers import NAME, Items, Pattern
from remote_kernel.core.wire.fields import JsonAnswer, from_fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Part(JsonAnswer):
    name: Annotated[str, NAME]
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole(JsonAnswer):
    count: int
    parts: Annotated[list[Part], Items(most=2)]


PART = {"name": "a", "weight": 2.5}


def test_an_answer_survives_json() -> None:
    whole = Whole(count=1, parts=[Part(name="a"), Part(name="b", weight=0.5)])
    assert Whole.from_json(whole.to_json()) == whole


def test_fields_of_newer_versions_are_passed_over_and_those_that_older_ones_do_not_send_have_defaults() -> None:
    assert from_fields(Part, {"name": "a", "new": [1]}) == Part(name="a", weight=1.0)


def test_a_whole_number_will_do_where_a_fraction_may_be_and_not_the_other_way_round() -> None:
    part = from_fields(Part, {"name": "a", "weight": 2})
    assert (part.weight, type(part.weight)) == (2.0, float)
    with pytest.raises(WireError, match="the field 'count' of a Whole frame is not int"):
        from_fields(Whole, {"count": 1.0, "parts": []})


@dataclass(frozen=True, slots=True, kw_only=True)
class Bag(JsonAnswer):
    sizes: Annotated[dict[Annotated[str, Pattern(re.compile("[a-z]+"))], int], Items(most=2)] = field(
        default_factory=dict
    )
    first: Annotated[list[int], Items(most=2, is_cut=True)] = field(default_factory=list)


def test_what_is_null_or_not_said_has_its_default_and_of_a_long_list_the_beginning_is_taken() -> None:
    assert Bag.from_json({"sizes": None}) == Bag()
    assert Bag.from_json({"sizes": {"a": 1}, "first": [1, 2, 3]}) == Bag(sizes={"a": 1}, first=[1, 2])


@pytest.mark.parametrize("sizes", [[], {"A": 1}, {"a": -1}, {"a": 1, "b": 2, "c": 3}], ids=repr)
def test_a_dictionary_is_held_to_its_bounds_its_names_and_its_values(sizes: object) -> None:
    with pytest.raises(WireError):
        Bag.from_json({"sizes": sizes})


@pytest.mark.parametrize(
    "fields",
    [
        None,
        [],
        {},
        {"count": True, "parts": []},
        {"count": -1, "parts": []},
        {"count": 1, "parts": {}},
        {"count": 1, "parts": [PART] * 3},
        {"count": 1, "parts": [None]},
        {"count": 1, "parts": [PART | {"name": "\x1b[2J"}]},
        {"count": 1, "parts": [PART | {"weight": float("nan")}]},
    ],
    ids=repr,
)
def test_what_is_out_of_bounds_is_refused(fields: object) -> None:
    with pytest.raises(WireError):
        Whole.from_json(fields)
