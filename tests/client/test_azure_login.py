"""Every kind of login, through the real azure-identity, against endpoints on loopback."""

import gc
import json
import logging
import os
import ssl
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest

from remote_kernel.client.auth.azure_login import DEFAULT_TIMINGS, AzureLogin, Timings
from remote_kernel.client.http.certificates import BUNDLE_VARIABLES
from remote_kernel.core.errors import PoolError, PoolUnreachable, PoolUntrusted, SettingsError, Unauthorized
from remote_kernel.core.pools.credential import DEFAULT_TOKEN_SCOPE, parse_credential
from tests.client.serving import Answer, serve
from tests.issuer import Issuer, run_issuer

TENANT = "11111111-1111-4111-8111-111111111111"
CLIENT = "22222222-2222-4222-8222-222222222222"


def login(credential: str, scope: str = DEFAULT_TOKEN_SCOPE, timings: Timings = DEFAULT_TIMINGS) -> str:
    return AzureLogin(parse_credential(credential), scope, os.environ, timings).get_token().value


def failure(credential: str, timings: Timings = DEFAULT_TIMINGS) -> PoolError:
    with pytest.raises(PoolError) as raised:
        login(credential, timings=timings)
    assert raised.value.__cause__ is None
    return raised.value


@pytest.fixture(autouse=True)
def no_login_of_the_caller(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("AZURE_", "IDENTITY_", "MSI_")) or name in BUNDLE_VARIABLES:
            monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.fixture
def issuer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Issuer]:
    with run_issuer() as running:
        for name, value in running.environ.items():
            monkeypatch.setenv(name, value)
        yield running


