"""The pool's HTTP API for one session: every request carries the same identifier."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from remote_kernel.client.access import Access, Endpoint
from remote_kernel.client.http.transport import (
    DEFAULT_TIMINGS,
    WRITE_SECONDS,
    Broke,
    NoConnection,
    NotTaken,
    Response,
    Timings,
    Transport,
    transport_to,
)
from remote_kernel.core.errors import (
    Forbidden,
    PoolError,
    PoolFull,
    PoolNotReady,
    PoolRefused,
    PoolUnreachable,
    PoolUntrusted,
    Unauthorized,
    WireError,
)
from remote_kernel.core.identity import Identifier
from remote_kernel.core.json_text import parse_json_object
from remote_kernel.core.limits import REFUSAL, Limit
from remote_kernel.core.numbers import RETRY_AFTER
from remote_kernel.core.pools.front_door import Meaning, meaning_of
from remote_kernel.core.text.terminal_text import one_line
from remote_kernel.core.wire import frames as wire
from remote_kernel.io.tasks import start

if TYPE_CHECKING:
    from remote_kernel.client.early_contact import EarlyContact

# A cold pod of a large image takes minutes; the front door cuts a silent request after 240 s.
ALLOCATE_SECONDS = 240.0

# Of what an error says of itself, for people.
MAX_MESSAGE_CHARS = 2000
MAX_CODE_CHARS = 100

API_VERSION = "2025-10-02-preview"


class PoolClient:
    """Sends requests for one identifier and turns every failure into a `PoolError`.

    Nothing is retried here but a request refused with 401, once, with a new token: it did not reach the pod.

    Args:
        timings: of each request.
        connects_ahead: whether to connect for the second request while the first one is on its way, as a link needs it:
            events come on one connection, messages go on another.
        early: connections that were made before, if there are any.
    """

    stale_seconds = wire.STALE_SECONDS

    # Small enough that a line of 1 Mbit/s carries it before anybody's patience ends, large enough for a fast one.
    piece_bytes = 4 * 1024 * 1024

    def __init__(
        self, access: Access, identifier: Identifier, *, connects_ahead: bool = False,
        timings: Timings = DEFAULT_TIMINGS, early: "EarlyContact | None" = None,
    ) -> None:  # fmt: skip
        self._timings = timings
        self._access = access
        self._identifier = identifier
        self._own_params = ("identifier", identifier), ("api-version", API_VERSION)
        self._transport: Transport | None = None
        self._leads_to = ("", "")
        self._connects_ahead = connects_ahead
        self._early = early
        self._warming: asyncio.Task[None] | None = None

    @property
    def should_compress(self) -> bool:
        return not self._access.is_here

    async def request(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, content: bytes = b"",
        media_type: str = "", read_seconds: float = WRITE_SECONDS,
    ) -> dict[str, Any]:  # fmt: skip
        """Send a request, with `content` of `media_type`, and return the JSON object of the answer ({} without one).

        Raises:
            PoolError: see `core.errors`; only `PoolUnreachable` leaves open whether the request was received.
        """
        response = await self._accepted(method, path, params, content, media_type, read_seconds)
        try:
            body = await response.read()
        except Broke as error:
            raise _unreachable(error) from error
        finally:
            await response.aclose()
        return parse_object(body, response.limit)

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, content: bytes = b"",
        media_type: str = "", read_seconds: float,
    ) -> AsyncIterator[Response]:  # fmt: skip
        """Send a request and give the answer with its body unread; raises as `request` does, and `Broke` while the
        body is read."""
        response = await self._accepted(method, path, params, content, media_type, read_seconds)
        try:
            yield response
        finally:
            await response.aclose()

    async def _accepted(
        self, method: str, path: str, params: Mapping[str, str] | None, content: bytes, media_type: str,
        read_seconds: float,
    ) -> Response:  # fmt: skip
        """Send a request and return the answer, which says that it was accepted, with its body unread."""
        endpoint = await self._access.endpoint()
        response = await self._send(endpoint, method, path, params, content, media_type, read_seconds)
        if response.status == HTTPStatus.UNAUTHORIZED:
            await response.aclose()
            self._access.forget(endpoint)
            endpoint = await self._access.endpoint()
            response = await self._send(endpoint, method, path, params, content, media_type, read_seconds)
        if response.status < HTTPStatus.MULTIPLE_CHOICES:  # no pool sends its callers elsewhere, gateways do
            return response
        try:
            error = await _read_error(response, endpoint, self._identifier)
        finally:
            await response.aclose()
        if isinstance(error, Forbidden):
            self._access.forget(endpoint)  # a role counts for tokens that were made after it was given
        raise error

    async def _send(
        self, endpoint: Endpoint, method: str, path: str, params: Mapping[str, str] | None, content: bytes,
        media_type: str, read_seconds: float,
    ) -> Response:  # fmt: skip
        transport = await self._transport_to(endpoint)
        query = _query((*(params or {}).items(), *self._own_params))
        try:
            return await transport.send(method, f"{path}?{query}", endpoint.token, content, read_seconds, media_type)
        except NoConnection as error:
            self._access.forget(endpoint)
            raise _no_connection(endpoint, error) from error
        except Broke as error:
            raise _unreachable(error) from error

    async def _transport_to(self, endpoint: Endpoint) -> Transport:
        leads_to = endpoint.url, endpoint.token if endpoint.must_prove else ""
        if self._transport is None or self._leads_to != leads_to:
            await self.aclose()
            early = self._early.take_transport() if self._early is not None else None
            self._transport = early or transport_to(
                *leads_to, proxy=endpoint.proxy, bundle=endpoint.bundle, timings=self._timings
            )
            if endpoint.is_direct:
                from remote_kernel.client.http.direct_transport import DirectTransport  # late, as not every kernel's

                self._transport = DirectTransport(self._transport, _query(self._own_params), self._timings)
            self._leads_to = leads_to
            if self._connects_ahead:  # early connections may be gone again
                self._warming = start(self._transport.warm_up(), "connecting ahead")
        return self._transport

    def drop_idle(self) -> None:
        """Close the connections that no request uses, as when one of them has turned out to be dead."""
        if self._transport is not None:
            self._transport.drop_idle()

    async def aclose(self) -> None:
        """Close every connection."""
        if self._warming is not None:
            self._warming.cancel()
            await asyncio.gather(self._warming, return_exceptions=True)
        if self._transport is not None:
            await self._transport.aclose()


@lru_cache(maxsize=64)  # a cell's parameters are those of the cell before
def _query(params: tuple[tuple[str, str], ...]) -> str:
    return urlencode(params)


async def _read_error(response: Response, endpoint: Endpoint, identifier: Identifier) -> PoolError:
    """Translate the answer of a request that was refused; what a pool says of the identifier is not for error texts."""
    try:
        body = parse_object(await response.read(), REFUSAL)
    except NotTaken:
        body = {}  # the page of a gateway; the status says enough
    except Broke as error:
        return _unreachable(error)
    fields = body.get("error")
    fields = fields if isinstance(fields, dict) else {}
    code, message = error_words(fields)
    message, status = message.replace(identifier, "…"), response.status
    # Late, as every start of a kernel waits for imports.
    from remote_kernel.client.http.rejections import describe_forbidden, describe_in_the_making, describe_unauthorized

    if status == HTTPStatus.UNAUTHORIZED:
        return Unauthorized(describe_unauthorized(endpoint.token, response.header("www-authenticate")))
    if status == HTTPStatus.FORBIDDEN:
        return Forbidden(describe_forbidden(endpoint.token, endpoint.url))
    match meaning_of(status, code, message):
        case Meaning.FULL:
            full = message or "All sessions are in use."
            return PoolFull(full, retry_after_seconds=_retry_after(response), usage=_usage(fields))
        case Meaning.IN_THE_MAKING:
            return PoolNotReady(describe_in_the_making(message))
    return PoolRefused(message or _describe_status(status), status=status, code=code)


def error_words(fields: Mapping[str, Any]) -> tuple[str, str]:
    """Return code and message of an error in Azure's shape, as long as sentences are, and as one line each."""
    code, message = str(fields.get("code", "")), str(fields.get("message", ""))
    return one_line(code[:MAX_CODE_CHARS]), one_line(message[:MAX_MESSAGE_CHARS])


