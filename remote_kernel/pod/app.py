"""The pod's HTTP side: its API as a Starlette application."""

from collections.abc import Awaitable, Callable
from functools import partial

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from remote_kernel.pod.api import Api, Pod, explain
from remote_kernel.pod.calls import MAX_BODY_BYTES, REFUSALS, Answer, BodyTooLarge, Call, Handler


def create_app(pod: Pod) -> Starlette:
    """Return the application; the caller prepares and closes the registry."""
    routes = [
        Route(path, _over_http(handler), methods=[method]) for (method, path), handler in Api(pod).handlers.items()
    ]
    return Starlette(
        routes=[Route("/health", _health), *routes],
        exception_handlers=dict.fromkeys((*REFUSALS, ClientDisconnect), _explain),
    )


async def _health(request: Request) -> Response:
    return PlainTextResponse("ok\n")


def _over_http(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return _respond(await handler(Call(request.query_params, partial(_read_body, request))))

    return endpoint


def _respond(answer: Answer) -> Response:
    if isinstance(answer.body, bytes):
        return Response(answer.body, answer.status, answer.headers, answer.media_type)
    return StreamingResponse(answer.body, answer.status, answer.headers, answer.media_type)


async def _read_body(request: Request) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise BodyTooLarge
        chunks.append(chunk)
    return b"".join(chunks)


async def _explain(request: Request, error: Exception) -> Response:
    return _respond(explain(error))
