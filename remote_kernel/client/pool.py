"""The pool's HTTP API for one session: every request carries the same identifier."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx

from remote_kernel.client.access import Access, Endpoint
from remote_kernel.core.errors import Forbidden, PoolError, PoolFull, PoolRefused, PoolUnreachable, Unauthorized
from remote_kernel.core.identity import Identifier

CONNECT_SECONDS = 10.0
WRITE_SECONDS = 30.0

# A cold pod of a large image takes minutes; the front door cuts a silent request after 240 s.
ALLOCATE_SECONDS = 240.0

API_VERSION = "2025-10-02-preview"


class PoolClient:
    """Sends requests for one identifier and turns every failure into a `PoolError`.

    Nothing is retried here but a request refused with 401, once, with a new token: it did not reach the pod.
    """

    def __init__(self, access: Access, identifier: Identifier) -> None:
        self._access = access
        self._identifier = identifier
        self._client: httpx.AsyncClient | None = None
        self._is_tls = False

    async def request(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, content: bytes = b"",
        read_seconds: float = WRITE_SECONDS,
    ) -> dict[str, Any]:  # fmt: skip
        """Send a request and return the JSON object of the answer ({} when it has none).

        Raises:
            PoolError: see `core.errors`; only `PoolUnreachable` leaves open whether the request was received.
        """
        async with self.stream(method, path, params=params, content=content, read_seconds=read_seconds) as response:
            try:
                body = await response.aread()
            except httpx.HTTPError as error:
                raise _unreachable(error) from error
        return _parse_object(body)

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, content: bytes = b"",
        read_seconds: float,
    ) -> AsyncIterator[httpx.Response]:  # fmt: skip
        """Send a request and give the answer with its body unread; raises as `request` does, and httpx's own
        errors while the body is read."""
        response = await self._send(method, path, params, content, read_seconds)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            await response.aclose()
            self._access.forget()
            response = await self._send(method, path, params, content, read_seconds)
        try:
            if response.status_code >= httpx.codes.BAD_REQUEST:
                raise await _read_error(response)
            yield response
        finally:
            await response.aclose()

    async def _send(
        self, method: str, path: str, params: Mapping[str, str] | None, content: bytes, read_seconds: float
    ) -> httpx.Response:
        endpoint = await self._access.endpoint()
        client = self._client_for(endpoint)
        request = client.build_request(
            method,
            endpoint.url + path,
            params={**(params or {}), "identifier": self._identifier, "api-version": API_VERSION},
            content=content or None,
            headers={"authorization": f"Bearer {endpoint.token}"},
            timeout=httpx.Timeout(read_seconds, connect=CONNECT_SECONDS, write=WRITE_SECONDS, pool=None),
        )
        try:
            return await client.send(request, stream=True)
        except httpx.ConnectError as error:
            self._access.forget()
            raise PoolUnreachable(
                f"The session pool at {_host(endpoint.url)} cannot be reached: {describe(error)}. "
                "Check the network and REMOTE_KERNEL_ENDPOINT."
            ) from error
        except httpx.HTTPError as error:
            raise _unreachable(error) from error

    def _client_for(self, endpoint: Endpoint) -> httpx.AsyncClient:
        is_tls = endpoint.url.startswith("https:")
        if self._client is None or self._is_tls != is_tls:
            # Reading the system's certificates takes 70 ms, and the local pool needs none.
            self._client = httpx.AsyncClient(verify=is_tls, trust_env=is_tls, headers={"accept-encoding": "identity"})
            self._is_tls = is_tls
        return self._client

    async def aclose(self) -> None:
        """Close every connection."""
        if self._client is not None:
            await self._client.aclose()


async def _read_error(response: httpx.Response) -> PoolError:
    """Translate the answer of a request that was refused."""
    try:
        body = _parse_object(await response.aread())
    except httpx.HTTPError as error:
        return _unreachable(error)
    fields = body.get("error")
    fields = fields if isinstance(fields, dict) else {}
    code, message = str(fields.get("code", "")), str(fields.get("message", ""))
    status = response.status_code
    if status == httpx.codes.UNAUTHORIZED:
        return Unauthorized("The session pool does not accept the token: run 'az login', or renew REMOTE_KERNEL_TOKEN.")
    if status == httpx.codes.FORBIDDEN:
        return Forbidden(
            "The login has no right to use the session pool: ask for the role "
            "'Azure ContainerApps Session Executor' on it."
        )
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return PoolFull(message or "All sessions are in use.", retry_after_seconds=_retry_after(response))
    return PoolRefused(message or f"The session pool answered with HTTP status {status}.", status=status, code=code)


def _retry_after(response: httpx.Response) -> float | None:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else None


def _parse_object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body) if body else {}
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _unreachable(error: httpx.HTTPError) -> PoolUnreachable:
    return PoolUnreachable(f"The connection to the session pool broke: {describe(error)}.")


def describe(error: httpx.HTTPError) -> str:
    """Return a few words for a user; httpx leaves some texts empty, and others name addresses."""
    cause = error.__cause__ or error.__context__
    text = str(error) or (str(cause) if cause else "")
    return text.rstrip(".").removeprefix("[Errno -2] ") or type(error).__name__
