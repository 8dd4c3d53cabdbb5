"""What becomes of every way in which a pool can say no, from real HTTP answers on loopback."""

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from remote_kernel.client.access import AzureAccess, ConfiguredAccess, Endpoint
from remote_kernel.client.pool import PoolClient
from remote_kernel.client.retry import Backoff, describe_wait, is_passing
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

pytestmark = pytest.mark.anyio

Answer = tuple[int, dict[str, str], bytes]


@contextmanager
def serve(answer: Callable[[BaseHTTPRequestHandler], Answer], context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Answer every request with what `answer` returns, on the port that is given."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = answer(self)
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_CONNECT = do_GET  # noqa: N815

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


async def ask(url: str) -> PoolError:
    """Ask a pool for something that it refuses."""
    pool = PoolClient(ConfiguredAccess(url, "a-token"), Identifier("an-identifier"))
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
        (413, b"", PoolRefused, "in smaller pieces"),
        (418, b"", PoolRefused, "HTTP status 418"),
        (429, b"", PoolFull, "in use"),
        (500, b"\xff", PoolRefused, "look at the pool's health"),
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
    assert is_passing(error) is (status in {429, 500, 503} or kind is PoolFull)


async def test_a_full_pool_tells_when_to_come_back_and_how_full_it_is() -> None:
    body = json.dumps(
        {"error": {"code": "x", "message": "y", "details": [{"code": "SessionsInUse", "message": "5 of 5"}]}}
    ).encode()
    with serve(lambda _request: (429, {"retry-after": "7"}, body)) as port:
        error = await ask(f"http://127.0.0.1:{port}")
    assert isinstance(error, PoolFull)
    assert describe_wait(error).detail == "5 of 5 in use"
    pauses = [Backoff().next(error) for _ in range(20)]
    assert min(pauses) >= 7
    assert len(set(pauses)) > 1, "kernels that wait for the same pool must not all come back at once"


class Renewing:
    """Gives a new token after each that was not accepted."""

    def __init__(self, url: str) -> None:
        self.count = 1
        self._url = url

    async def endpoint(self) -> Endpoint:
        return Endpoint(self._url, f"token-{self.count}")

    def forget(self) -> None:
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


async def test_an_azure_token_is_asked_for_again_before_it_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real azure-identity, against a managed identity endpoint on loopback."""
    lifetimes = iter([100, 3600])
    given: list[str] = []

    def answer(request: BaseHTTPRequestHandler) -> Answer:
        assert "dynamicsessions.io" in request.path
        given.append(f"token-{len(given)}")
        fields = {"access_token": given[-1], "expires_on": str(int(time.time()) + next(lifetimes)), "token_type": "x"}
        return 200, {"content-type": "application/json"}, json.dumps(fields).encode()

    with serve(answer) as port:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{port}/token")
        monkeypatch.setenv("IDENTITY_HEADER", "a-header")
        access = AzureAccess("https://pool.example")
        tokens = [(await access.endpoint()).token for _ in range(3)]
    assert tokens == ["token-0", "token-1", "token-1"]


@pytest.fixture
def server_certificate(tmp_path: Path) -> ssl.SSLContext:
    """A certificate that nobody has signed but itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "server.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


async def test_a_certificate_that_nobody_knows_is_not_waited_for(server_certificate: ssl.SSLContext) -> None:
    with serve(lambda _request: (200, {}, b"{}"), server_certificate) as port:
        error = await ask(f"https://127.0.0.1:{port}")
    assert isinstance(error, PoolUntrusted)
    assert "SSL_CERT_FILE" in str(error)
    assert not is_passing(error)


async def test_the_file_named_in_the_sentence_mends_it(
    server_certificate: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
    with serve(lambda _request: (200, {}, b'{"a": 1}'), server_certificate) as port:
        pool = PoolClient(ConfiguredAccess(f"https://127.0.0.1:{port}", "a-token"), Identifier("an-identifier"))
        assert await pool.request("GET", "/") == {"a": 1}
        await pool.aclose()


async def test_a_proxy_that_is_not_there_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:hunter2@127.0.0.1:9")
    error = await ask("https://pool.example")
    assert isinstance(error, PoolUnreachable)
    assert "through the proxy 127.0.0.1:9" in str(error)
    assert "HTTPS_PROXY" in str(error)
    assert "hunter2" not in str(error)


async def test_a_proxy_that_refuses_is_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(lambda _request: (407, {}, b"")) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        error = await ask("https://pool.example")
    assert isinstance(error, PoolUnreachable)
    assert "407" in str(error)
