"""Transports to a pool: plain HTTP to this machine, or TLS to anywhere.

Two ways because they need different things. On this machine every microsecond counts and there is nothing to secure;
that is `remote_kernel.io.http1`. A pool in Azure is behind TLS and perhaps a proxy, which httpx knows all about, and
its milliseconds do not show beside the round trip.

Both take of an answer what its kind may have (`client.http.bounds`), and nothing that HTTP has compressed, as nobody
asks for that: so no caller can be made to hold more than the table of limits says.
"""

import asyncio
import contextlib
import importlib
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self
from urllib.parse import urlsplit

from remote_kernel.client.http.bounds import limit_of
from remote_kernel.client.http.pieces import Pieces
from remote_kernel.core.errors import SettingsError
from remote_kernel.core.limits import Limit
from remote_kernel.io import http1

if TYPE_CHECKING:
    import httpx

    from remote_kernel.core.pools.proxies import Proxy

WRITE_SECONDS = http1.WRITE_SECONDS

# A session is called at least every 100 s (a third of the shortest cooldown), and front doors keep an idle connection
# for four minutes: so it stays open as long as the session does, and no cell waits for a handshake.
KEEPALIVE_SECONDS = 110.0

# A body that has an end comes this fast at least, once it has begun to come for `Timings.drip_seconds`.
MIN_BYTES_PER_SECOND = 1000

USER_AGENT = "remote-session-kernel"


class Timings(NamedTuple):
    """Timings of requests: how long what is at the other end may take.

    Attributes:
        connect_seconds: for a connection; over plain HTTP it has `http1.CONNECT_SECONDS`.
        write_seconds: for the next piece of a request to be taken; over plain HTTP it has `http1.WRITE_SECONDS`.
        drip_seconds: how long a body may come as slowly as it likes.
        proof_seconds: for a local pool's proof of itself.
        keepalive_seconds: how long a connection stays open that no request uses.
    """

    connect_seconds: float = http1.CONNECT_SECONDS
    write_seconds: float = http1.WRITE_SECONDS
    drip_seconds: float = 30.0
    proof_seconds: float = http1.PROOF_SECONDS
    keepalive_seconds: float = KEEPALIVE_SECONDS


DEFAULT_TIMINGS = Timings()


# What both transports raise: nothing was sent; the request may have been received; what came is not HTTP.
NoConnection = http1.NoConnection
Broke = http1.ConnectionBroke
NotHttp = http1.NotHttp


class NotTaken(Broke):
    """The answer is larger than its kind may be, or compressed, which nobody has asked for."""


class Response(Protocol):
    """An answer whose body is still to be read; reading raises `Broke`, and `NotTaken` behind what it may have."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def limit(self) -> Limit:
        """The bounds of the answer."""

    def header(self, name: str) -> str:
        """Return a header's value, or ""; `name` is in lower case."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes."""

    async def read(self) -> bytes:
        """Return the whole body."""

    async def aclose(self) -> None:
        """Let the connection go, whatever of the body has been read."""


class Transport(Protocol):
    """Sends requests to one server."""

    async def send(
        self, method: str, target: str, token: str, content: bytes, read_seconds: float, media_type: str = ""
    ) -> Response:
        """Send a request and return the answer; raises `NoConnection` and `Broke`.

        Args:
            target: path and query.
            token: the bearer token; "" for none.
            read_seconds: how long the server may be silent, before the head and within the body.
            media_type: of `content`; "" leaves it unsaid.
        """

    async def warm_up(self) -> None:
        """Have the connections open that a session needs, if they can be had."""

    def drop_idle(self) -> None:
        """Close the connections that no request uses: the way they take may be gone."""

    async def aclose(self) -> None:
        """Close every connection."""


def transport_to(
    url: str, secret: str = "", *, proxy: "Proxy | None" = None, bundle: Path | None = None,
    timings: Timings = DEFAULT_TIMINGS,
) -> Transport:  # fmt: skip
    """Return a transport to the server at this URL (http:// or https://).

    Args:
        secret: what a server over plain HTTP must prove to know on each connection before a request is sent on it; ""
            where nothing is to be proved.
        proxy: on the way to https://; `None` for none.
        bundle: certificate authorities for https://; `None` for the usual ones.
    """
    if url.startswith("https:"):
        return TlsTransport(url, proxy, bundle, timings)
    return LoopbackTransport.to(url, secret, timings)


