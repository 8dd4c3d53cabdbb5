"""The pod's HTTP side: wire version 2 as a Starlette application."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from remote_kernel.core import wire
from remote_kernel.core.errors import RemoteKernelError, WireError
from remote_kernel.pod.execute import MAX_BATCH_BYTES, stream_execution
from remote_kernel.pod.interpreter import StartFailed, UnknownKernel
from remote_kernel.pod.kernels import EpochMismatch, PodKernel
from remote_kernel.pod.registry import Registry, TooManyKernels

# Comms carry arrays, uploads of widgets whole files; more than this at once is a mistake.
MAX_BODY_BYTES = 256 * 1024 * 1024

_STATUS_OF: dict[type[RemoteKernelError], int] = {
    WireError: 400,
    UnknownKernel: 404,
    EpochMismatch: 409,
    TooManyKernels: 429,
    StartFailed: 500,
}


@dataclass(slots=True)
class Pod:
    """What the routes share.

    Attributes:
        name: for people, to tell pods apart.
        cooldown_seconds: how long the pool keeps a pod without a call.
        stopping: set when the pod is about to go.
        last_call: when the last request came, in seconds of `clock`.
    """

    registry: Registry
    name: str
    cooldown_seconds: float
    max_stream_seconds: float = wire.MAX_STREAM_SECONDS
    clock: Callable[[], float] = time.monotonic
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    last_call: float = 0.0


class BadRequest(Exception):
    """The request cannot be understood."""


class BodyTooLarge(Exception):
    """The request's body is over the limit."""


