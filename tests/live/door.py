"""A pool as a program sees it that knows only HTTP: what it was asked, and what it said."""

import json
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import httpx

from remote_kernel.client.access import Endpoint
from remote_kernel.client.http.certificates import tls_context
from remote_kernel.client.http.pool_client import ALLOCATE_SECONDS, API_VERSION
from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.core.interpreter_api.versions import EXECUTIONS_PATH, LIST_SESSIONS_PATH, SESSION_PATH
from remote_kernel.core.pools.flavor import has_interpreter_address
from remote_kernel.core.pools.front_door import GET_SESSION_PATH, LIST_MANAGED_PATH, Meaning, meaning_of
from remote_kernel.core.wire import frames as wire
from tests.live.assumptions import Kind

MAX_SHOWN_CHARS = 200

# What a door says to a path that it does not know.
UNKNOWN_PATH = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})
# What it says to who may not end a session, or not now.
NOT_ENDED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS})


class NoWayIn(RemoteKernelError):
    """There is nothing to ask: the pool refuses who asks, or gives no session. The text is a sentence."""


class Refused(RemoteKernelError):
    """A request that was to be timed was refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    seconds: float

    @property
    def fields(self) -> dict[str, Any]:
        """The JSON object of the answer; {} where it has none."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def code(self) -> str:
        """The code of an error of Azure's shape, in one line."""
        code = self._error.get("code", "")
        return " ".join(str(code or self.headers.get("x-ms-error-code", "")).split())[:MAX_SHOWN_CHARS]

    @property
    def meaning(self) -> Meaning:
        """What it means as a refusal."""
        return meaning_of(self.status, self.code, str(self._error.get("message", "")))

    @property
    def _error(self) -> dict[str, Any]:
        error = self.fields.get("error")
        return error if isinstance(error, dict) else {}

    def __str__(self) -> str:
        return f"{self.status} {self.code}".strip()


