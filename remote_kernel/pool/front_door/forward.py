"""Forwarding of a request to a pod and of its answer back, piece by piece as they come."""

from collections.abc import Iterable

from starlette.types import Scope, Send

from remote_kernel.core.identity import Identifier
from remote_kernel.io.http1 import Body, Client, ConnectionBroke, NoConnection, Response
from remote_kernel.pool.front_door.exchange import MAX_GATHERED_BYTES, RequestBody

Headers = list[tuple[bytes, bytes]]

SESSION_HEADER = b"x-session-id"

# RFC 9110, 7.6.1: what concerns one connection only.
_HOP_BY_HOP = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te",
        b"trailer", b"transfer-encoding", b"upgrade",
    }
)  # fmt: skip
# What the front door consumes. It answers `Expect: 100-continue` itself.
_CONSUMED = frozenset({b"authorization", b"expect", SESSION_HEADER})


class PodGone(Exception):
    """Nobody listens where the pod was; it never saw the request."""


class PodBusy(Exception):
    """There is no connection to the pod, for want of descriptors or of time; it lives, and never saw the request."""


class PodBroke(Exception):
    """The connection broke before an answer came; whether the pod acted on the request is unknown."""


class ResponseCut(Exception):
    """The connection broke within the answer."""


async def forward(http: Client, scope: Scope, body: RequestBody, send: Send, identifier: Identifier) -> None:
    """Send the request of `scope` to a pod and its answer to the client.

    Raises:
        PodGone, PodBusy, PodBroke: nothing has been sent to the client.
        ResponseCut: the client has a part of the answer, and must be shown that it is only a part.
    """
    response = await _request(http, scope, body, identifier)
    try:
        await send({"type": "http.response.start", "status": response.status, "headers": response_headers(response)})
        try:
            while piece := await response.piece():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        except ConnectionBroke:
            raise ResponseCut from None
        await send({"type": "http.response.body", "body": b""})
    finally:
        response.close()


async def _request(http: Client, scope: Scope, body: RequestBody, identifier: Identifier) -> Response:
    # The target is the client's own, byte for byte. Silence of the pod is no fault: a cell may compute for hours, and
    # a request ends when its client goes or its pod does.
    query = scope["query_string"]
    target = scope["raw_path"] + (b"?" + query if query else b"")
    headers = [*request_headers(scope["headers"]), (SESSION_HEADER, identifier.encode())]
    length = body_length(scope["headers"])
    content: Body = body
    if length is not None and length <= MAX_GATHERED_BYTES:
        content = b"".join([piece async for piece in body])  # head and body go out in one write
    try:
        return await http.send(scope["method"].encode(), target, headers, content)
    except NoConnection as error:
        raise (PodGone if error.is_absent else PodBusy)(str(error)) from None
    except ConnectionBroke:
        raise PodBroke from None


def body_length(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    """Return the length of a request's body (RFC 9112, 6.3); `None` where only its end will tell.

    The server refuses requests that say both.
    """
    fields = dict(headers)
    if b"transfer-encoding" in fields:
        return None
    return int(fields.get(b"content-length", b"0"))  # the server has checked that it is a number


def request_headers(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Return what the pod may see of a request's headers; names are in lower case."""
    return _end_to_end(headers, _CONSUMED)


def response_headers(response: Response) -> Headers:
    """Return what the client may see of a pod's headers."""
    return _end_to_end(response.headers, frozenset())


def _end_to_end(headers: Iterable[tuple[bytes, bytes]], dropped: frozenset[bytes]) -> Headers:
    headers = list(headers)
    listed = {name.strip().lower() for field, value in headers if field == b"connection" for name in value.split(b",")}
    dropped = _HOP_BY_HOP | dropped | listed
    return [(name, value) for name, value in headers if name not in dropped]