class Api:
    """The routes of one pod."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod

    async def health(self, request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def session(self, request: Request) -> Response:
        kernels = [_describe(kernel) for kernel in self._pod.registry.kernels]
        idle_seconds = round(self._pod.clock() - self._pod.last_call, 3) if self._pod.last_call else None
        self._pod.last_call = self._pod.clock()
        return JSONResponse(
            {
                "pod": self._pod.name,
                "cooldown_seconds": self._pod.cooldown_seconds,
                "idle_seconds": idle_seconds,
                "kernels": kernels,
            }
        )

    async def execute(self, request: Request) -> Response:
        self._pod.last_call = self._pod.clock()
        code = await _read_code(request)
        kernel = self._pod.registry.get_or_create(*_kernel_of(request))
        await kernel.interpreter()  # before the status line is sent, so that its failure has a status of its own
        return StreamingResponse(stream_execution(kernel, code), media_type=wire.NDJSON_MEDIA_TYPE)

    async def messages(self, request: Request) -> Response:
        self._pod.last_call = self._pod.clock()
        name, _ = _kernel_of(request)
        epoch, sender = _required(request, "epoch"), _required(request, "sender")
        frames = wire.decode_all(await _read_body(request))
        messages = [frame for frame in frames if isinstance(frame, wire.Message)]
        if len(messages) < len(frames):
            raise WireError("only messages may be sent here")
        kernel = self._pod.registry.get(name, epoch)
        accepted = await kernel.accept(messages, sender=sender, epoch=epoch)
        self._pod.registry.remove_closed()
        return JSONResponse({"accepted": accepted, "kernels": len(self._pod.registry.kernels)})

    async def events(self, request: Request) -> Response:
        self._pod.last_call = self._pod.clock()
        name, kernelspec = _kernel_of(request)
        if epoch := request.query_params.get("epoch", ""):
            kernel = self._pod.registry.get(name, epoch)
            cursor = _parse_cursor(_required(request, "after"))
        else:
            kernel = self._pod.registry.get_or_create(name, kernelspec)
            cursor = kernel.journal.last_sequence
        interpreter = await kernel.interpreter()
        hello = wire.Hello(
            epoch=kernel.epoch,
            cursor=cursor,
            cooldown_seconds=self._pod.cooldown_seconds,
            pod=self._pod.name,
            is_busy=kernel.is_busy,
            kernel_info=interpreter.kernel_info,
        )
        # Who does not say who it is counts as somebody else each time.
        reader = request.query_params.get("reader", "")[:128] or secrets.token_hex(8)
        stream = _stream_events(self._pod, kernel, hello, reader)
        return StreamingResponse(stream, media_type=wire.FRAME_MEDIA_TYPE, headers={"cache-control": "no-store"})


def create_app(pod: Pod) -> Starlette:
    """Return the application; the caller prepares and closes the registry."""
    api = Api(pod)
    return Starlette(
        routes=[
            Route("/health", api.health),
            Route(wire.SESSION_PATH, api.session),
            Route(wire.EXECUTE_PATH, api.execute, methods=["POST"]),
            Route(wire.MESSAGES_PATH, api.messages, methods=["POST"]),
            Route(wire.EVENTS_PATH, api.events),
        ],
        exception_handlers=dict.fromkeys((RemoteKernelError, BadRequest, BodyTooLarge, ClientDisconnect), _explain),
    )


def _describe(kernel: PodKernel) -> dict[str, object]:
    return {
        "name": kernel.name,
        "kernelspec": kernel.kernelspec,
        "epoch": kernel.epoch,
        "cursor": kernel.journal.last_sequence,
        "is_busy": kernel.is_busy,
    }


async def _stream_events(pod: Pod, kernel: PodKernel, hello: wire.Hello, reader: str) -> AsyncIterator[bytes]:
    """Yield what the journal has after the cursor, and what it gets, until it is time for another request."""
    ends_at = pod.clock() + pod.max_stream_seconds
    cursor, peers = hello.cursor, 0
    yield wire.encode(hello)
    stopping = asyncio.create_task(pod.stopping.wait())
    with kernel.reading(reader) as took:
        try:
            while True:
                news = asyncio.create_task(kernel.news.wait())
                try:
                    if kernel.peers_of(reader) != peers:
                        peers = kernel.peers_of(reader)
                        yield wire.encode(wire.Peers(count=peers))
                    batch = kernel.journal.read(cursor, MAX_BATCH_BYTES)
                    if batch.entries or batch.gap:
                        cursor = batch.cursor
                        data = b"".join([wire.encode(batch.gap) if batch.gap else b"", *batch.entries])
                        yield data  # comes back when the connection has room for more
                        took(len(data))
                        continue
                    if reason := _reason_to_end(pod, kernel, ends_at):
                        yield wire.encode(wire.End(reason=reason))
                        return
                    done, _ = await asyncio.wait(
                        {news, stopping}, timeout=wire.KEEPALIVE_SECONDS, return_when=asyncio.FIRST_COMPLETED
                    )
                    if not done:
                        yield wire.encode(wire.Keepalive())
                finally:
                    news.cancel()
        finally:
            stopping.cancel()


def _reason_to_end(pod: Pod, kernel: PodKernel, ends_at: float) -> str:
    if pod.stopping.is_set():
        return "stopping"
    if kernel.is_closed:
        return "closed"
    return "cap" if pod.clock() >= ends_at else ""


def _kernel_of(request: Request) -> tuple[str, str]:
    name = request.query_params.get("kernel", wire.DEFAULT_KERNEL)
    kernelspec = request.query_params.get("kernelspec", wire.DEFAULT_KERNELSPEC)
    if not (0 < len(name) <= 128 and 0 < len(kernelspec) <= 128):
        raise BadRequest("The parameters 'kernel' and 'kernelspec' are names of 1 to 128 characters.")
    return name, kernelspec


def _required(request: Request, name: str) -> str:
    value = request.query_params.get(name, "")
    if not 0 < len(value) <= 128:
        raise BadRequest(f"The parameter {name!r} is missing or too long.")
    return value


def _parse_cursor(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise BadRequest("The parameter 'after' is not a journal position.")
    return int(text)


async def _read_body(request: Request) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise BodyTooLarge(
                f"A message may have {MAX_BODY_BYTES >> 20} MB with all its buffers, and this one has more: "
                "send it in smaller pieces, or as a file."
            )
        chunks.append(chunk)
    return b"".join(chunks)


async def _read_code(request: Request) -> str:
    try:
        body = json.loads(await _read_body(request))
        code = body["code"]
    except (ValueError, RecursionError, TypeError, KeyError):
        code = None
    if not isinstance(code, str):
        raise BadRequest('The body is not JSON of the form {"code": "…"}.')
    return code


async def _explain(request: Request, error: Exception) -> Response:
    """Answer with an error in Azure's shape."""
    status, code = 400, "BadRequest"
    if isinstance(error, BodyTooLarge):
        status, code = 413, "BodyTooLarge"
    elif isinstance(error, RemoteKernelError):
        status, code = _STATUS_OF.get(type(error), 500), error.name
    return JSONResponse(
        {"error": {"code": code, "message": str(error)}}, status_code=status, headers={"x-ms-error-code": code}
    )