class TestManagedIdentity:
    def test_asks_for_the_audience_of_session_pools(self, issuer: Issuer) -> None:
        assert login("managed-identity") == issuer.given[0]
        assert (issuer.resources, issuer.client_ids) == (["https://dynamicsessions.io"], [""])

    def test_a_user_assigned_one_is_named_by_the_setting_or_by_azure_s_variable(
        self, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AZURE_CLIENT_ID", CLIENT)
        login("managed-identity")
        login("managed-identity:another-client")
        assert issuer.client_ids == [CLIENT, "another-client"]

    def test_a_sovereign_cloud_s_scope_can_be_asked_for(self, issuer: Issuer) -> None:
        login("managed-identity", "https://dynamicsessions.example/.default")
        assert issuer.resources == ["https://dynamicsessions.example"]

    def test_is_part_of_the_default_chain(self, issuer: Issuer) -> None:
        assert login("default") == issuer.given[0]

    def test_every_request_is_for_a_new_token(self, issuer: Issuer) -> None:
        access = AzureLogin(parse_credential("managed-identity"), DEFAULT_TOKEN_SCOPE, os.environ)
        assert access.get_token() != access.get_token()

    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_a_fault_that_passes_is_told_from_one_that_is_not_there(
        self, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, status: int
    ) -> None:
        monkeypatch.setattr(time, "sleep", lambda _seconds: None)  # between azure-identity's own tries
        monkeypatch.setattr(issuer, "answer", lambda *_: (status, {"statusCode": status, "message": "busy"}))
        error = failure("managed-identity")
        assert isinstance(error, PoolUnreachable)
        assert "has a fault or is busy" in str(error)

    def test_one_that_is_not_there_is_a_sentence(self, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("IDENTITY_HEADER", "wrong")
        error = failure("managed-identity")
        assert isinstance(error, Unauthorized)
        assert "az vm identity assign" in str(error)


AZ_TOKEN = json.dumps({"accessToken": "the-token", "expires_on": 4_000_000_000, "tokenType": "Bearer"})


class TestAzureCli:
    @pytest.fixture
    def az(self, tmp_path: Path) -> Path:
        return tmp_path / "az"

    def write(self, az: Path, *, stdout: str = "", stderr: str = "", status: int = 0) -> None:
        az.write_text(f"#!/bin/sh\nprintf '%s' '{stdout}'\nprintf '%s' '{stderr}' >&2\nexit {status}\n")
        az.chmod(0o755)

    def test_gives_its_token(self, az: Path) -> None:
        self.write(az, stdout=AZ_TOKEN)
        assert login("cli") == "the-token"

    @pytest.mark.parametrize(
        ("stderr", "remedy"),
        [
            ("ERROR: Please run az login to setup account.", "run 'az login'."),
            (
                "ERROR: AADSTS500011: The resource principal named https://dynamicsessions.io was not found.",
                "'az login --tenant <tenant>'",
            ),
            ("ERROR: AADSTS50020: User account from identity provider does not exist.", "'az login --tenant <tenant>'"),
            (
                "ERROR: AADSTS700082: The refresh token has expired. Interactive: az login",
                "'az login --scope https://dynamicsessions.io/.default'",
            ),
            ("ERROR: AADSTS53003: Access has been blocked by Conditional Access.", "on a machine that it allows"),
            ("ERROR: AADSTS999999: Something new.", "(AADSTS999999)"),
            ("ERROR: no such thing", "'az account get-access-token --resource https://dynamicsessions.io'"),
        ],
    )
    def test_what_it_complains_of_is_a_sentence_with_the_command(self, az: Path, stderr: str, remedy: str) -> None:
        self.write(az, stderr=stderr, status=1)
        error = failure("cli")
        assert isinstance(error, Unauthorized)
        assert remedy in str(error)
        assert "\n" not in str(error)

    @pytest.mark.parametrize("credential", ["cli", "default"])
    @pytest.mark.parametrize(
        ("script", "reason"),
        [
            ("exec sleep 60", "The Azure CLI did not answer in time"),
            ("echo 'To sign in, use a browser'", "The Azure CLI printed something that is no token"),
            ("echo '{}'", "The Azure CLI printed something that is no token"),
            ("echo 'ModuleNotFoundError: msal' >&2; exit 1", "The Azure CLI gave no token"),
        ],
    )
    def test_one_that_hangs_or_prints_rubbish_is_the_reason(
        self, az: Path, monkeypatch: pytest.MonkeyPatch, credential: str, script: str, reason: str
    ) -> None:
        monkeypatch.setenv("PATH", f"{az.parent}:/usr/bin:/bin")
        az.write_text(f"#!/bin/sh\n{script}\n")
        az.chmod(0o755)
        error = failure(credential, Timings(process_seconds=1))
        assert isinstance(error, Unauthorized)
        assert str(error).startswith(reason)
        assert "'az account get-access-token --resource https://dynamicsessions.io'" in str(error)

    def test_one_that_is_not_installed_is_a_sentence(self) -> None:
        assert "install it" in str(failure("cli"))


def test_without_any_login_the_sentence_names_the_ways() -> None:
    error = failure("default")
    assert isinstance(error, Unauthorized)
    for way in ("az login", "REMOTE_KERNEL_CREDENTIAL", "REMOTE_KERNEL_TOKEN"):
        assert way in str(error)


@pytest.mark.parametrize(
    ("credential", "names"),
    [
        ("environment", ["AZURE_TENANT_ID", "AZURE_CLIENT_SECRET"]),
        ("workload-identity", ["AZURE_FEDERATED_TOKEN_FILE"]),
    ],
)
def test_variables_that_are_missing_are_named(credential: str, names: list[str]) -> None:
    error = failure(credential)
    assert all(name in str(error) for name in names)


@dataclass
class Authority:
    """What Entra is to azure-identity, for one tenant.

    Attributes:
        error: the code with which tokens are refused; 0 for none.
        grant: what comes with a token.
    """

    context: ssl.SSLContext
    url: str = ""
    error: int = 0
    grant: dict[str, str] = field(default_factory=dict)
    requests: list[dict[str, str]] = field(default_factory=list)

    def answer(self, request: BaseHTTPRequestHandler) -> Answer:
        path = urlsplit(request.path).path
        form = parse_qs(request.rfile.read(int(request.headers.get("content-length") or 0)).decode())
        if path.endswith("/.well-known/openid-configuration"):
            base = f"{self.url}/{path.split('/')[1]}"
            return self._json(
                200,
                issuer=f"{base}/v2.0",
                authorization_endpoint=f"{base}/oauth2/v2.0/authorize",
                token_endpoint=f"{base}/oauth2/v2.0/token",
            )
        if path.endswith("/token"):
            self.requests.append({name: values[0] for name, values in form.items()})
            if self.error:
                return self._json(401, error="invalid_client", error_description=f"AADSTS{self.error}: no. Trace: x")
            return self._json(200, access_token="the-token", expires_in=3600, token_type="Bearer", **self.grant)
        return self._json(404)

    def _json(self, status: int, **fields: object) -> Answer:
        return status, {"content-type": "application/json"}, json.dumps(fields).encode()


@contextmanager
def run_authority(context: ssl.SSLContext) -> Iterator[Authority]:
    authority = Authority(context)
    with serve(authority.answer, context) as port:
        authority.url = f"https://127.0.0.1:{port}"
        yield authority


@pytest.fixture
def authority(server_certificate: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> Iterator[Authority]:
    """The authority of a private cloud, and an environment that logs in there."""
    with run_authority(server_certificate) as running:
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", running.url)
        monkeypatch.setenv("AZURE_TENANT_ID", TENANT)
        monkeypatch.setenv("AZURE_CLIENT_ID", CLIENT)
        monkeypatch.setenv("AZURE_CLIENT_SECRET", "the-secret")
        yield running


class TestAuthority:
    @pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
    def test_a_private_cloud_with_certificates_of_its_own_gives_tokens(
        self, authority: Authority, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(variable, str(tmp_path / "server.pem"))
        assert login("environment") == "the-token"
        (request,) = authority.requests
        assert (request["client_id"], request["scope"]) == (CLIENT, DEFAULT_TOKEN_SCOPE)

    def test_a_workload_identity_hands_over_its_file(
        self, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "federated").write_text("the-assertion")
        monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "federated"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
        assert login("workload-identity") == "the-token"
        assert authority.requests[0]["client_assertion"] == "the-assertion"

    def test_a_certificate_that_nobody_knows_is_a_sentence(self, authority: Authority) -> None:
        error = failure("environment")
        assert isinstance(error, PoolUntrusted)
        assert "SSL_CERT_FILE" in str(error)

    @pytest.mark.parametrize(
        ("code", "remedy"),
        [
            (7000215, "az ad app credential reset"),
            (700016, "az ad app show"),
            (90002, "az login --tenant"),
            (700213, "az identity federated-credential list"),
        ],
    )
    def test_what_entra_refuses_is_a_sentence_with_the_command(
        self, authority: Authority, code: int, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
        authority.error = code
        error = failure("environment")
        assert isinstance(error, Unauthorized)
        assert remedy in str(error)
        assert "Trace" not in str(error)

    def test_a_file_of_certificates_that_is_not_there_is_named(
        self, authority: Authority, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/certificates.pem")
        with pytest.raises(SettingsError, match="SSL_CERT_FILE names a file that is not there"):
            login("environment")


def test_a_proxy_is_asked_for_the_way_and_named_when_it_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def refuse(request: BaseHTTPRequestHandler) -> Answer:
        asked.append(request.path)
        return 407, {}, b""

    with serve(refuse) as port:
        for name, value in {"TENANT_ID": TENANT, "CLIENT_ID": CLIENT, "CLIENT_SECRET": "s"}.items():
            monkeypatch.setenv(f"AZURE_{name}", value)
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", "https://login.private.example")
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        error = failure("environment")
    assert set(asked) == {"login.private.example:443"}
    assert isinstance(error, PoolUnreachable)
    assert "HTTPS_PROXY" in str(error)


class SignIn:
    """A browser whose user signs in at once, or not at all.

    It answers as Entra's page does: by a form to the address that the program listens on (`response_mode=form_post`).
    """

    def __init__(self, authority: Authority | None) -> None:
        self._authority = authority
        self.opened = 0

    def open(self, url: str, *_options: object) -> bool:
        self.opened += 1
        if self._authority is None:
            return False
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        claims = {
            "iss": f"{self._authority.url}/{TENANT}/v2.0", "aud": query["client_id"], "sub": "somebody", "tid": TENANT,
            "nonce": query["nonce"], "exp": 4_000_000_000, "iat": 1, "preferred_username": "somebody@example.com",
        }  # fmt: skip
        self._authority.grant = {
            "id_token": jwt.encode(claims, "a secret that nobody checks, of some length", algorithm="HS256"),
            "refresh_token": "the-refresh-token",
            "scope": query["scope"],
        }
        form = {"code": "the-code", "state": query["state"]}
        threading.Thread(target=httpx.post, args=(query["redirect_uri"],), kwargs={"data": form}).start()
        return True


class TestBrowser:
    @pytest.fixture
    def register(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[SignIn], SignIn]:
        def register(browser: SignIn) -> SignIn:
            # The list of the standard library has a way in, and none out.
            monkeypatch.setattr(webbrowser, "_tryorder", ["sign-in"])
            webbrowser.register("sign-in", None, browser)  # type: ignore[arg-type]
            return browser

        return register

    def test_somebody_who_signs_in_does_so_once(
        self,
        authority: Authority,
        register: Callable[[SignIn], SignIn],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
        browser = register(SignIn(authority))
        access = AzureLogin(parse_credential("browser"), DEFAULT_TOKEN_SCOPE, os.environ)
        assert [access.get_token().value for _ in range(2)] == ["the-token", "the-token"]
        assert browser.opened == 1
        assert authority.requests[0]["code"] == "the-code"

    # azure-identity listens before it looks for a browser, and without one leaves its socket to the collector.
    @pytest.mark.filterwarnings("ignore::ResourceWarning")
    def test_a_machine_without_a_browser_is_told_another_way(
        self,
        authority: Authority,
        register: Callable[[SignIn], SignIn],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
        caplog.set_level(logging.CRITICAL, "azure.identity")  # a record would hold the socket
        register(SignIn(None))
        assert "az login --use-device-code" in str(failure("browser"))
        gc.collect()
