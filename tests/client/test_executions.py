"""Executions, of pools that do not do all that they are asked for."""

import contextlib
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from remote_kernel.client.access import ConfiguredAccess
from remote_kernel.client.http.pool_client import PoolClient
from remote_kernel.client.interpreter.executions import MAX_CHARS, SMALL_MAX_CHARS, Executions
from remote_kernel.client.interpreter.injection import MARK_CHARS, Injection, Module
from remote_kernel.core.errors import NoAnswer, PoolRefused
from remote_kernel.core.identity import Identifier
from tests.client.serving import Answer, serve

pytestmark = pytest.mark.anyio

Fields = dict[str, Any]

# Of an interpreter that has no agent.
ARGUMENT = {"folder": "no-such-folder", "seconds": 1, "exchange": "", "unread": [], "max_chars": 10}


def run_code(code: str) -> str:
    """Run code as an interpreter does, and return what it prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "cell", "exec"), {})
    return printed.getvalue()


def succeeded(stdout: str, status: str = "Succeeded") -> Fields:
    result = {"stdout": stdout, "stderr": "", "executionResult": None, "executionTimeInMilliseconds": 1}
    return {"id": "e-1", "status": status, "executionType": "Synchronous", "result": result}


@contextmanager
def pool_that_answers(answer: Callable[[str, Fields], tuple[int, Fields]]) -> Iterator[Executions]:
    def respond(request: BaseHTTPRequestHandler) -> Answer:
        body = request.rfile.read(int(request.headers.get("content-length") or 0))
        path = request.path.partition("?")[0]
        status, fields = answer(f"{request.command} {path}", json.loads(body) if body else {})
        return status, {"content-type": "application/json"}, json.dumps(fields).encode()

    with serve(respond) as port:
        access = ConfiguredAccess(f"http://127.0.0.1:{port}", "t")
        yield Executions(PoolClient(access, Identifier("executions")))


make = partial(Injection.make, Module.EXCHANGE)


async def test_a_pool_that_refuses_a_long_output_is_asked_for_a_short_one() -> None:
    asked = []

    def answer(_path: str, fields: Fields) -> tuple[int, Fields]:
        asked.append(fields["outputStreamsMaxLength"])
        if fields["outputStreamsMaxLength"] > 4096:
            return 400, {"error": {"code": "InvalidRequest", "message": "outputStreamsMaxLength is too large"}}
        return 200, succeeded(run_code(fields["code"]))

    with pool_that_answers(answer) as executions:
        for _ in range(2):
            assert await executions.run(lambda _most: make(ARGUMENT), seconds=5) == "absent"
    assert asked == [MAX_CHARS + MARK_CHARS, 4096, 4096]
    assert SMALL_MAX_CHARS + MARK_CHARS == 4096


async def test_a_refusal_with_another_reason_is_passed_on() -> None:
    refusal = 400, {"error": {"code": "InvalidRequest", "message": "This pool runs a shell."}}
    with pool_that_answers(lambda _path, _fields: refusal) as executions, pytest.raises(PoolRefused) as raised:
        await executions.run(lambda _most: make(ARGUMENT), seconds=5)
    assert "This pool runs a shell." in str(raised.value)


async def test_an_execution_that_the_pool_does_not_wait_for_is_asked_after() -> None:
    printed = []

    def answer(path: str, fields: Fields) -> tuple[int, Fields]:
        if path == "POST /executions":
            printed.append(run_code(fields["code"]))
            return 202, succeeded("", "Running")
        assert path == "GET /executions/e-1"
        return 200, succeeded(printed[0])

    with pool_that_answers(answer) as executions:
        assert await executions.run(lambda _most: make(ARGUMENT), seconds=5) == "absent"


@pytest.mark.parametrize("fields", [succeeded("something else"), {"status": "Succeeded"}, {}])
async def test_an_answer_that_is_not_ours_is_told_as_that(fields: Fields) -> None:
    with pool_that_answers(lambda _path, _fields: (200, fields)) as executions, pytest.raises(NoAnswer):
        await executions.run(lambda _most: make(ARGUMENT), seconds=5)
