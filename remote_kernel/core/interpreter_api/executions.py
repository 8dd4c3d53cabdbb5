"""The interpreter API of Azure's session pools: versions, paths, and the JSON of executions, for both ends.

Source: `specification/app/data-plane/DynamicSessions` of Azure's REST API specifications (2024-10-02, 2025-02-02 and
2025-10-02 previews) and, for the versions before, Azure's documentation of code interpreter sessions and the clients on
PyPI. `docs/interpreter-api.md` says what was taken from where.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from remote_kernel.core.errors import RemoteKernelError, WireError
from remote_kernel.core.interpreter_api.values import ValueForm
from remote_kernel.core.jupyter.messages import is_unicode
from remote_kernel.core.numbers import AMOUNT
from remote_kernel.core.text.terminal_text import one_line

EXECUTE_PATH = "/code/execute"
EXECUTIONS_PATH = "/executions"
FILES_PATH = "/files"
SESSION_PATH = "/session"
LIST_SESSIONS_PATH = "/listSessions"
METADATA_PATH = "/metadata"

# A synchronous execution holds a connection, and Azure's front door cuts it after so long.
SYNC_LIMIT_SECONDS = 220.0

# Characters of standard output and of standard error in a reply.
DEFAULT_MAX_OUTPUT = 4096

MAX_UPLOAD_BYTES = 128 * 1024 * 1024

# Ids go into paths.
_EXECUTION_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")

# Numbers in the specification are 32 bits wide.
_MAX_INT32 = 2**31 - 1


class ApiVersion(StrEnum):
    """Every published version of the API, oldest first."""

    V2023_08_01 = "2023-08-01-preview"
    V2024_02_02 = "2024-02-02-preview"
    V2024_08_02 = "2024-08-02-preview"
    V2024_10_02 = "2024-10-02-preview"
    V2025_02_02 = "2025-02-02-preview"
    V2025_10_02 = "2025-10-02-preview"

    @property
    def has_code_execute(self) -> bool:
        """Return whether code goes to `/code/execute`, and bodies are wrapped in "properties"."""
        return self < ApiVersion.V2024_10_02

    @property
    def has_session(self) -> bool:
        """Return whether sessions can be looked at and deleted, and the pool described."""
        return self >= ApiVersion.V2025_02_02


class ApiRefusal(RemoteKernelError):
    """A request that the API answers with an error.

    Attributes:
        status: the HTTP status.
        code: `error.code` and the header `x-ms-error-code`.
        target: `error.target`: the part of the request that is at fault; "" for none.
    """

    def __init__(self, status: int, code: str, message: str, *, target: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.target = target

    @property
    def name(self) -> str:
        return self.code


def parse_api_version(text: str | None) -> ApiVersion:
    """Return the version that the parameter `api-version` names.

    Raises:
        ApiRefusal: there is none, or it is unknown (400, as Azure's REST API guidelines ask).
    """
    if not text:
        raise ApiRefusal(
            400,
            "MissingApiVersionParameter",
            f"The parameter 'api-version' is missing: use {ApiVersion.V2025_10_02.value}.",
            target="api-version",
        )
    try:
        return ApiVersion(text)
    except ValueError:
        known = ", ".join(ApiVersion)
        raise ApiRefusal(
            400,
            "UnsupportedApiVersionValue",
            f"This 'api-version' is not known here. The supported ones are {known}.",
            target="api-version",
        ) from None


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
class ExecutionRequest:
    """Execution request of a client.

    Attributes:
        timeout_seconds: how long it may take; `None` for the service's own limit.
        max_output: characters of stdout, and of stderr, that the reply may hold.
        is_empty_kernel: whether it goes to an interpreter apart, without the variables of the others.
        form: how the value comes back.
    """

    code: str
    is_asynchronous: bool = False
    timeout_seconds: float | None = None
    max_output: int = DEFAULT_MAX_OUTPUT
    is_empty_kernel: bool = False
    form: ValueForm = ValueForm.JSON

    def to_json(self, version: ApiVersion) -> dict[str, Any]:
        """Return the body of a request in the shape of `version`; what that version cannot say is left out."""
        fields: dict[str, Any] = {
            "codeInputType": "inline" if version.has_code_execute else "Inline",
            "executionType": _execution_type(self.is_asynchronous),
            "code": self.code,
        }
        if self.timeout_seconds is not None:
            fields["timeoutInSeconds"] = int(self.timeout_seconds)
        if version.has_code_execute:
            return {"properties": {**fields, "executionType": fields["executionType"].lower()}}
        if version >= ApiVersion.V2025_10_02:
            fields["outputStreamsMaxLength"] = self.max_output
            fields["useEmptyKernel"] = self.is_empty_kernel
            fields["returnJupyterFormatExecutionResult"] = self.form is ValueForm.JUPYTER
        return fields


def parse_request(body: bytes, version: ApiVersion) -> ExecutionRequest:
    """Read the body of a `POST /executions` or, in the older versions, of a `POST /code/execute`.

    Words are compared without regard to case, as clients differ. Fields that `version` does not have are ignored.

    Raises:
        ApiRefusal: the body is no such request (400).
    """
    fields = _fields_of(body, version)
    is_newest = version >= ApiVersion.V2025_10_02
    if "shellCommand" in fields or "execCommandAndArgs" in fields:
        raise _invalid("This pool runs Python, not a shell: send 'code'.", "shellCommand")
    timeout = _number(fields, "timeoutInSeconds", least=1)
    max_output = _number(fields, "outputStreamsMaxLength", least=0) if is_newest else None
    return ExecutionRequest(
        code=_decode_code(fields),
        is_asynchronous=_word(fields, "executionType", "synchronous", ("synchronous", "asynchronous")) != "synchronous",
        timeout_seconds=None if timeout is None else float(timeout),
        max_output=DEFAULT_MAX_OUTPUT if max_output is None else max_output,
        is_empty_kernel=is_newest and _flag(fields, "useEmptyKernel"),
        form=_form_of(fields, version),
    )


def _form_of(fields: Mapping[str, Any], version: ApiVersion) -> ValueForm:
    if version.has_code_execute:
        return ValueForm.SCALARS
    is_newest = version >= ApiVersion.V2025_10_02
    is_jupyter = is_newest and _flag(fields, "returnJupyterFormatExecutionResult")
    return ValueForm.JUPYTER if is_jupyter else ValueForm.JSON


def _fields_of(body: bytes, version: ApiVersion) -> dict[str, Any]:
    try:
        fields = json.loads(body)
        if version.has_code_execute:
            fields = fields["properties"]
    except (ValueError, RecursionError, TypeError, KeyError):
        fields = None
    if not isinstance(fields, dict):
        shape = '{"properties": {"code": "…"}}' if version.has_code_execute else '{"code": "…"}'
        raise _invalid(f"The body is not JSON of the form {shape}.", "body")
    return fields


def _decode_code(fields: Mapping[str, Any]) -> str:
    code = fields.get("code")
    if not isinstance(code, str):
        raise _invalid("The field 'code' is missing, or is not a string.", "code")
    kind = _word(fields, "codeInputType", "inline", ("inline", "inlinetext", "inlinebase64"))
    if not is_unicode(code):
        raise _invalid("The field 'code' holds a half of a character (a lone surrogate).", "code")
    if kind != "inlinebase64":
        return code
    try:
        return base64.b64decode(code, validate=True).decode()
    except (binascii.Error, ValueError):
        raise _invalid("The field 'code' is not the base64 of UTF-8 text.", "code") from None


def _word(fields: Mapping[str, Any], name: str, default: str, allowed: tuple[str, ...]) -> str:
    value = fields.get(name)
    if value is None:
        return default
    if not isinstance(value, str) or value.lower() not in allowed:
        raise _invalid(f"The field {name!r} has to be one of {', '.join(allowed)}.", name)
    return value.lower()


def _number(fields: Mapping[str, Any], name: str, *, least: int) -> int | None:
    value = fields.get(name)
    if value is not None and (type(value) is not int or not least <= value <= _MAX_INT32):
        raise _invalid(f"The field {name!r} has to be a whole number from {least} to {_MAX_INT32}.", name)
    return value


def _flag(fields: Mapping[str, Any], name: str) -> bool:
    value = fields.get(name)
    if value is not None and not isinstance(value, bool):
        raise _invalid(f"The field {name!r} has to be true or false.", name)
    return bool(value)


def _invalid(message: str, target: str) -> ApiRefusal:
    return ApiRefusal(400, "InvalidRequestBody", message, target=target)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Outcome of executed code.

    Attributes:
        value: the last expression's value as JSON: see `interpreter_values`.
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
            "executionType": _execution_type(self.is_asynchronous),
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


def _execution_type(is_asynchronous: bool) -> str:
    return "Asynchronous" if is_asynchronous else "Synchronous"
