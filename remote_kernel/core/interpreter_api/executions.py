"""Executions of the interpreter API, as its answers show them in the JSON of every version."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from remote_kernel.core.errors import WireError
from remote_kernel.core.interpreter_api.versions import ApiVersion, execution_type
from remote_kernel.core.numbers import AMOUNT
from remote_kernel.core.text.terminal_text import one_line

# Ids go into paths.
_EXECUTION_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")


class Status(StrEnum):
    """The state of an execution."""

    NOT_STARTED = "NotStarted"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELED = "Canceled"

    @property
    def is_final(self) -> bool:
        return self not in (Status.NOT_STARTED, Status.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Outcome of executed code.

    Attributes:
        value: the last expression's value as JSON: see `interpreter_api.values`.
        milliseconds: how long it ran.
        error: name and message of the exception, or of what went wrong otherwise; `None` after success.
    """

    stdout: str
    stderr: str
    value: Any
    milliseconds: int
    error: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """An execution as clients see it; `outcome` is there when `status` is final."""

    id: str
    identifier: str
    is_asynchronous: bool
    status: Status
    outcome: Outcome | None = None

    def to_json(self, version: ApiVersion) -> dict[str, Any]:
        """Return the body of an answer in the shape of `version`."""
        if version.has_code_execute:
            return {"properties": self._properties()}
        fields: dict[str, Any] = {
            "id": self.id,
            "identifier": self.identifier,
            "executionType": execution_type(self.is_asynchronous),
            "status": self.status.value,
        }
        if self.outcome is not None:
            if self.outcome.error is not None:
                code, message = self.outcome.error
                # An error response within the resource, so that "error" comes twice: the specification has it so.
                fields["error"] = {"error": {"code": code, "message": message}}
            fields["result"] = {
                "stdout": self.outcome.stdout,
                "stderr": self.outcome.stderr,
                "executionResult": self.outcome.value,
                "executionTimeInMilliseconds": self.outcome.milliseconds,
            }
        return fields

    def _properties(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "$id": self.id,
            "operationId": self.id,
            "status": "Success" if self.status is Status.SUCCEEDED else "Failure",
        }
        if self.outcome is not None:
            fields |= {
                "stdout": self.outcome.stdout,
                "stderr": self.outcome.stderr,
                # The clients read the one, the documentation shows the other.
                "result": self.outcome.value,
                "executionResult": self.outcome.value,
                "executionTimeInMilliseconds": self.outcome.milliseconds,
            }
        return fields


def read_execution(fields: Mapping[str, Any]) -> Execution:
    """Read the answer to a `POST /executions` or `GET /executions/{id}`, of any version since 2024-10-02.

    Raises:
        WireError: it is no such answer.
    """
    try:
        return Execution(
            id=_parse_id(fields["id"]),
            identifier=str(fields.get("identifier", "")),
            is_asynchronous=str(fields.get("executionType", "")).lower() == "asynchronous",
            status=Status(fields["status"]),
            outcome=_parse_outcome(fields) if fields.get("result") is not None else None,
        )
    except (ValueError, TypeError, KeyError, AttributeError, WireError):
        raise WireError("the pool's answer is not an execution of the interpreter API") from None


def runtime_names(metadata: Mapping[str, Any]) -> list[str]:
    """Return what the answer to a `GET /metadata` says of the pool's runtimes; nothing where it is no such answer."""
    runtimes = metadata.get("runtimes")
    names = [each.get("name") for each in runtimes if isinstance(each, dict)] if isinstance(runtimes, list) else []
    return [one_line(name[:100]) for name in names if isinstance(name, str)]


def _parse_id(value: object) -> str:
    if not isinstance(value, str) or not _EXECUTION_ID.fullmatch(value):
        raise WireError("an execution's id is none that fits into a path")
    return value


def _parse_outcome(fields: Mapping[str, Any]) -> Outcome:
    result = fields["result"]
    error = fields.get("error")
    if isinstance(error, dict):
        error = error.get("error", error)
    return Outcome(
        stdout=str(result.get("stdout") or ""),
        stderr=str(result.get("stderr") or ""),
        value=result.get("executionResult"),
        milliseconds=int(AMOUNT.check(result.get("executionTimeInMilliseconds") or 0, "a duration")),
        error=(str(error.get("code", "")), str(error.get("message", ""))) if isinstance(error, dict) else None,
    )
