"""A pool of custom containers that answers as Azure's have been seen to answer, in 2026, before real pods.

It is written apart from the local pool, which is to answer alike: what the one has wrong is not in the other by itself.
What nobody has seen, such as the words of a full pool, can be set.
"""

import asyncio
import re
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from remote_kernel.core.pools.cooldown import COOLDOWN_VARIABLE
from tests.driver import TIMEOUT_SECONDS, Pod, PodProgram, wait_until

TOKEN = "a-token-of-entra"

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]

# All that is sure to reach a container: `Authorization` is consumed, and others may not survive.
PASSED_ON = ("accept", "content-type", "content-length")

IDENTIFIER = re.compile(r"[A-Za-z0-9-]{4,128}")
PAGE = 300


@dataclass(eq=False)
class Refused(Exception):
    """An answer that is an error; one without a code has no body either."""

    status: int
    code: str = ""
    message: str = ""

    def response(self) -> Response:
        if not self.code:
            return Response(status_code=self.status)
        error = {"code": self.code, "message": self.message, "traceId": "0" * 32}
        return JSONResponse({"error": error}, self.status)


FULL_429 = Refused(429)
FULL_500 = Refused(500, "InternalServerError", "The maximum number of concurrent sessions of the pool is reached.")
BARE_500 = Refused(500)
IN_THE_MAKING = Refused(409, "SessionPoolNotReady", "The session pool is in provisioning state InProgress.")
NO_ROLE = Refused(403)


@dataclass(slots=True)
class Session:
    """A pod that an identifier has; leaving the stack ends it."""

    pod: Pod
    stack: ExitStack
    etag: str
    created_at: datetime
    accessed_at: datetime


