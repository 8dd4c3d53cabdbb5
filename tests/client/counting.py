"""A pool client that notes what it asks for."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from remote_kernel.client.access import ConfiguredAccess, Endpoint
from remote_kernel.client.http.pool_client import PoolClient
from remote_kernel.client.http.transport import Response
from remote_kernel.core.identity import Identifier


class CountingClient(PoolClient):
    """Notes the path of every request that it sends.

    Args:
        max_output: what the pool is told to pass on of an output, whatever is asked for.
    """

    def __init__(self, endpoint: str, token: str, identifier: Identifier, max_output: int | None = None) -> None:
        super().__init__(ConfiguredAccess(endpoint, token), identifier)
        self.paths: list[str] = []
        self.has_asked = asyncio.Event()
        self.max_output = max_output

    async def _send(
        self, endpoint: Endpoint, method: str, path: str, params: Mapping[str, str] | None, content: bytes, *rest: Any
    ) -> Response:
        self.paths.append(path)
        self.has_asked.set()
        if path == "/executions" and self.max_output is not None:
            content = json.dumps({**json.loads(content), "outputStreamsMaxLength": self.max_output}).encode()
        return await super()._send(endpoint, method, path, params, content, *rest)
