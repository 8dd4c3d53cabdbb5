"""The pod's HTTP side: wire version 2, and beside it the interpreter API as a Starlette application."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from types import MappingProxyType

from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from remote_kernel.core.short_cache import remembered
from remote_kernel.io.http1.server import IS_FOLLOWED
from remote_kernel.pod.api.api import Api
from remote_kernel.pod.api.bodies import read_body
from remote_kernel.pod.api.calls import REFUSALS, Answer, Call, Handler
from remote_kernel.pod.api.pod import Pod
from remote_kernel.pod.api.refusals import answer, explain, explain_defect, refusal
from remote_kernel.pod.interpreter_api.routes import InterpreterApi


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
        method, path = scope["method"], scope["path"]
        handler = self._handlers.get((method, path))
        if handler is None:
            answered = self._refuse_method(method, path)
        else:
            answered = await answer(handler, Call(_params(scope["query_string"]), partial(read_body, receive)))
        if isinstance(answered.body, bytes):
            await _send_whole(answered, answered.body, send)
        else:
            await _respond(answered)(scope, receive, send)

    def _refuse_method(self, method: str, path: str) -> Answer:
        allowed = sorted(method for method, known in self._handlers if known == path)
        refused = _explain_status(HTTPStatus.METHOD_NOT_ALLOWED, method)
        return replace(refused, headers={**refused.headers, "allow": ", ".join(allowed)})


async def _send_whole(answered: Answer, body: bytes, send: Send) -> None:
    """Send an answer whose body is there, and say so: nobody has to wait and see whether it comes."""
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answered.headers.items()]
    headers.append((b"content-length", b"%d" % len(body)))
    headers.append((b"content-type", answered.media_type.encode("latin-1")))
    await send({"type": "http.response.start", "status": answered.status, "headers": headers, IS_FOLLOWED: True})
    await send({"type": "http.response.body", "body": body})


@remembered(64)  # a cell's are those of the cell before
def _params(query: bytes) -> Mapping[str, str]:
    return MappingProxyType(dict(QueryParams(query)))


async def _health(request: Request) -> Response:
    return PlainTextResponse("ok\n")


def _respond(answered: Answer) -> Response:
    kind: type[Response] = Response if isinstance(answered.body, bytes) else StreamingResponse
    return kind(answered.body, answered.status, answered.headers, answered.media_type)


async def _explain(request: Request, error: Exception) -> Response:
    return _respond(explain(error))


async def _explain_defect(request: Request, error: Exception) -> Response:
    return _respond(explain_defect(error))


async def _explain_http(request: Request, error: Exception) -> Response:
    """Answer in Azure's shape where no route is found."""
    assert isinstance(error, HTTPException)
    refused = _explain_status(HTTPStatus(error.status_code), request.method)
    return _respond(replace(refused, headers={**refused.headers, **(error.headers or {})}))


def _explain_status(status: HTTPStatus, method: str) -> Answer:
    return refusal(status, status.phrase.replace(" ", ""), f"There is no {method} at this path.")