class LoopbackTransport:
    """See `Transport`.

    Args:
        host: what requests name as their host.
        base: what stands before each target.
    """

    def __init__(self, client: http1.Client, host: bytes, base: str = "", timings: Timings = DEFAULT_TIMINGS) -> None:
        self._client = client
        self._headers = [(b"host", host), (b"user-agent", USER_AGENT.encode()), (b"accept-encoding", b"identity")]
        self._base = base
        self._timings = timings

    @classmethod
    def to(cls, url: str, secret: str = "", timings: Timings = DEFAULT_TIMINGS) -> Self:
        """Return the transport to the server at a URL; see `transport_to` for the secret."""
        parts = urlsplit(url)
        introduce = http1.demand_proof(secret, timings.proof_seconds) if secret else None
        client = http1.Client.tcp(
            parts.hostname or "", parts.port or 80, keepalive_seconds=timings.keepalive_seconds, introduce=introduce
        )
        return cls(client, parts.netloc.rpartition("@")[2].encode(), parts.path, timings)

    async def send(
        self, method: str, target: str, token: str, content: bytes, read_seconds: float, media_type: str = ""
    ) -> Response:
        headers = self._headers
        if token:
            headers = [*headers, (b"authorization", f"Bearer {token}".encode())]
        if media_type:
            headers = [*headers, (b"content-type", media_type.encode())]
        response = await self._client.send(
            method.encode(), f"{self._base}{target}".encode(), headers, content, read_seconds=read_seconds
        )
        return _PlainResponse(response, limit_of(target, response.status, method), self._timings)

    async def warm_up(self) -> None:
        await self._client.warm_up(2)  # one for the events, one for the messages

    def drop_idle(self) -> None:
        self._client.drop_idle()

    async def aclose(self) -> None:
        await self._client.aclose()


class _MeteredResponse(ABC):
    """An answer of whose body no more is taken than its kind may have, and which may not come in drips."""

    def __init__(self, status: int, limit: Limit, timings: Timings) -> None:
        self.status = status
        self.limit = limit
        self._began: float | None = None
        self._size = 0
        self._drip_seconds = timings.drip_seconds

    async def chunks(self) -> AsyncIterator[bytes]:
        self._check_encoding()
        while piece := await self._piece():
            yield self._pass_on(piece)

    async def read(self) -> bytes:
        self._check_encoding()
        pieces = Pieces()
        while piece := await self._piece():
            pieces.add(self._pass_on(piece))
        return pieces.join()

    @abstractmethod
    def header(self, name: str) -> str: ...

    @abstractmethod
    def _piece(self) -> Awaitable[bytes]:
        """Return the next piece of the body as it came; b"" at its end."""

    def _check_encoding(self) -> None:
        if self.header("content-encoding").strip().lower() not in ("", "identity"):
            raise NotTaken("the answer is compressed, which was not asked for")

    def _pass_on(self, piece: bytes) -> bytes:
        """Return a piece; raises `NotTaken` where it is too much. A stream may have any size, and take its time."""
        if self.limit.bytes is None:
            return piece
        self._size += len(piece)
        if self._size > self.limit.bytes:
            raise NotTaken("the answer is larger than it may be")
        now = time.monotonic()
        self._began = now if self._began is None else self._began
        if now - self._began > self._drip_seconds + self._size / MIN_BYTES_PER_SECOND:
            raise NotTaken("the answer comes in drips")
        return piece


class _PlainResponse(_MeteredResponse):
    def __init__(self, response: http1.Response, limit: Limit, timings: Timings) -> None:
        super().__init__(response.status, limit, timings)
        self._response = response

    def header(self, name: str) -> str:
        return self._response.header(name.encode())

    def _piece(self) -> Awaitable[bytes]:
        return self._response.piece()

    async def aclose(self) -> None:
        self._response.close()


