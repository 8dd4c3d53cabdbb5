"""Executions of the interpreter API in answers, version by version."""

import json
from typing import Any

import pytest

from remote_kernel.core.errors import WireError
from remote_kernel.core.interpreter_api.executions import Execution, Outcome, Status, read_execution
from remote_kernel.core.interpreter_api.versions import ApiVersion

OLD, FIRST, MIDDLE, NEWEST = (
    ApiVersion.V2024_02_02, ApiVersion.V2024_10_02, ApiVersion.V2025_02_02, ApiVersion.V2025_10_02,
)  # fmt: skip


DONE = Execution(
    id="op", identifier="session", is_asynchronous=False, status=Status.SUCCEEDED,
    outcome=Outcome(stdout="63\n", stderr="", value=4, milliseconds=4),
)  # fmt: skip
FAILED = Execution(
    id="op", identifier="session", is_asynchronous=True, status=Status.FAILED,
    outcome=Outcome(stdout="", stderr="…", value="", milliseconds=1, error=("NameError", "no x")),
)  # fmt: skip


@pytest.mark.parametrize("version", [FIRST, MIDDLE, NEWEST])
def test_execution_has_the_shape_of_the_specification(version: ApiVersion) -> None:
    assert DONE.to_json(version) == {
        "id": "op", "identifier": "session", "executionType": "Synchronous", "status": "Succeeded",
        "result": {"stdout": "63\n", "stderr": "", "executionResult": 4, "executionTimeInMilliseconds": 4},
    }  # fmt: skip
    assert FAILED.to_json(version)["error"] == {"error": {"code": "NameError", "message": "no x"}}


def test_execution_that_runs_has_no_result() -> None:
    running = Execution(id="op", identifier="session", is_asynchronous=True, status=Status.RUNNING)
    expected = {"id": "op", "identifier": "session", "executionType": "Asynchronous", "status": "Running"}
    assert running.to_json(NEWEST) == expected


def test_old_execution_says_success_and_failure() -> None:
    properties = DONE.to_json(OLD)["properties"]
    assert properties["status"] == "Success"
    assert (properties["result"], properties["executionResult"], properties["stdout"]) == (4, 4, "63\n")
    assert FAILED.to_json(OLD)["properties"]["status"] == "Failure"


@pytest.mark.parametrize("execution", [DONE, FAILED], ids=["done", "failed"])
def test_execution_survives_the_way(execution: Execution) -> None:
    assert read_execution(json.loads(json.dumps(execution.to_json(NEWEST)))) == execution


@pytest.mark.parametrize("fields", [{}, {"id": "a", "status": "0"}, {"id": "a", "status": []}])
def test_answer_that_is_no_execution_is_a_wire_error(fields: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        read_execution(fields)