def _usage(fields: Mapping[str, Any]) -> str:
    """Return "5 of 5" from the details that the local pool gives."""
    details = fields.get("details")
    for detail in details if isinstance(details, list) else []:
        if isinstance(detail, dict) and detail.get("code") == "SessionsInUse":
            return one_line(str(detail.get("message", ""))[:MAX_CODE_CHARS])
    return ""


def _describe_status(status: int) -> str:
    """Return a sentence for an answer that has none of its own, as those of gateways and proxies."""
    match status:
        case HTTPStatus.NOT_FOUND:
            return (
                "There is no session pool, or no pod agent in it, at this address: check REMOTE_KERNEL_ENDPOINT "
                "(the pool management endpoint) and the image of the pool."
            )
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return "This is more than the session pool takes at once: send it in smaller pieces, or as a file."
        case _ if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return f"The session pool has a fault (HTTP status {status}): try again, and look at the pool's health."
        case _:
            return f"The session pool answered with HTTP status {status}: check REMOTE_KERNEL_ENDPOINT."


def _retry_after(response: Response) -> float | None:
    """Return the seconds that a pool asks for, at most a minute; what is no such number is left to our own pauses."""
    text = response.header("retry-after")
    is_number = text.isascii() and text.isdigit() and len(text) < 20
    return float(RETRY_AFTER.check(int(text), "Retry-After")) if is_number else None


def parse_object(body: bytes, limit: Limit) -> dict[str, Any]:
    """Return the JSON object of an answer; {} where it has none, as those of gateways and proxies."""
    try:
        return parse_json_object(body, limit) if body else {}
    except WireError:
        return {}


def _no_connection(endpoint: Endpoint, error: NoConnection) -> PoolError:
    """Say why there is no connection, and what to do."""
    from remote_kernel.core.text.shown_address import host_of  # late, as above

    host, reason = host_of(endpoint.url), str(error)
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        return PoolUntrusted(
            f"The certificate of the session pool at {host} cannot be verified: set SSL_CERT_FILE to the file with "
            "your organisation's certificates, and check REMOTE_KERNEL_ENDPOINT."
        )
    if (proxy := endpoint.proxy) is not None:
        return PoolUnreachable(
            f"The session pool at {host} cannot be reached through the proxy {proxy.address}: {reason}. "
            f"Check {proxy.variable}, or add the host to NO_PROXY."
        )
    return PoolUnreachable(
        f"The session pool at {host} cannot be reached: {reason}. Check the network and REMOTE_KERNEL_ENDPOINT."
    )


def _unreachable(error: Broke) -> PoolUnreachable:
    return PoolUnreachable(f"The connection to the session pool broke: {error}.")
