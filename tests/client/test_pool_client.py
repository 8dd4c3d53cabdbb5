"""What becomes of every way in which a pool can say no, from real HTTP answers on loopback."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import MappingProxyType

import pytest

from remote_kernel.client.access import ConfiguredAccess, Endpoint, choose_access
from remote_kernel.client.http.pool_client import PoolClient
from remote_kernel.client.retry import Retry, describe_wait, is_passing
from remote_kernel.core.errors import (
    Forbidden,
    PoolError,
    PoolFull,
    PoolNotReady,
    PoolRefused,
    PoolUnreachable,
    PoolUntrusted,
    SettingsError,
    Unauthorized,
)
from remote_kernel.core.identity import Identifier
from remote_kernel.core.settings import Settings
from tests.client.serving import Answer, serve

pytestmark = pytest.mark.anyio


def client_of(url: str, environ: Mapping[str, str] = MappingProxyType({})) -> PoolClient:
    return PoolClient(choose_access(Settings(endpoint=url, token="a-token"), environ), Identifier("an-identifier"))


async def ask(url: str, environ: Mapping[str, str] = MappingProxyType({})) -> PoolError:
    """Ask a pool for something that it refuses."""
    pool = client_of(url, environ)
    try:
        with pytest.raises(PoolError) as raised:
            await pool.request("GET", "/api/v2/session")
    finally:
        await pool.aclose()
    for secret in ("a-token", "an-identifier"):
        assert secret not in str(raised.value)
    return raised.value


def azure_error(code: str, message: str) -> bytes:
    return json.dumps({"error": {"code": code, "message": message}}).encode()


@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        (401, b"", Unauthorized, "run 'az login'"),
        (403, b"", Forbidden, "Azure ContainerApps Session Executor"),
        (404, b"<html>", PoolRefused, "check REMOTE_KERNEL_ENDPOINT"),
        (404, azure_error("SessionsLimitReached", "No session is available."), PoolFull, "No session is available"),
        (404, azure_error("NotFound", "There is no session an-identifier."), PoolRefused, "There is no session …."),
        (409, azure_error("SessionPoolNotReady", "Try later."), PoolNotReady, "(Try later). A new one takes 9 minutes"),
        (413, b"", PoolRefused, "in smaller pieces"),
        (418, b"", PoolRefused, "HTTP status 418"),
        (302, b"", PoolRefused, "HTTP status 302: check REMOTE_KERNEL_ENDPOINT"),
        (429, b"", PoolFull, "in use"),
        (500, b"\xff", PoolRefused, "look at the pool's health"),
        (500, azure_error("x", "The limit of concurrent sessions is reached."), PoolFull, "limit of concurrent"),
        (503, azure_error("SessionUnavailable", "The pod is gone."), PoolRefused, "The pod is gone."),
    ],
)
async def test_a_refusal_is_a_sentence_with_the_remedy(
    status: int, body: bytes, kind: type[PoolError], text: str
) -> None:
    with serve(lambda _request: (status, {}, body)) as port:
        error = await ask(f"http://127.0.0.1:{port}")
    assert type(error) is kind
    assert text in str(error)
    assert is_passing(error) is (status in {403, 409, 429, 500, 503} or kind is PoolFull)


async def test_a_full_pool_tells_when_to_come_back_and_how_full_it_is() -> None:
    body = json.dumps(
        {"error": {"code": "x", "message": "y", "details": [{"code": "SessionsInUse", "message": "5 of 5"}]}}
    ).encode()
    with serve(lambda _request: (429, {"retry-after": "7"}, body)) as port:
        error = await ask(f"http://127.0.0.1:{port}")
    assert isinstance(error, PoolFull)
    assert describe_wait(error).detail == "5 of 5 in use"
    waits = [Retry().next_wait(error, 0.0) or 0.0 for _ in range(20)]
    assert min(waits) >= 7
    assert len(set(waits)) > 1, "kernels that wait for the same pool must not all come back at once"


class Renewing:
    """Gives a new token after each that was not accepted."""

    is_here = True

    def __init__(self, url: str) -> None:
        self.count = 1
        self._url = url

    async def endpoint(self) -> Endpoint:
        return Endpoint(self._url, f"token-{self.count}")

    def forget(self, endpoint: Endpoint) -> None:
        assert endpoint.token == f"token-{self.count}"
        self.count += 1


async def test_a_token_that_is_not_accepted_is_renewed_once() -> None:
    seen: list[str] = []

    def answer(request: BaseHTTPRequestHandler) -> Answer:
        seen.append(request.headers["authorization"])
        return (200, {}, b"{}") if seen[-1] == "Bearer token-2" else (401, {}, b"")

    with serve(answer) as port:
        pool = PoolClient(Renewing(f"http://127.0.0.1:{port}"), Identifier("an-identifier"))
        assert await pool.request("GET", "/") == {}
        await pool.aclose()
    assert seen == ["Bearer token-1", "Bearer token-2"]


async def test_the_next_request_after_a_missing_role_has_a_new_token() -> None:
    seen: list[str] = []

    def answer(request: BaseHTTPRequestHandler) -> Answer:
        seen.append(request.headers["authorization"])
        return (200, {}, b"{}") if seen[-1] == "Bearer token-2" else (403, {}, b"")

    with serve(answer) as port:
        pool = PoolClient(Renewing(f"http://127.0.0.1:{port}"), Identifier("an-identifier"))
        with pytest.raises(Forbidden):
            await pool.request("GET", "/")
        assert await pool.request("GET", "/") == {}
        await pool.aclose()
    assert seen == ["Bearer token-1", "Bearer token-2"]


async def test_a_certificate_that_nobody_knows_is_not_waited_for(server_certificate: ssl.SSLContext) -> None:
    with serve(lambda _request: (200, {}, b"{}"), server_certificate) as port:
        error = await ask(f"https://127.0.0.1:{port}")
    assert isinstance(error, PoolUntrusted)
    assert "SSL_CERT_FILE" in str(error)
    assert not is_passing(error)


async def test_the_file_named_in_the_sentence_mends_it(server_certificate: ssl.SSLContext, tmp_path: Path) -> None:
    environ = {"SSL_CERT_FILE": str(tmp_path / "server.pem")}
    with serve(lambda _request: (200, {}, b'{"a": 1}'), server_certificate) as port:
        pool = client_of(f"https://127.0.0.1:{port}", environ)
        assert await pool.request("GET", "/") == {"a": 1}
        await pool.aclose()


async def test_a_proxy_that_is_not_there_is_named_without_its_password() -> None:
    error = await ask("https://pool.example", {"HTTPS_PROXY": "http://me:hunter2@127.0.0.1:9"})
    assert isinstance(error, PoolUnreachable)
    assert "through the proxy 127.0.0.1:9" in str(error)
    assert "HTTPS_PROXY" in str(error)
    assert "hunter2" not in str(error)


async def test_a_proxy_that_refuses_is_said_to() -> None:
    with serve(lambda _request: (407, {}, b"")) as port:
        error = await ask("https://pool.example", {"HTTPS_PROXY": f"http://127.0.0.1:{port}"})
    assert isinstance(error, PoolUnreachable)
    assert "407" in str(error)


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
async def test_a_socks_proxy_leads_to_the_pool(server_certificate: ssl.SSLContext, tmp_path: Path, scheme: str) -> None:
    asked: list[bytes] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speak SOCKS 5 without a password (RFC 1928), and pass on what comes."""
        _version, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        writer.write(b"\x05\x00")
        head = await reader.readexactly(4)
        host = await reader.readexactly(4 if head[3] == 1 else (await reader.readexactly(1))[0])
        port = int.from_bytes(await reader.readexactly(2), "big")
        asked.append(host)
        to_server, from_us = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        async with asyncio.TaskGroup() as both:
            both.create_task(pass_on(reader, from_us))
            both.create_task(pass_on(to_server, writer))

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(65536):
                writer.write(piece)
        writer.close()

    environ = {"SSL_CERT_FILE": str(tmp_path / "server.pem")}
    with serve(lambda _request: (200, {}, b'{"a": 1}'), server_certificate) as port:
        async with await asyncio.start_server(relay, "127.0.0.1", 0) as proxy:
            environ["ALL_PROXY"] = f"{scheme}://127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
            pool = client_of(f"https://127.0.0.1:{port}", environ)
            assert await pool.request("GET", "/") == {"a": 1}
            around = client_of(f"https://127.0.0.1:{port}", environ | {"NO_PROXY": "127.0.0.0/8"})
            assert await around.request("GET", "/") == {"a": 1}
            await around.aclose()
            await pool.aclose()
    assert len(asked) == 1


@pytest.mark.parametrize(("name", "value"), [("ALL_PROXY", "socks://127.0.0.1:1"), ("https_proxy", "http://me:pw@a:b")])
def test_what_names_no_proxy_is_a_sentence(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name} .*write http://host:port") as raised:
        client_of("https://pool.example", {name: value})
    assert "pw" not in str(raised.value)


async def test_the_connection_for_the_second_request_is_made_while_the_first_is_on_its_way() -> None:
    connections = 0
    both = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        if connections == 2:
            both.set()
        with contextlib.suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            await both.wait()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        pool = PoolClient(ConfiguredAccess(url, "a-token"), Identifier("an-identifier"), connects_ahead=True)
        assert await pool.request("GET", "/") == {}
        assert connections == 2
        await pool.aclose()
