"""Executions of our own code in a pod's built-in interpreter, by `POST /executions`."""

import asyncio
import json
import secrets
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from remote_kernel.client.http.pool_client import ALLOCATE_SECONDS, API_VERSION, PoolClient
from remote_kernel.client.interpreter.injection import MARK_CHARS, Injection
from remote_kernel.core.errors import NoAnswer, PoolRefused, PoolUnreachable, WireError
from remote_kernel.core.interpreter_api.executions import Execution, read_execution
from remote_kernel.core.interpreter_api.requests import DEFAULT_MAX_OUTPUT, ExecutionRequest
from remote_kernel.core.interpreter_api.versions import EXECUTIONS_PATH, FILES_PATH, SESSION_PATH, ApiVersion
from remote_kernel.core.pools.front_door import (
    GET_SESSION_PATH,
    SESSION_NOT_FOUND,
    Meaning,
    counts_as_gone,
    meaning_of,
)
from remote_kernel.core.wire import frames as wire

JSON_MEDIA_TYPE = "application/json"

# How long an answer may be: where the pool takes a limit, and where it does not or keeps to a lower one of its own.
MAX_CHARS = 1_000_000
SMALL_MAX_CHARS = DEFAULT_MAX_OUTPUT - MARK_CHARS

# What a `Route` answers to who gives back a session that is not there.
NOTHING_TO_RELEASE: Mapping[str, object] = {"stops": False, "others": 0, "kernels": 0}

# How often to ask for the result of an execution that the pool does not wait for, though it was asked to.
LOOK_AGAIN_SECONDS = 0.5


class AnswerCut(PoolUnreachable):
    """The pool passed on only a part of what the interpreter printed."""


class Executions:
    """The executions of one session; they run one after another."""

    def __init__(self, pool: PoolClient) -> None:
        self._pool = pool
        self._has_answered = False
        self._max_chars = MAX_CHARS  # less once the pool has turned out not to pass on so much

    async def run(self, make: Callable[[int], Injection], *, seconds: float) -> str:
        """Run an injection and return its answer.

        Args:
            make: makes the injection for an answer of so many characters at most.
            seconds: how long it may run in the interpreter, in whole seconds.

        Raises:
            PoolError: as `PoolClient.request`; of these, `AnswerCut` and `NoAnswer` say that there was an execution.
        """
        try:
            return await self._run(make(self._max_chars), seconds)
        except AnswerCut:
            self._max_chars = SMALL_MAX_CHARS
            raise
        except PoolRefused as error:
            if error.status != HTTPStatus.BAD_REQUEST or self._max_chars == SMALL_MAX_CHARS:
                raise
            self._max_chars = SMALL_MAX_CHARS  # perhaps it was too much to ask for; nothing has run
            return await self._run(make(self._max_chars), seconds)

    async def _run(self, injection: Injection, seconds: float) -> str:
        request = ExecutionRequest(
            code=injection.code, timeout_seconds=seconds, max_output=self._max_chars + MARK_CHARS
        )
        # A pod that is there needs no more than the code does; one that has to be made may take minutes.
        read_seconds = seconds + wire.STALE_SECONDS if self._has_answered else ALLOCATE_SECONDS
        fields = await self._pool.request(
            "POST",
            EXECUTIONS_PATH,
            content=json.dumps(request.to_json(ApiVersion(API_VERSION))).encode(),
            media_type=JSON_MEDIA_TYPE,
            read_seconds=read_seconds,
        )
        execution = await self._wait_done(_read(fields), seconds)
        return self._find_answer(injection, execution)

    async def _wait_done(self, execution: Execution, seconds: float) -> Execution:
        ends_at = time.monotonic() + seconds
        while not execution.status.is_final:
            if time.monotonic() > ends_at:
                raise PoolUnreachable("The session's interpreter is busy with something else.")
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
            execution = _read(await self._pool.request("GET", f"{EXECUTIONS_PATH}/{execution.id}"))
        return execution

    def _find_answer(self, injection: Injection, execution: Execution) -> str:
        printed = execution.outcome.stdout if execution.outcome else ""
        answer = injection.find_answer(printed)
        if answer is None and injection.mark in printed:
            raise AnswerCut("The session pool has cut an answer.")
        if answer is None:
            raise NoAnswer(f"The session's interpreter did not do what it was asked ({_reason(execution)}).")
        self._has_answered = True
        return answer

    async def upload(self, name: str, data: bytes) -> None:
        """Put a file into the session's folder, for an injection that reads and removes it."""
        boundary = secrets.token_hex(16)
        head = (
            f'--{boundary}\r\ncontent-disposition: form-data; name="file"; filename="{name}"\r\n'
            "content-type: application/octet-stream\r\n\r\n"
        )
        await self._pool.request(
            "POST",
            FILES_PATH,
            content=b"".join((head.encode(), data, f"\r\n--{boundary}--\r\n".encode())),
            media_type=f"multipart/form-data; boundary={boundary}",
        )


async def stop_session(pool: PoolClient) -> None:
    """End the session of a pool of interpreters, custom containers or Azure's own; takes none. Raises `PoolError`."""
    await _ask_either(pool, wire.STOP_SESSION_PATH, "DELETE")


async def has_session(pool: PoolClient) -> bool:
    """Return whether a pool of interpreters may have a session for the identifier; takes none. Raises `PoolError`."""
    try:
        return await _ask_either(pool, GET_SESSION_PATH, "GET")
    except PoolRefused:
        return True


async def check_session(pool: PoolClient) -> dict[str, Any]:
    """Answer `GET_SESSION_PATH` for a `Route`: raises `PoolRefused` with the code where there is no session."""
    if await has_session(pool):
        return {}
    raise PoolRefused("There is no such session.", status=HTTPStatus.BAD_REQUEST, code=SESSION_NOT_FOUND)


async def _ask_either(pool: PoolClient, managed_path: str, method: str) -> bool:
    """Ask as pools of custom containers are asked and, where that is not understood, as Azure's own are.

    In this order, as a pool of custom containers passes the other question on to a pod, and makes one for it.

    Returns:
        whether there is such a session.
    """
    try:
        await pool.request("POST", managed_path)
    except PoolRefused as error:
        if meaning_of(error.status, error.code) is Meaning.NO_SESSION:
            return False
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        try:
            await pool.request(method, SESSION_PATH)
        except PoolRefused as second:
            if counts_as_gone(second.status, second.code):
                return False
            raise
    return True


def _read(fields: Mapping[str, Any]) -> Execution:
    try:
        return read_execution(fields)
    except WireError as error:
        raise NoAnswer("The session pool's answer to an execution is none that is known.") from error


def _reason(execution: Execution) -> str:
    """Return a few words about an execution that went wrong: they are the interpreter's, and hold no code of a user."""
    outcome = execution.outcome
    text = "" if outcome is None else outcome.stderr or (outcome.error[1] if outcome.error else "")
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    return lines[-1][:200] if lines else f"status {execution.status}"