@dataclass
class AzurePool:
    """The front door, and what can be set of it.

    Attributes:
        ceiling: sessions that there may be at a time.
        cooldown_seconds: what the pods are told; nothing here cools down by itself.
        full: the answer to a new identifier that finds no room.
        has_broken_image: no session ever becomes ready, which looks as if the pool were full.
        refuses: what a request with a token is answered in any case, if that is anything.
        asked: method, path and status of the requests so far.
        asked_at: when the last one came (seconds, monotonic).
    """

    ceiling: int = 5
    cooldown_seconds: float = 300.0
    full: Refused = FULL_429
    has_broken_image: bool = False
    refuses: Callable[[str], Refused | None] = field(default=lambda token: None)
    asked: list[tuple[str, str, int]] = field(default_factory=list)
    asked_at: float = 0.0
    sessions: dict[str, Session] = field(default_factory=dict, repr=False)
    endpoint: str = ""
    token: str = TOKEN

    def __post_init__(self) -> None:
        self._allocating = asyncio.Lock()
        self._numbers = iter(range(1, 1_000_000))

    @property
    def environ(self) -> dict[str, str]:
        """The settings of a kernel that uses the pool."""
        return {"REMOTE_KERNEL_ENDPOINT": self.endpoint, "REMOTE_KERNEL_TOKEN": self.token}

    def take(self, identifier: str) -> None:
        """Take a session from its identifier, as the cooldown does."""
        self.sessions.pop(identifier).stack.close()

    def close(self) -> None:
        """End every session."""
        for identifier in list(self.sessions):
            self.take(identifier)

    @asynccontextmanager
    async def run(self, _app: Starlette) -> AsyncIterator[None]:
        """Hold what needs the server's event loop."""
        async with httpx.AsyncClient(timeout=None) as self._client:
            yield

    # What a request is answered

    async def answer(self, request: Request) -> Response:
        self.asked_at = time.monotonic()
        try:
            response = await self._answer(request)
        except Refused as refused:
            response = refused.response()
        self.asked.append((request.method, request.url.path, response.status_code))
        return response

    async def _answer(self, request: Request) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            raise Refused(401)
        if (refused := self.refuses(token)) is not None:
            raise refused
        if request.url.path.startswith("/.management/"):
            return await self._manage(request)
        identifier = self._identifier_of(request)
        session = await self._allocate(identifier)
        session.accessed_at = datetime.now(UTC)
        return await self._forward(session.pod, request)

    async def _manage(self, request: Request) -> Response:
        if request.method != "POST" or not request.query_params.get("api-version"):
            raise Refused(400, "SessionRequestValidationFailed", "The request is not valid.")
        match request.url.path:
            case "/.management/listSessions":
                return JSONResponse(self._page(request))
            case "/.management/getSession":
                identifier = self._identifier_of(request)
                return JSONResponse(self._describe(identifier, self._find(identifier)))
            case "/.management/stopSession":
                identifier = self._identifier_of(request)
                self._find(identifier)
                await asyncio.to_thread(self.take, identifier)
                return PlainTextResponse(f"Session {identifier} in session pool stub stopped.")
        raise Refused(400, "SessionRequestNotSupported", "The request is not supported.")

    def _identifier_of(self, request: Request) -> str:
        identifier = request.query_params.get("identifier", "")
        if not IDENTIFIER.fullmatch(identifier):
            raise Refused(400, "SessionRequestValidationFailed", "The identifier is not valid.")
        return identifier

    def _find(self, identifier: str) -> Session:
        if identifier not in self.sessions:
            raise Refused(400, "SessionWithIdentifierNotFound", "There is no session with this identifier.")
        return self.sessions[identifier]

    def _page(self, request: Request) -> Mapping[str, Any]:
        skip = int(request.query_params.get("skip", 0))
        entries = [self._describe(*entry) for entry in self.sessions.items()]
        following = f"{self.endpoint}/.management/listSessions?skip={skip + PAGE}"
        next_link = following if len(entries) > skip + PAGE else None
        return {"value": entries[skip : skip + PAGE], "count": len(entries), "nextLink": next_link}

    def _describe(self, identifier: str, session: Session) -> Mapping[str, str]:
        expires_at = session.accessed_at + timedelta(seconds=self.cooldown_seconds)
        return {
            "identifier": identifier,
            "etag": session.etag,
            "createdAt": session.created_at.isoformat(),
            "lastAccessedAt": session.accessed_at.isoformat(),
            "expiresAt": expires_at.isoformat(),
        }

    async def _allocate(self, identifier: str) -> Session:
        async with self._allocating:
            if identifier not in self.sessions:
                if self.has_broken_image:
                    raise FULL_429
                if len(self.sessions) >= self.ceiling:
                    raise self.full
                self.sessions[identifier] = await asyncio.to_thread(self._start)
        return self.sessions[identifier]

    def _start(self) -> Session:
        cooldown: dict[str, Any] = {COOLDOWN_VARIABLE: f"{self.cooldown_seconds:g}"}
        with ExitStack() as stack:
            scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="rk-", ignore_cleanup_errors=True))
            pod = stack.enter_context(PodProgram.start(Path(scratch), **cooldown))
            now = datetime.now(UTC)
            return Session(pod, stack.pop_all(), f"container-{next(self._numbers)}", now, now)

    async def _forward(self, pod: Pod, request: Request) -> Response:
        """Pass a request on, whatever its path; the answer comes piece by piece, and ends when its client goes."""
        url = f"{pod.endpoint}{request.url.path}?{request.url.query}"
        headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        asked = self._client.build_request(request.method, url, headers=headers, content=await request.body())
        answered = await self._client.send(asked, stream=True)

        async def pieces() -> AsyncIterator[bytes]:
            try:
                async for piece in answered.aiter_raw():
                    yield piece
            except httpx.TransportError:
                raise ConnectionResetError from None  # as a front door cuts what a pod has cut
            finally:
                await answered.aclose()

        passed = {name: value for name, value in answered.headers.items() if name in {"content-type", "content-length"}}
        return StreamingResponse(pieces(), answered.status_code, passed)


@contextmanager
def run_azure_pool(**options: Any) -> Iterator[AzurePool]:
    """Run a pool on a free port of loopback; `options` are attributes of it."""
    pool = AzurePool(**options)
    app = Starlette(routes=[Route("/{path:path}", pool.answer, methods=METHODS)], lifespan=pool.run)
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", ws="none", timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started)
        (listener,) = server.servers[0].sockets
        pool.endpoint = "http://{}:{}".format(*listener.getsockname()[:2])
        yield pool
    finally:
        pool.close()  # which ends the streams as well
        server.should_exit = True
        thread.join(TIMEOUT_SECONDS)