class Door:
    """The front door of a pool.

    Attributes:
        kind: of the pool.
        identifiers: of all sessions that were asked for.
        left: how many of them could not be given back.
    """

    def __init__(self, client: httpx.AsyncClient, endpoint: Endpoint) -> None:
        self._client = client
        self._endpoint = endpoint
        self.kind = Kind.CUSTOM
        self.identifiers: list[str] = []
        self.left = 0

    @classmethod
    @asynccontextmanager
    async def open(cls, endpoint: Endpoint) -> AsyncIterator["Door"]:
        """Give the door of a pool, and give back what was taken through it. Raises `NoWayIn`."""
        proxy = endpoint.proxy.url if endpoint.proxy is not None else None
        async with httpx.AsyncClient(
            verify=tls_context(endpoint.bundle), proxy=proxy, trust_env=False, timeout=ALLOCATE_SECONDS
        ) as client:
            door = cls(client, endpoint)
            try:
                await door._find_kind()
                yield door
            finally:
                for identifier in door.identifiers:
                    door.left += not await door._try_to_end(identifier)

    async def _find_kind(self) -> None:
        identifier = self.new_identifier()
        try:
            said = await self.ask("GET", wire.SESSION_PATH, identifier=identifier)
        except httpx.HTTPError as error:
            reason = f"The pool cannot be reached ({type(error).__name__})"
            raise NoWayIn(f"{reason}: 'remote-kernel doctor' says more.") from None
        is_known = said.status == HTTPStatus.OK or said.code == "UnknownKernel"
        if is_known:
            self.kind = Kind.CUSTOM
        elif has_interpreter_address(self._endpoint.url) or (
            said.status in UNKNOWN_PATH and said.meaning is Meaning.OTHER
        ):
            self.kind = Kind.INTERPRETER
        if not is_known and (self.kind is Kind.CUSTOM or said.status in NOT_ENDED or said.status >= 500):
            raise NoWayIn(f"The pool answered {said} to the first request: {_advice(said)}.")
        await self._try_to_end(identifier)

    async def _try_to_end(self, identifier: str) -> bool:
        try:
            said = await self.end(identifier)
        except httpx.HTTPError:
            return False
        return said.status < 500 and said.status not in NOT_ENDED

    def new_identifier(self) -> str:
        """Return an identifier that nobody else has."""
        self.identifiers.append(f"live-{secrets.token_hex(16)}")
        return self.identifiers[-1]

    async def ask(
        self, method: str, path: str, *, identifier: str = "", token: str | None = None, version: str = API_VERSION,
        content: bytes = b"", **params: str,
    ) -> Said:  # fmt: skip
        """Send a request, with the pool's token unless another is given ("" for none), and return the answer."""
        token = self._endpoint.token if token is None else token
        named = {"identifier": identifier, "api-version": version}
        headers = {"authorization": f"Bearer {token}"} if token else {}
        if content:
            headers["content-type"] = "application/json"
        began = time.perf_counter()
        response = await self._client.request(
            method,
            self._endpoint.url + path,
            params={name: value for name, value in {**params, **named}.items() if value},
            headers=headers,
            content=content or None,
        )
        seconds = time.perf_counter() - began
        return Said(status=response.status_code, headers=dict(response.headers), body=response.content, seconds=seconds)

    async def run(self, identifier: str, code: str) -> tuple[Said, str]:
        """Run a cell; return the answer, and what it printed."""
        if self.kind is Kind.CUSTOM:
            content = json.dumps({"code": code}).encode()
            said = await self.ask("POST", wire.EXECUTE_PATH, identifier=identifier, content=content)
            lines = [json.loads(line) for line in said.body.splitlines()] if said.status == 200 else []
            return said, "".join(line["content"]["text"] for line in lines if line.get("msg_type") == "stream")
        return await self.execute(identifier, code)

    async def execute(self, identifier: str, code: str, **options: object) -> tuple[Said, str]:
        """Run code through the interpreter API; return the answer, and what it printed."""
        body = {"codeInputType": "Inline", "executionType": "Synchronous", "code": code, **options}
        said = await self.ask("POST", EXECUTIONS_PATH, identifier=identifier, content=json.dumps(body).encode())
        result = said.fields.get("result")
        return said, str(result.get("stdout", "")) if isinstance(result, dict) else ""

    async def time_lines(self, identifier: str, code: str) -> list[float]:
        """Run a cell, and return when each line of the answer that has something printed has come."""
        times = []
        async with self._client.stream(
            "POST",
            self._endpoint.url + wire.EXECUTE_PATH,
            params={"identifier": identifier, "api-version": API_VERSION},
            headers={"authorization": f"Bearer {self._endpoint.token}"},
            json={"code": code},
        ) as response:
            async for line in response.aiter_lines():
                if '"stream"' in line:
                    times.append(time.perf_counter())
        return times

    async def end(self, identifier: str, **options: Any) -> Said:
        """End a session, as pools of this kind want it."""
        method, path = ("POST", wire.STOP_SESSION_PATH) if self.kind is Kind.CUSTOM else ("DELETE", SESSION_PATH)
        return await self.ask(method, path, identifier=identifier, **options)

    async def describe(self, identifier: str) -> Said:
        """Ask what the pool says of a session."""
        if self.kind is Kind.CUSTOM:
            return await self.ask("POST", GET_SESSION_PATH, identifier=identifier)
        return await self.ask("GET", SESSION_PATH, identifier=identifier)

    async def list(self) -> Said:
        """Ask for the pool's sessions."""
        if self.kind is Kind.CUSTOM:
            return await self.ask("POST", LIST_MANAGED_PATH)
        return await self.ask("GET", LIST_SESSIONS_PATH)


def _advice(said: Said) -> str:
    """Return what to do about a refusal of the first request, for the second half of a sentence."""
    if said.status == HTTPStatus.UNAUTHORIZED:
        return "log in anew with 'az login', or set another token"
    if said.status == HTTPStatus.FORBIDDEN:
        return "ask for the role 'Azure ContainerApps Session Executor' on it, and wait some minutes"
    if said.meaning is Meaning.FULL:
        return "wait until a session is free"
    return "'remote-kernel doctor' says more"
