"""Totals of a workspace: for programs, for people, and what is none."""

import pytest

from remote_kernel.core.workspace.totals import Totals


def test_totals_come_back_from_json() -> None:
    totals = Totals(up=3, down=1, kept_twice=2)
    assert Totals.parse(totals.to_json()) == totals


@pytest.mark.parametrize(
    "fields", [None, [], "up", {}, {"up": 1, "down": 2}, {"up": 1, "down": -2, "kept_twice": 0}, {"up": True}]
)
def test_what_is_no_totals_is_none(fields: object) -> None:
    assert Totals.parse(fields) is None


def test_people_read_what_there_is() -> None:
    assert Totals(up=1_200, down=2, kept_twice=1).describe() == "1,200 up, 2 down, 1 kept twice"
    assert Totals(down=2).describe() == "2 down"
    assert Totals().describe() == ""
