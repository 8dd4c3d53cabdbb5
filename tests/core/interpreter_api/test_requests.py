"""Requests of the interpreter API, version by version."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_kernel.core.interpreter_api.requests import ExecutionRequest, parse_request
from remote_kernel.core.interpreter_api.values import ValueForm
from remote_kernel.core.interpreter_api.versions import ApiRefusal, ApiVersion

OLD, FIRST, MIDDLE, NEWEST = (
    ApiVersion.V2024_02_02, ApiVersion.V2024_10_02, ApiVersion.V2025_02_02, ApiVersion.V2025_10_02,
)  # fmt: skip


def body_of(fields: object) -> bytes:
    return json.dumps(fields).encode()


# The bodies of the specification's examples and of the clients on PyPI.
@pytest.mark.parametrize(
    ("version", "fields", "request_"),
    [
        (
            NEWEST,
            {"codeInputType": "Inline", "executionType": "Synchronous", "code": "print(7*9)", "timeoutInSeconds": 60,
             "useEmptyKernel": False, "outputStreamsMaxLength": 4096},
            ExecutionRequest(code="print(7*9)", timeout_seconds=60.0),
        ),
        (
            FIRST,
            {"codeInputType": "Inline", "executionType": "Asynchronous", "code": "1", "timeoutInSeconds": 60},
            ExecutionRequest(code="1", is_asynchronous=True, timeout_seconds=60.0),
        ),
        (
            OLD,
            {"properties": {"codeInputType": "inline", "executionType": "synchronous", "code": "1"}},
            ExecutionRequest(code="1", form=ValueForm.SCALARS),
        ),
        (FIRST, {"code": "1", "codeInputType": "InlineText"}, ExecutionRequest(code="1")),
        (NEWEST, {"code": "YQ==", "codeInputType": "InlineBase64"}, ExecutionRequest(code="a")),
        (
            NEWEST,
            {"code": "1", "outputStreamsMaxLength": 0, "useEmptyKernel": True,
             "returnJupyterFormatExecutionResult": True},
            ExecutionRequest(code="1", max_output=0, is_empty_kernel=True, form=ValueForm.JUPYTER),
        ),
        (
            MIDDLE,
            {"code": "1", "outputStreamsMaxLength": 1, "useEmptyKernel": True,
             "returnJupyterFormatExecutionResult": True},
            ExecutionRequest(code="1"),
        ),
    ],
)  # fmt: skip
def test_request_is_understood(version: ApiVersion, fields: Any, request_: ExecutionRequest) -> None:
    assert parse_request(body_of(fields), version) == request_


@pytest.mark.parametrize(
    ("version", "body", "target"),
    [
        (NEWEST, b"", "body"), (NEWEST, b"[]", "body"), (NEWEST, b"{}", "code"), (NEWEST, b'{"code": 1}', "code"),
        (NEWEST, b"[" * 100_000, "body"), (OLD, b'{"code": "1"}', "body"), (OLD, b'{"properties": 1}', "body"),
        (NEWEST, body_of({"code": "1", "codeInputType": "file"}), "codeInputType"),
        (NEWEST, body_of({"code": "1", "executionType": 1}), "executionType"),
        (NEWEST, body_of({"code": "1", "timeoutInSeconds": 0}), "timeoutInSeconds"),
        (NEWEST, body_of({"code": "1", "timeoutInSeconds": "5"}), "timeoutInSeconds"),
        (NEWEST, body_of({"code": "1", "timeoutInSeconds": True}), "timeoutInSeconds"),
        (NEWEST, body_of({"code": "1", "outputStreamsMaxLength": -1}), "outputStreamsMaxLength"),
        (NEWEST, body_of({"code": "1", "outputStreamsMaxLength": 2**31}), "outputStreamsMaxLength"),
        (NEWEST, body_of({"code": "1", "useEmptyKernel": "no"}), "useEmptyKernel"),
        (NEWEST, body_of({"code": "?", "codeInputType": "InlineBase64"}), "code"),
        (NEWEST, body_of({"code": "/w==", "codeInputType": "InlineBase64"}), "code"),
        (NEWEST, body_of({"code": "'\ud800'"}), "code"),
        (NEWEST, body_of({"shellCommand": "ls"}), "shellCommand"),
    ],
)  # fmt: skip
def test_request_that_makes_no_sense_is_refused(version: ApiVersion, body: bytes, target: str) -> None:
    with pytest.raises(ApiRefusal) as refused:
        parse_request(body, version)
    assert (refused.value.status, refused.value.code, refused.value.target) == (400, "InvalidRequestBody", target)


@given(
    st.builds(
        ExecutionRequest,
        code=st.text(),
        is_asynchronous=st.booleans(),
        timeout_seconds=st.none() | st.integers(1, 1000).map(float),
        max_output=st.integers(0, 10**6),
        is_empty_kernel=st.booleans(),
        form=st.sampled_from([ValueForm.JSON, ValueForm.JUPYTER]),
    )
)
def test_newest_request_survives_the_way(request_: ExecutionRequest) -> None:
    assert parse_request(body_of(request_.to_json(NEWEST)), NEWEST) == request_


@pytest.mark.parametrize("version", list(ApiVersion))
def test_every_version_carries_code_and_timeout(version: ApiVersion) -> None:
    sent = ExecutionRequest(code="1", is_asynchronous=True, timeout_seconds=7.0)
    read = parse_request(body_of(sent.to_json(version)), version)
    assert (read.code, read.is_asynchronous, read.timeout_seconds) == ("1", True, 7.0)
