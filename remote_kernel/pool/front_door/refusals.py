"""Errors that the pool itself answers, in the shape that Azure's errors have."""

import json
import math
from collections.abc import Sequence

from starlette.types import Scope, Send


class Refusal(Exception):
    """A request that the pool answers with an error.

    Attributes:
        status: the HTTP status.
        code: `error.code` of the body and the header `x-ms-error-code`.
        message: `error.message`: a sentence for people. It never holds an identifier or a token.
        headers: further headers of the answer.
        details: pairs of code and message, as `error.details`.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        headers: Sequence[tuple[str, str]] = (),
        details: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers
        self.details = details


# A session may be given back at any moment; a client that was told to wait for a whole cooldown would be late.
MAX_RETRY_AFTER_SECONDS = 5


def pool_full(message: str, retry_after_seconds: float, usage: str) -> Refusal:
    """Return the answer to a new identifier while every session is taken; `usage` says how many are, as "5 of 5"."""
    seconds = min(max(1, math.ceil(retry_after_seconds)), MAX_RETRY_AFTER_SECONDS)
    headers = [("retry-after", str(seconds))]
    return Refusal(429, "TooManySessions", message, headers, [("SessionsInUse", usage)])


def unavailable(message: str) -> Refusal:
    """Return the answer where a session cannot be had now, and another try in a moment may help."""
    return Refusal(503, "SessionUnavailable", message, [("retry-after", "1")])


def check_method(scope: Scope, *methods: str) -> None:
    """Return if a request is made with one of `methods`; raises `Refusal`."""
    if scope["method"] not in methods:
        raise Refusal(405, "MethodNotAllowed", f"Use {' or '.join(methods)}.", [("allow", ", ".join(methods))])


async def send_refusal(send: Send, refusal: Refusal) -> None:
    """Answer with the error."""
    error: dict[str, object] = {"code": refusal.code, "message": refusal.message}
    if refusal.details:
        error["details"] = [{"code": code, "message": message} for code, message in refusal.details]
    await send_json(send, refusal.status, {"error": error}, [("x-ms-error-code", refusal.code), *refusal.headers])


async def send_json(send: Send, status: int, body: object, headers: Sequence[tuple[str, str]] = ()) -> None:
    """Answer with a JSON document."""
    await _send(send, status, "application/json", json.dumps(body).encode(), headers)


async def send_text(send: Send, status: int, text: str) -> None:
    """Answer with plain text."""
    await _send(send, status, "text/plain", text.encode(), ())


async def _send(send: Send, status: int, media_type: str, data: bytes, headers: Sequence[tuple[str, str]]) -> None:
    fields = [("content-type", media_type), ("content-length", str(len(data))), *headers]
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": data})
