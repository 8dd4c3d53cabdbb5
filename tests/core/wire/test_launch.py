"""Launch options on the wire."""

import json
from dataclasses import replace
from typing import Any

import pytest

from remote_kernel.core.errors import WireError
from remote_kernel.core.wire.launch import MAX_LAUNCH_BYTES, MAX_STARTUP_BYTES, MAX_VARIABLES, Launch

FULL = Launch(
    workspace="project",
    cwd="project/notebooks",
    notebook="project/notebooks/one.ipynb",
    environ={"WHERE": "here", "NOT_UTF_8": "caf\udce9"},
    startup="x = 1\n",
    startup_name="start.py",
)


@pytest.mark.parametrize("launch", [Launch(), FULL], ids=["nothing", "everything"])
def test_options_come_as_they_were_sent(launch: Launch) -> None:
    assert Launch.from_bytes(launch.to_bytes()) == launch


def test_what_is_not_said_is_nothing() -> None:
    assert Launch.from_bytes(b'{"of a newer version": 1}') == Launch()


def test_neither_values_nor_code_are_shown() -> None:
    shown = repr(replace(FULL, environ={"NAME": "s3cret"}, startup="s3cret = 1"))
    assert "s3cret" not in shown
    assert "start.py" in shown


@pytest.mark.parametrize(
    "fields",
    [
        {"cwd": 1},
        {"notebook": "a\0b"},
        {"workspace": "x" * 4097},
        {"startup": "\ud800"},
        {"startup": "x" * (MAX_STARTUP_BYTES + 1)},
        {"startup_name": "x" * 256},
        {"environ": ["A"]},
        {"environ": {"A=B": "s3cret"}},
        {"environ": {"": "s3cret"}},
        {"environ": {"A\n": "s3cret"}},
        {"environ": {"A": 1}},
        {"environ": {"A": "s3cret\0"}},
        {"environ": {"A": "s3cret\ud800"}},
        {"environ": {f"A{number}": "" for number in range(MAX_VARIABLES + 1)}},
        {"environ": {"A": "s3cret" * MAX_LAUNCH_BYTES}},
        {"environ": {"A": [[[[["s3cret"]]]]]}},
    ],
    ids=lambda fields: str(fields)[:30],
)
def test_what_no_interpreter_can_have_is_refused_without_a_value(fields: dict[str, Any]) -> None:
    with pytest.raises(WireError) as raised:
        Launch.from_bytes(json.dumps(fields).encode())
    assert "s3cret" not in str(raised.value)


def test_name_of_the_notebook_makes_no_other_interpreter() -> None:
    assert FULL.makes_same_as(replace(FULL, notebook="two.ipynb"))
    assert not FULL.makes_same_as(replace(FULL, environ={}))
    assert Launch(notebook="one.ipynb").makes_same_as(Launch())
