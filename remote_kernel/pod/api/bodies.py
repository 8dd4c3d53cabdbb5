"""Bodies of requests and answers."""

import json
from collections.abc import Mapping

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from remote_kernel.pod.api.calls import JSON_MEDIA_TYPE, MAX_BODY_BYTES, BadRequest, BodyTooLarge


async def read_body(request: Request) -> bytes:
    """Return the body of a request; raises `BodyTooLarge`, and `BadRequest` where its client has gone."""
    chunks, size = [], 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > MAX_BODY_BYTES:
                raise BodyTooLarge
            chunks.append(chunk)
    except ClientDisconnect:
        raise BadRequest("The request has no end.") from None
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def to_json_response(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer in ASCII, as what programs print may be no valid Unicode."""
    return Response(json.dumps(body, allow_nan=False), status, headers, media_type=JSON_MEDIA_TYPE)
