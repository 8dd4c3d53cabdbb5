"""Errors that the pool itself answers, in the shape that Azure's errors have."""

import math
from collections.abc import Sequence

from starlette.responses import JSONResponse, Response
from starlette.types import Scope


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


def refuse(refusal: Refusal) -> Response:
    """Return the answer that is the error."""
    error: dict[str, object] = {"code": refusal.code, "message": refusal.message}
    if refusal.details:
        error["details"] = [{"code": code, "message": message} for code, message in refusal.details]
    headers = {"x-ms-error-code": refusal.code, **dict(refusal.headers)}
    return JSONResponse({"error": error}, refusal.status, headers)
