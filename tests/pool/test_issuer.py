"""A pool that accepts the tokens of an issuer: what it checks, and what it says."""

import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import jwt
import pytest

from remote_kernel.core.local_pool import PAGE_LINK_PATH, STATUS_PATH, STOP_PATH
from remote_kernel.pool.issuer import Issuer as TrustedIssuer
from remote_kernel.pool.refusals import Refusal
from remote_kernel.pool.sessions import Limits
from tests.issuer import OBJECT_ID, Issuer, new_key, run_issuer
from tests.pool.running import RunningServer, run_pool

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with run_issuer() as running:
        yield running


@pytest.fixture(scope="module")
async def server(issuer: Issuer) -> AsyncIterator[RunningServer]:
    async with run_pool(Limits(), issuer=issuer.url, executors=frozenset({OBJECT_ID})) as running:
        yield running


async def ask(server: RunningServer, token: str, path: str = "/show") -> httpx.Response:
    headers = {"authorization": f"Bearer {token}"}
    return await server.client.get(path, params={"identifier": "session-1"}, headers=headers)


async def test_a_good_token_opens_a_session(server: RunningServer, issuer: Issuer) -> None:
    assert (await ask(server, issuer.sign())).status_code == 200


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": time.time() - 60}, "The token has expired."),
        ({"nbf": time.time() + 600}, "The token is not valid yet."),
        ({"aud": "https://management.azure.com"}, "The token is not for https://dynamicsessions.io."),
        ({"iss": "https://login.example/another-tenant"}, "The token is of another issuer, or of another tenant."),
        ({"exp": None}, "The token lacks exp, iss or aud."),
        ({"aud": None}, "The token lacks exp, iss or aud."),
    ],
)
async def test_a_token_that_is_not_good_is_refused_with_the_reason(
    server: RunningServer, issuer: Issuer, claims: dict[str, Any], reason: str
) -> None:
    answer = await ask(server, issuer.sign(**claims))
    assert answer.status_code == 401
    assert answer.json()["error"]["message"] == reason
    assert f'authorization_uri="{issuer.url}"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize("kind", ["other key", "shared secret", "unsigned", "no token", "unknown key id"])
async def test_a_token_that_the_issuer_did_not_sign_is_refused(
    server: RunningServer, issuer: Issuer, kind: str
) -> None:
    claims = jwt.decode(issuer.sign(), options={"verify_signature": False})
    secret = "a secret that is long enough for the algorithm"
    forged = {
        "other key": jwt.encode(claims, new_key(), algorithm="RS256", headers={"kid": issuer.key_id}),
        "shared secret": jwt.encode(claims, secret, algorithm="HS256", headers={"kid": issuer.key_id}),
        "unsigned": jwt.encode(claims, "", algorithm="none", headers={"kid": issuer.key_id}),
        "no token": "not-a-token",
        "unknown key id": jwt.encode(claims, issuer.key, algorithm="RS256", headers={"kid": "key-0"}),
    }[kind]
    answer = await ask(server, forged)
    assert answer.status_code == 401
    assert answer.json()["error"]["message"] == "The issuer gave no such token."


async def test_without_the_role_the_answer_is_403(server: RunningServer, issuer: Issuer) -> None:
    answer = await ask(server, issuer.sign(oid="99999999-2222-4333-8444-555555555555"))
    assert answer.status_code == 403
    assert "Azure ContainerApps Session Executor" in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", [STATUS_PATH, STOP_PATH, PAGE_LINK_PATH])
async def test_the_pool_itself_obeys_its_owner_only(server: RunningServer, issuer: Issuer, path: str) -> None:
    assert (await ask(server, issuer.sign(), path)).status_code == 401
    assert (await server.client.get(STATUS_PATH)).status_code == 200


async def test_the_pool_s_own_token_opens_sessions_too(server: RunningServer) -> None:
    assert await server.pod_of("session-2")


async def test_a_new_key_of_the_issuer_is_found_and_strangers_do_not_make_the_pool_ask() -> None:
    now = 0.0
    with run_issuer() as issuer:
        trusted = TrustedIssuer(issuer.url, frozenset(), clock=lambda: now)
        await trusted.check(issuer.sign())
        issuer.key, issuer.key_id = new_key(), "key-2"
        for _ in range(3):
            with pytest.raises(Refusal):
                await trusted.check(issuer.sign())
        assert issuer.fetches == 1
        now = 10.0
        await trusted.check(issuer.sign())
        assert issuer.fetches == 2


async def test_an_issuer_that_cannot_be_asked_is_named_as_the_reason() -> None:
    with run_issuer() as issuer:
        token = issuer.sign()
    with pytest.raises(Refusal) as raised:
        await TrustedIssuer(issuer.url, frozenset()).check(token)
    assert raised.value.status == 503
    assert "--issuer" in raised.value.message
