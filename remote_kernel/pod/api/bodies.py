"""Bodies of requests and answers."""

import json
from collections.abc import Mapping

from starlette.responses import Response
from starlette.types import Receive

from remote_kernel.pod.api.calls import JSON_MEDIA_TYPE, MAX_BODY_BYTES, BadRequest, BodyTooLarge


async def read_body(receive: Receive) -> bytes:
    """Return the body of a request; raises `BodyTooLarge`, and `BadRequest` where its client has gone."""
    chunks, size, has_more = [], 0, True
    while has_more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BadRequest("The request has no end.")
        body = message.get("body", b"")
        chunks.append(body)
        size += len(body)
        if size > MAX_BODY_BYTES:
            raise BodyTooLarge
        has_more = message.get("more_body", False)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def to_json_response(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer in ASCII, as what programs print may be no valid Unicode."""
    return Response(json.dumps(body, allow_nan=False), status, headers, media_type=JSON_MEDIA_TYPE)
