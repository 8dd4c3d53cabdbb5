"""Bodies of requests and answers."""

import json
from collections.abc import Mapping

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive

from remote_kernel.pod.calls import JSON_MEDIA_TYPE, MAX_BODY_BYTES, BodyTooLarge


async def read_body(receive: Receive) -> bytes:
    """Return the body of a request; raises `BodyTooLarge`, and `ClientDisconnect` when its end does not come."""
    chunks, size, is_complete = [], 0, False
    while not is_complete:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise BodyTooLarge
        chunks.append(chunk)
        is_complete = not message.get("more_body", False)
    return b"".join(chunks)


def to_json_response(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer in ASCII, as what programs print may be no valid Unicode."""
    return Response(json.dumps(body, allow_nan=False), status, headers, media_type=JSON_MEDIA_TYPE)
