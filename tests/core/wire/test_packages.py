"""Packages on the wire: what a pod may say of its interpreter, and what it may be told to install."""

from typing import Any

import pytest

from remote_kernel.core.errors import WireError
from remote_kernel.core.wire.packages import (
    MAX_WHEELS,
    WHEEL,
    Change,
    Installed,
    Order,
    Packages,
    Wheel,
    normalized,
)

TOLD = Packages(
    pod="pod-1",
    python="3.12.4",
    implementation="cp",
    abi="cp312",
    platforms=["manylinux_2_36_x86_64", "linux_x86_64"],
    markers={"sys_platform": "linux"},
    installer="pip 24.0",
    installed={"numpy": "1.26.4", "ruamel-yaml": "0.18"},
)
ORDER = Order(
    wheels=[Wheel(name="numpy-2.0-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", sha256="0" * 64)]
)
DONE = Installed(
    pod="pod-1", is_done=True, problem="", lines=["a"], changes=[Change(name="numpy", before="1.26.4", after="2.0")]
)


def test_messages_come_back_as_they_were() -> None:
    assert Packages.from_json(TOLD.to_json()) == TOLD
    assert Order.from_json(ORDER.to_json()) == ORDER
    assert Installed.from_json(DONE.to_json()) == DONE


@pytest.mark.parametrize(
    "wrong",
    [
        {"platforms": ["--find-links=/"]},
        {"platforms": ["linux_x86_64"] * 501},
        {"platforms": [1]},
        {"abi": "cp312 --pre"},
        {"python": "-rfile"},
        {"implementation": "", "abi": ""},
        {"installed": {"numpy": 1}},
        {"installed": {"-e": "1"}},
        {"installed": {"numpy": "1\n"}},
        {"installed": {"numpy": "1" * 200}},
        {"markers": {str(number): "" for number in range(100)}},
        {"markers": {"sys_platform": "x" * 2000}},
        {"installed": None},
    ],
)
def test_an_interpreter_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        Packages.from_json({**TOLD.to_json(), **wrong})


@pytest.mark.parametrize(
    "wrong",
    [
        {"wheels": [{"name": "a.whl", "sha256": "0" * 64}]},
        {"wheels": [{"name": "x/a-1-py3-none-any.whl", "sha256": "0" * 64}]},
        {"wheels": [{"name": "a-1-py3-none-any.whl", "sha256": "0"}]},
        {"wheels": [{"name": "a-1-py3-none-any.whl", "sha256": "0" * 64}] * (MAX_WHEELS + 1)},
        {"wheels": None},
        {"installer": "../pip.whl"},
        [],
    ],
)
def test_an_order_of_what_is_no_wheel_is_refused(wrong: Any) -> None:
    with pytest.raises(WireError):
        Order.from_json({**ORDER.to_json(), **wrong} if isinstance(wrong, dict) else wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"lines": [1]},
        {"lines": "a"},
        {"changes": [{"name": "a"}]},
        {"changes": [{"name": "a", "before": "", "after": ""}] * (MAX_WHEELS + 1)},
        {"missing": ["nothing"]},
        {"is_done": 1},
    ],
)
def test_a_state_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        Installed.from_json({**DONE.to_json(), **wrong})


def test_of_long_output_little_is_taken() -> None:
    told = Installed.from_json({**DONE.to_json(), "lines": ["x" * 10_000, "a\x1b[31m"] * 100, "problem": "y" * 1000})
    assert len(told.lines) == 20
    assert (len(told.lines[0]), told.lines[1], len(told.problem)) == (500, "a[31m", 200)


@pytest.mark.parametrize("name", ["Ruamel.YAML", "ruamel_yaml", "ruamel--yaml"])
def test_names_are_compared_without_their_spelling(name: str) -> None:
    assert normalized(name) == "ruamel-yaml"


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("ruamel.yaml-0.18-py3-none-any.whl", "0.18"),
        ("torch-2.1.0+cpu-cp312-cp312-linux_x86_64.whl", "2.1.0+cpu"),
        ("a-1!2.0-3build-py2.py3-none-any.whl", "1!2.0"),
    ],
)
def test_names_of_wheels(name: str, version: str) -> None:
    match = WHEEL.fullmatch(name)
    assert match is not None
    assert match["version"] == version
