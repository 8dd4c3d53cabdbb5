"""The pod's HTTP side: its API as a Starlette application."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from remote_kernel.pod.api import Api, Pod, explain, explain_defect, refusal
from remote_kernel.pod.bodies import read_body
from remote_kernel.pod.calls import REFUSALS, Answer, Call, Handler
from remote_kernel.pod.interpreter_api import InterpreterApi


def create_app(pod: Pod, interpreter_api: InterpreterApi, *, is_interpreter_only: bool = False) -> Starlette:
    """Return the application; the caller prepares and closes the registry.

    Args:
        is_interpreter_only: whether it knows nothing of wire version 2, as the pods of Azure's built-in interpreters.
    """
    own = [Route(path, _over_http(handler), methods=[method]) for (method, path), handler in Api(pod).handlers.items()]
    return Starlette(
        routes=[Route("/health", _health), *interpreter_api.routes(), *([] if is_interpreter_only else own)],
        exception_handlers={
            HTTPException: _explain_http,
            **dict.fromkeys((*REFUSALS, ClientDisconnect), _explain),
            Exception: _explain_defect,  # the server writes where it comes from to the log
        },
    )


async def _health(request: Request) -> Response:
    return PlainTextResponse("ok\n")


def _over_http(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return _respond(await handler(Call(request.query_params, partial(read_body, request))))

    return endpoint


def _respond(answer: Answer) -> Response:
    if isinstance(answer.body, bytes):
        return Response(answer.body, answer.status, answer.headers, answer.media_type)
    return StreamingResponse(answer.body, answer.status, answer.headers, answer.media_type)


async def _explain(request: Request, error: Exception) -> Response:
    return _respond(explain(error))


async def _explain_defect(request: Request, error: Exception) -> Response:
    return _respond(explain_defect(error))


async def _explain_http(request: Request, error: Exception) -> Response:
    """Answer in Azure's shape where no route is found."""
    assert isinstance(error, HTTPException)
    code = HTTPStatus(error.status_code).phrase.replace(" ", "")
    answer = refusal(error.status_code, code, f"There is no {request.method} at this path.")
    return _respond(replace(answer, headers={**answer.headers, **(error.headers or {})}))
