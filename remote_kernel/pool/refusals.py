"""Errors that the pool itself answers, in the shape that Azure's errors have."""

import json
import math
from collections.abc import Sequence

from starlette.types import Send


class Refusal(Exception):
    """A request that the pool answers with an error.

    Attributes:
        status: the HTTP status.
        code: `error.code` of the body and the header `x-ms-error-code`.
        message: `error.message`: a sentence for people. It never holds an identifier or a token.
        headers: further headers of the answer.
    """

    def __init__(self, status: int, code: str, message: str, headers: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers


def pool_full(message: str, retry_after_seconds: float) -> Refusal:
    """Return the answer to a new identifier while every session is taken."""
    seconds = max(1, math.ceil(retry_after_seconds))
    return Refusal(429, "TooManySessions", message, [("retry-after", str(seconds))])


async def send_refusal(send: Send, refusal: Refusal) -> None:
    """Answer with the error."""
    body = {"error": {"code": refusal.code, "message": refusal.message}}
    await send_json(send, refusal.status, body, [("x-ms-error-code", refusal.code), *refusal.headers])


async def send_json(send: Send, status: int, body: object, headers: Sequence[tuple[str, str]] = ()) -> None:
    """Answer with a JSON document."""
    data = json.dumps(body).encode()
    fields = [("content-type", "application/json"), ("content-length", str(len(data))), *headers]
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": data})
