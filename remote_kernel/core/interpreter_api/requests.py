"""Requests of the interpreter API to execute code, in the JSON of every version."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from remote_kernel.core.interpreter_api.values import ValueForm
from remote_kernel.core.interpreter_api.versions import ApiRefusal, ApiVersion, execution_type
from remote_kernel.core.jupyter.messages import is_unicode

# Characters of standard output and of standard error in a reply.
DEFAULT_MAX_OUTPUT = 4096

# Numbers in the specification are 32 bits wide.
_MAX_INT32 = 2**31 - 1


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
            "executionType": execution_type(self.is_asynchronous),
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