class TlsTransport:
    """See `Transport`; httpx, which takes a quarter of a second to import, is loaded with the first request."""

    def __init__(
        self, url: str, proxy: "Proxy | None" = None, bundle: Path | None = None, timings: Timings = DEFAULT_TIMINGS
    ) -> None:  # fmt: skip
        self._url = url
        self._timings = timings
        self._proxy = proxy
        self._bundle = bundle
        self._client: httpx.AsyncClient | None = None
        self._warm_until = 0.0

    async def send(
        self, method: str, target: str, token: str, content: bytes, read_seconds: float, media_type: str = ""
    ) -> Response:
        import httpx

        client = self._opened()
        request = client.build_request(
            method,
            self._url + target,
            content=content or None,
            headers=_headers(token, media_type),
            timeout=httpx.Timeout(
                read_seconds, connect=self._timings.connect_seconds, write=self._timings.write_seconds, pool=None
            ),
        )
        # httpx bounds each wait, and a server may say for ever that its answer is about to come.
        patience = self._timings.connect_seconds + self._timings.write_seconds + read_seconds
        patience += len(content) / MIN_BYTES_PER_SECOND
        try:
            async with asyncio.timeout(patience):
                response = await client.send(request, stream=True)
        except TimeoutError:
            raise Broke("the head of the answer does not end") from None
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError, httpx.UnsupportedProtocol) as error:
            raise NoConnection(_describe(error)) from error
        except httpx.HTTPError as error:
            raise _of_httpx(error) from error
        return _TlsResponse(response, limit_of(target, response.status_code, method), self._timings)

    def _opened(self) -> "httpx.AsyncClient":
        import httpx

        from remote_kernel.client.http.certificates import tls_context

        if self._client is None:
            limits = httpx.Limits(max_connections=None, keepalive_expiry=self._timings.keepalive_seconds)
            headers = {"accept-encoding": "identity", "user-agent": USER_AGENT}
            # Without httpx's own view of the environment, in which a proxy that is none is a traceback, and a file of
            # passwords replaces the token.
            self._client = httpx.AsyncClient(
                verify=tls_context(self._bundle), headers=headers, limits=limits, trust_env=False,
                proxy=self._proxy.url if self._proxy is not None else None,
            )  # fmt: skip
        return self._client

    async def warm_up(self) -> None:
        """See `Transport`: one for the events, one for the messages.

        httpx connects for requests alone. So these name no session and carry no token: a front door refuses them, and
        their connections stay.
        """
        now = time.monotonic()
        if now < self._warm_until:
            return  # those of the last time are there
        self._warm_until = now + self._timings.keepalive_seconds
        if self._client is None:
            await asyncio.to_thread(importlib.import_module, "httpx")  # meanwhile the event loop has other things to do
        count = 2 if self._client is None else 1  # the first request is on its way, and has one
        await asyncio.gather(*(self._touch() for _ in range(count)))

    async def _touch(self) -> None:
        with contextlib.suppress(NoConnection, Broke, SettingsError):  # who sends a request is told
            response = await self.send("GET", "/", "", b"", self._timings.connect_seconds)
            try:
                await response.read()
            finally:
                await response.aclose()

    def drop_idle(self) -> None:
        """Nothing that httpx could do; a request on a connection that is gone ends after `Timings.write_seconds`."""

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.aclose()


def _headers(token: str, media_type: str) -> dict[str, str]:
    authorization = {"authorization": f"Bearer {token}"} if token else {}
    return authorization | ({"content-type": media_type} if media_type else {})


class _TlsResponse(_MeteredResponse):
    def __init__(self, response: "httpx.Response", limit: Limit, timings: Timings) -> None:
        super().__init__(response.status_code, limit, timings)
        self._response = response
        self._pieces = response.aiter_raw()  # raw: httpx would unpack a bomb

    def header(self, name: str) -> str:
        return str(self._response.headers.get(name, ""))

    async def _piece(self) -> bytes:
        import httpx

        try:
            return await anext(self._pieces, b"")
        except httpx.HTTPError as error:
            raise _of_httpx(error) from error

    async def aclose(self) -> None:
        await self._response.aclose()


def _of_httpx(error: Exception) -> Broke:
    import httpx

    return (NotHttp if isinstance(error, httpx.RemoteProtocolError) else Broke)(_describe(error))


def _describe(error: Exception) -> str:
    """Return a few words for a user; httpx leaves some texts empty, and others name addresses."""
    cause = error.__cause__ or error.__context__
    text = str(error) or (str(cause) if cause else "")
    return text.rstrip(".").removeprefix("[Errno -2] ") or type(error).__name__
