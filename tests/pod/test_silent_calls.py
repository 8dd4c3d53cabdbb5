"""Answers to the agent's own calls, as kernels may give them."""

from typing import Any

import pytest

from remote_kernel.pod.kernels.silent_calls import CallFailed, InterpreterBusy, value_in


def reply(value: Any, status: str = "ok") -> dict[str, Any]:
    return {"status": status, "user_expressions": {"value": value}}


def test_a_value_is_what_is_shown_of_it() -> None:
    assert value_in(reply({"status": "ok", "data": {"text/plain": "{}"}, "metadata": {}})) == "{}"


@pytest.mark.parametrize("status", ["aborted", "abort"])
def test_a_kernel_that_drops_what_is_behind_a_failed_cell_is_busy(status: str) -> None:
    with pytest.raises(InterpreterBusy):
        value_in({"status": status})


@pytest.mark.parametrize(
    ("answered", "problem"),
    [
        (reply({"status": "error", "ename": "KeyboardInterrupt", "evalue": ""}), "It was interrupted."),
        (reply({"status": "error", "ename": "NameError", "evalue": "x"}), "The interpreter has failed: NameError."),
        ({"status": "ok", "user_expressions": {}}, "it is none of IPython's"),
        ({"status": "ok"}, "it is none of IPython's"),
        (reply(None), "it is none of IPython's"),
    ],
    ids=["interrupted", "failed", "no value", "no values", "nothing"],
)
def test_what_is_no_value_is_told(answered: dict[str, Any], problem: str) -> None:
    with pytest.raises(CallFailed, match=problem):
        value_in(answered)
