"""Calls on the wire: what may be ordered, and what a pod may say of what has become of it."""

from typing import Any

import pytest

from remote_kernel.core.errors import WireError
from remote_kernel.core.limits import SAVE_CALL
from remote_kernel.core.wire.saves import (
    MAX_VARIABLES,
    CallProgress,
    CallState,
    Lost,
    Order,
    Report,
    Restored,
    SaveLimits,
    is_job,
    job_folder,
    objects_folder,
    program_name,
)

ORDER = Order(program=program_name("ab" * 32), call="save", arguments={"known": ["x"]}, objects="0123abcd")
STATE = CallState(
    pod="pod-1", is_done=True, answer={"mode": "fork"}, problem="No.",
    progress=CallProgress(state="done", step="saving", name="x", done=1, total=2, bytes=3, problem=""),
)  # fmt: skip
REPORT = Report(
    restored=[Restored(name="x", type="int", cell=4)],
    lost=[Lost(name="y", type="generator", reason="It is a generator.", cell=5)],
    warnings=["numpy 2.4 there."],
    conflicts=["z"],
)


def test_messages_come_back_as_they_were() -> None:
    assert Order.from_json(ORDER.to_json()) == ORDER
    assert CallState.from_json(STATE.to_json()) == STATE
    assert CallState.from_json({"pod": "pod-1", "is_done": False}) == CallState(pod="pod-1", is_done=False)
    assert Report.from_json(REPORT.to_json()) == REPORT
    assert SaveLimits.from_json(SaveLimits(group_bytes=1).to_json()) == SaveLimits(group_bytes=1)


def test_who_saves_more_in_all_may_save_more_that_belongs_together() -> None:
    default = SaveLimits()
    assert SaveLimits.of(default.total_bytes, default.total_seconds) == default
    larger, smaller = SaveLimits.of(6_000_000_000, 3_600.0), SaveLimits.of(1_000_000, 10.0)
    assert (larger.group_bytes, larger.group_seconds) == (3_000_000_000, 360.0)
    assert (smaller.group_bytes, smaller.group_seconds) == (default.group_bytes, default.group_seconds)


def test_a_variable_that_no_cell_has_bound_has_none() -> None:
    report = Report.from_json({"restored": [{"name": "x", "type": "int", "cell": None}]})
    assert report.restored == [Restored(name="x", type="int")]
    assert (report.lost, report.warnings, report.conflicts) == ([], [], [])


def test_of_very_many_variables_the_first_are_listed_and_all_are_counted() -> None:
    rows = [{"name": "x", "type": "int", "cell": None}] * (MAX_VARIABLES + 2)
    report = Report.from_json({"restored": rows, "conflicts": ["x"] * (MAX_VARIABLES + 1), "more_conflicts": 4})
    assert (len(report.restored), report.restored_count) == (MAX_VARIABLES, MAX_VARIABLES + 2)
    assert (len(report.conflicts), report.conflict_count) == (MAX_VARIABLES, MAX_VARIABLES + 5)
    assert (report.lost, report.lost_count) == ([], 0)


def test_what_is_only_shown_is_made_fit_for_that() -> None:
    reason = "\x1b[31m" + "x" * 5000
    (lost,) = Report.from_json({"lost": [{"name": "a\nb", "type": "t", "reason": reason}]}).lost
    assert (lost.name, lost.reason) == ("ab", "[31m" + "x" * 995)


@pytest.mark.parametrize(
    "wrong",
    [
        {"program": "../x.zip"},
        {"program": "program-0123456789abcdef.zip/.."},
        {"call": "__import__"},
        {"call": ""},
        {"objects": "../.."},
        {"arguments": ["x"]},
    ],
)
def test_an_order_of_something_else_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        Order.from_json({**ORDER.to_json(), **wrong})


@pytest.mark.parametrize(
    "wrong",
    [
        {"restored": 1},
        {"restored": [1]},
        {"restored": [{"name": "x"}]},
        {"restored": [{"name": "x", "type": "int", "cell": -1}]},
        {"lost": [{"name": "x", "type": "int", "cell": 1}]},
        {"more_lost": -1},
        {"more_lost": "many", "lost": [{"name": "x", "type": "t", "reason": ""}] * (MAX_VARIABLES + 1)},
        {"warnings": [1]},
    ],
)
def test_a_report_that_is_none_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        Report.from_json(wrong)


@pytest.mark.parametrize("wrong", [{"answer": 1}, {"answer": []}, {"is_done": 1}, {"progress": {"done": -1}}])
def test_a_state_that_is_none_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        CallState.from_json({**STATE.to_json(), **wrong})


def test_folders_are_below_one() -> None:
    assert (job_folder("0123abcd"), objects_folder("0123abcd")) == (".saves/0123abcd", ".saves/objects-0123abcd")
    assert [is_job(name) for name in ("0123abcd", "0123abc", "..", "0123ABCD", "a" * 65)] == [
        True, False, False, False, False,
    ]  # fmt: skip
    assert SAVE_CALL.entries == MAX_VARIABLES
