"""The pool's HTTP API for one session: every request carries the same identifier."""

import json
import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from remote_kernel.client.access import Access, Endpoint
from remote_kernel.client.certificates import tls_context
from remote_kernel.client.refused import describe_forbidden, describe_unauthorized
from remote_kernel.core.errors import (
    Forbidden,
    PoolError,
    PoolFull,
    PoolRefused,
    PoolUnreachable,
    PoolUntrusted,
    Unauthorized,
)
from remote_kernel.core.identity import Identifier

CONNECT_SECONDS = 10.0
WRITE_SECONDS = 30.0

# A cold pod of a large image takes minutes; the front door cuts a silent request after 240 s.
ALLOCATE_SECONDS = 240.0

API_VERSION = "2025-10-02-preview"

_FULL = re.compile(r"(?=.*session)(?=.*(max|limit|capacity|available|in use|exceed|free))", re.IGNORECASE | re.DOTALL)


class PoolClient:
    """Sends requests for one identifier and turns every failure into a `PoolError`.

    Nothing is retried here but a request refused with 401, once, with a new token: it did not reach the pod.
    """

    # Small enough that a line of 1 Mbit/s carries it before anybody's patience ends, large enough for a fast one.
    piece_bytes = 4 * 1024 * 1024

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
        endpoint = await self._access.endpoint()
        response = await self._send(endpoint, method, path, params, content, read_seconds)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            await response.aclose()
            self._access.forget(endpoint)
            endpoint = await self._access.endpoint()
            response = await self._send(endpoint, method, path, params, content, read_seconds)
        try:
            if response.status_code >= httpx.codes.BAD_REQUEST:
                raise await _read_error(response, endpoint)
            yield response
        finally:
            await response.aclose()

    async def _send(
        self, endpoint: Endpoint, method: str, path: str, params: Mapping[str, str] | None, content: bytes,
        read_seconds: float,
    ) -> httpx.Response:  # fmt: skip
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
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError, httpx.UnsupportedProtocol) as error:
            self._access.forget(endpoint)
            raise _no_connection(endpoint.url, error) from error
        except httpx.HTTPError as error:
            raise _unreachable(error) from error

    def _client_for(self, endpoint: Endpoint) -> httpx.AsyncClient:
        is_tls = endpoint.url.startswith("https:")
        if self._client is None or self._is_tls != is_tls:
            # Reading the system's certificates takes 70 ms, and the local pool needs none.
            verify = tls_context(os.environ) if is_tls else False
            self._client = httpx.AsyncClient(verify=verify, trust_env=is_tls, headers={"accept-encoding": "identity"})
            self._is_tls = is_tls
        return self._client

    async def aclose(self) -> None:
        """Close every connection."""
        if self._client is not None:
            await self._client.aclose()


async def _read_error(response: httpx.Response, endpoint: Endpoint) -> PoolError:
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
        return Unauthorized(describe_unauthorized(endpoint.token, response.headers.get("www-authenticate", "")))
    if status == httpx.codes.FORBIDDEN:
        return Forbidden(describe_forbidden(endpoint.token, endpoint.url))
    if status == httpx.codes.TOO_MANY_REQUESTS or _says_full(status, code, message):
        full = message or "All sessions are in use."
        return PoolFull(full, retry_after_seconds=_retry_after(response), usage=_usage(fields))
    return PoolRefused(message or _describe_status(status), status=status, code=code)


def _says_full(status: int, code: str, message: str) -> bool:
    """Whether this is the 404 that one page of Azure's documentation gives to a pool without a free session."""
    return status == httpx.codes.NOT_FOUND and bool(_FULL.search(f"{code} {message}"))


def _usage(fields: Mapping[str, Any]) -> str:
    """Return "5 of 5" from the details that the local pool gives."""
    details = fields.get("details")
    for detail in details if isinstance(details, list) else []:
        if isinstance(detail, dict) and detail.get("code") == "SessionsInUse":
            return str(detail.get("message", ""))
    return ""


def _describe_status(status: int) -> str:
    """Return a sentence for an answer that has none of its own, as those of gateways and proxies."""
    match status:
        case httpx.codes.NOT_FOUND:
            return (
                "There is no session pool, or no pod agent in it, at this address: check REMOTE_KERNEL_ENDPOINT "
                "(the pool management endpoint) and the image of the pool."
            )
        case httpx.codes.REQUEST_ENTITY_TOO_LARGE:
            return "This is more than the session pool takes at once: send it in smaller pieces, or as a file."
        case _ if status >= httpx.codes.INTERNAL_SERVER_ERROR:
            return f"The session pool has a fault (HTTP status {status}): try again, and look at the pool's health."
        case _:
            return f"The session pool answered with HTTP status {status}: check REMOTE_KERNEL_ENDPOINT."


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


def _no_connection(url: str, error: httpx.HTTPError) -> PoolError:
    """Say why there is no connection, and what to do."""
    host, reason = _host(url), describe(error)
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        return PoolUntrusted(
            f"The certificate of the session pool at {host} cannot be verified: set SSL_CERT_FILE to the file with "
            "your organisation's certificates, and check REMOTE_KERNEL_ENDPOINT."
        )
    through = proxy_for(url)
    if isinstance(error, httpx.ProxyError) or through:
        return PoolUnreachable(
            f"The session pool at {host} cannot be reached through the proxy {through or 'of this machine'}: {reason}. "
            "Check HTTPS_PROXY, or add the host to NO_PROXY."
        )
    return PoolUnreachable(
        f"The session pool at {host} cannot be reached: {reason}. Check the network and REMOTE_KERNEL_ENDPOINT."
    )


def proxy_for(url: str) -> str:
    """Return host and port of the proxy on the way to `url`, without its password; "" when there is none."""
    parts = urlsplit(url)
    if parts.scheme != "https" or proxy_bypass(parts.hostname or ""):
        return ""
    proxies = getproxies()
    return urlsplit(proxies.get("https") or proxies.get("all") or "").netloc.rpartition("@")[2]


def _unreachable(error: httpx.HTTPError) -> PoolUnreachable:
    return PoolUnreachable(f"The connection to the session pool broke: {describe(error)}.")


def describe(error: httpx.HTTPError) -> str:
    """Return a few words for a user; httpx leaves some texts empty, and others name addresses."""
    cause = error.__cause__ or error.__context__
    text = str(error) or (str(cause) if cause else "")
    return text.rstrip(".").removeprefix("[Errno -2] ") or type(error).__name__
