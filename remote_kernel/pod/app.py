"""The pod's HTTP side: wire version 2, and beside it the interpreter API as a Starlette application."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from http import HTTPStatus
from types import MappingProxyType
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from remote_kernel.core.log_lines import LogEvent
from remote_kernel.pod.api import Api, Pod, explain, explain_defect, refusal
from remote_kernel.pod.bodies import read_body
from remote_kernel.pod.calls import REFUSALS, Answer, Call, Handler
from remote_kernel.pod.interpreter_api import InterpreterApi

_log = logging.getLogger(__name__)

# Queries of requests for files may be longer, and never come again.
MAX_CACHED_BYTES = 1024


def create_app(pod: Pod, interpreter_api: InterpreterApi, *, is_interpreter_only: bool = False) -> ASGIApp:
    """Return the application; the caller prepares and closes the registry.

    Args:
        is_interpreter_only: whether it knows nothing of wire version 2, as the pods of Azure's built-in interpreters.
    """
    others = Starlette(
        routes=[Route("/health", _health), *interpreter_api.routes()],
        exception_handlers={
            HTTPException: _explain_http,
            **dict.fromkeys((*REFUSALS, ClientDisconnect), _explain),
            Exception: _explain_defect,  # the server writes where it comes from to the log
        },
    )
    return others if is_interpreter_only else _WireApp(Api(pod).handlers, others)


class _WireApp:
    """The requests of wire version 2, by one look into a table: each cell makes some.

    Args:
        others: answers everything else.
    """

    def __init__(self, handlers: Mapping[tuple[str, str], Handler], others: ASGIApp) -> None:
        self._handlers = handlers
        self._paths = {path for _, path in handlers}
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in self._paths:
            await self._others(scope, receive, send)
            return
        answer = await self._answer(scope, receive)
        headers = {"content-type": answer.media_type, **answer.headers}
        if isinstance(answer.body, bytes):
            await send(_head(answer.status, {**headers, "content-length": str(len(answer.body))}))
            await send({"type": "http.response.body", "body": answer.body})
        else:
            await send(_head(answer.status, headers))
            await _stream(answer.body, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        handler = self._handlers.get((scope["method"], scope["path"]))
        if handler is None:
            allowed = sorted(method for method, path in self._handlers if path == scope["path"])
            answer = _explain_status(HTTPStatus.METHOD_NOT_ALLOWED, scope["method"])
            return replace(answer, headers={**answer.headers, "allow": ", ".join(allowed)})
        try:
            return await handler(Call(_params(scope["query_string"]), partial(read_body, receive)))
        except (*REFUSALS, ClientDisconnect) as error:
            return explain(error)
        except Exception as error:
            _log.exception(LogEvent("failed inside"))
            return explain_defect(error)


def _params(query: bytes) -> Mapping[str, str]:
    """Return the parameters of a query; of those with the same name, the last one."""
    return _parse(query) if len(query) <= MAX_CACHED_BYTES else _parse.__wrapped__(query)


@lru_cache(maxsize=64)  # a cell's parameters are those of the cell before
def _parse(query: bytes) -> Mapping[str, str]:
    return MappingProxyType(dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True)))


def _head(status: int, headers: Mapping[str, str]) -> Message:
    fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": fields}


async def _stream(body: AsyncIterator[bytes], receive: Receive, send: Send) -> None:
    """Send a body piece by piece until its end, or until its reader has gone.

    Starlette would do that, too, with a library that takes as long to load as ten cells take to run.
    """

    async def send_all() -> None:
        async for piece in body:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def wait_gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    sending, gone = asyncio.create_task(send_all()), asyncio.create_task(wait_gone())
    try:
        await asyncio.wait((sending, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        is_cut = not sending.done()
        for task in (sending, gone):
            task.cancel()
        await asyncio.gather(sending, gone, return_exceptions=True)
        await body.aclose()  # type: ignore[attr-defined]  # all of ours are generators
    if not is_cut:
        sending.result()


async def _health(request: Request) -> Response:
    return PlainTextResponse("ok\n")


def _respond(answer: Answer) -> Response:
    assert isinstance(answer.body, bytes)  # a refusal
    return Response(answer.body, answer.status, answer.headers, answer.media_type)


async def _explain(request: Request, error: Exception) -> Response:
    return _respond(explain(error))


async def _explain_defect(request: Request, error: Exception) -> Response:
    return _respond(explain_defect(error))


async def _explain_http(request: Request, error: Exception) -> Response:
    """Answer in Azure's shape where no route is found."""
    assert isinstance(error, HTTPException)
    answer = _explain_status(HTTPStatus(error.status_code), request.method)
    return _respond(replace(answer, headers={**answer.headers, **(error.headers or {})}))


def _explain_status(status: HTTPStatus, method: str) -> Answer:
    return refusal(status, status.phrase.replace(" ", ""), f"There is no {method} at this path.")
