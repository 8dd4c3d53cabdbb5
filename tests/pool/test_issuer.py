"""A pool that accepts the tokens of an issuer: what it checks, and what it says."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from hypothesis import given, settings
from hypothesis import strategies as st

from remote_kernel.core.pools.front_door import LIST_MANAGED_PATH
from remote_kernel.core.pools.local_pool import PAGE_LINK_PATH, STATUS_PATH, STOP_PATH
from remote_kernel.pool.front_door.issuer import Issuer as TrustedIssuer
from remote_kernel.pool.front_door.issuer_keys import MAX_AGE_SECONDS, REFRESH_SECONDS, UNKNOWN_KEY_SECONDS
from remote_kernel.pool.front_door.refusals import Refusal
from remote_kernel.pool.sessions import Limits
from tests.issuer import OBJECT_ID, Issuer, new_key, run_issuer
from tests.pool.running import RunningServer, run_pool

pytestmark = pytest.mark.anyio

SHARED_SECRET = {"kty": "oct", "k": base64.urlsafe_b64encode(b"s" * 42).decode(), "kid": "a-shared-secret"}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with run_issuer() as running:
        curve = jwt.algorithms.ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key(), as_dict=True)
        other = jwt.algorithms.RSAAlgorithm.to_jwk(running.key.public_key(), as_dict=True)
        running.other_keys += [
            {**curve, "kid": "an-ec-key"},
            SHARED_SECRET,
            {**other, "kid": "for-encryption", "use": "enc"},
        ]
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
        ({"exp": -60}, "The token has expired."),
        ({"nbf": 600}, "The token is not valid yet."),
        ({"aud": "https://management.azure.com"}, "The token is not for https://dynamicsessions.io."),
        ({"iss": "https://login.example/another-tenant"}, "The token is of another issuer, or of another tenant."),
        ({"exp": None}, "The token lacks exp, iss or aud."),
        ({"aud": None}, "The token lacks exp, iss or aud."),
    ],
)
async def test_a_token_that_is_not_good_is_refused_with_the_reason(
    server: RunningServer, issuer: Issuer, claims: dict[str, Any], reason: str
) -> None:
    seconds = {name: time.time() + value for name, value in claims.items() if isinstance(value, int)}
    answer = await ask(server, issuer.sign(**claims | seconds))
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


async def test_who_has_the_role_can_list_the_sessions_of_others_as_in_azure(
    server: RunningServer, issuer: Issuer
) -> None:
    # docs/security.md says so; an imitation that told less would have people trust a pool with more than Azure's keeps.
    await server.pod_of("session-of-another")
    headers = {"authorization": f"Bearer {issuer.sign()}"}
    answer = await server.client.post(LIST_MANAGED_PATH, params={"api-version": "2025-02-02-preview"}, headers=headers)
    assert "session-of-another" in {session["identifier"] for session in answer.json()["value"]}


@pytest.mark.parametrize("path", [STATUS_PATH, STOP_PATH, PAGE_LINK_PATH])
async def test_the_pool_itself_obeys_its_owner_only(server: RunningServer, issuer: Issuer, path: str) -> None:
    assert (await ask(server, issuer.sign(), path)).status_code == 401
    assert (await server.client.get(STATUS_PATH)).status_code == 200


async def test_the_pool_s_own_token_opens_sessions_too(server: RunningServer) -> None:
    assert await server.pod_of("session-2")


# What a claim of a token may hold, if whoever signs it is careless, or means ill.
ODD_VALUES = [[], [[]], {}, {"a": []}, 0, -1, 1.5, 1e308, 10**30, True, None, "", "x", "9" * 5000, ["x"], [OBJECT_ID]]
CLAIMS = ("oid", "aud", "exp", "iss", "nbf", "iat", "sub", "jti", "tid")


@pytest.fixture(scope="module")
def trusted(issuer: Issuer) -> TrustedIssuer:
    return TrustedIssuer(issuer.url, frozenset({OBJECT_ID}))


def status_of(trusted: TrustedIssuer, token: str) -> int:
    """Return what the pool answers to a token: 200 where it lets the bearer pass."""
    try:
        asyncio.run(trusted.check(token))
    except Refusal as refusal:
        return refusal.status
    return 200


@pytest.mark.parametrize("claim", CLAIMS)
def test_claim_of_any_type_is_accepted_or_refused(issuer: Issuer, trusted: TrustedIssuer, claim: str) -> None:
    header = {"alg": "RS256", "kid": issuer.key_id}
    found = {status_of(trusted, sign_raw(issuer, header, {claim: value})) for value in ODD_VALUES}
    assert found <= {200, 401, 403}
    assert 401 in found or claim == "tid"  # which is not looked at


@pytest.mark.parametrize("value", [[], [OBJECT_ID], {}, {"a": 1}, 7, 1.5, True])
def test_object_id_that_is_no_text_is_no_good_token(issuer: Issuer, trusted: TrustedIssuer, value: object) -> None:
    assert status_of(trusted, issuer.sign(oid=value)) == 401


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=60)
@given(claims=st.dictionaries(st.sampled_from(CLAIMS), json_values, max_size=4), header=st.dictionaries(
    st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "x5c"]), json_values, max_size=3))  # fmt: skip
def test_whatever_the_token_the_answer_is_no_fault(
    issuer: Issuer, trusted: TrustedIssuer, claims: dict[str, Any], header: dict[str, Any]
) -> None:
    token = sign_raw(issuer, {"kid": issuer.key_id, "alg": "RS256"} | header, claims)
    assert status_of(trusted, token) in {200, 401, 403}


def sign_raw(issuer: Issuer, header: dict[str, Any], claims: dict[str, Any]) -> str:
    """Sign what no library would."""
    good = jwt.decode(issuer.sign(), options={"verify_signature": False})
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, good | claims)]
    signed = b".".join(parts)
    signature = issuer.key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    return b".".join([signed, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


@pytest.mark.parametrize(
    "token",
    ["", ".", "..", "...", "a.b.c", "é.é.é", "e30.e30.e30", "W10.W10.", "x" * 100_000, "eyJ" * 10_000 + ".a.b",
     base64.urlsafe_b64encode(b"[" * 100_000).decode() + ".e30.e30"],
)  # fmt: skip
def test_text_that_is_no_token_is_refused(trusted: TrustedIssuer, token: str) -> None:
    assert status_of(trusted, token) == 401


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "ES384", "HS256"])
@pytest.mark.parametrize("key_id", ["an-ec-key", "a-shared-secret", "for-encryption", "key-1"])
def test_token_that_names_a_key_of_another_type_is_refused(
    issuer: Issuer, trusted: TrustedIssuer, algorithm: str, key_id: str
) -> None:
    token = sign_raw(issuer, {"alg": algorithm, "kid": key_id}, {})
    assert status_of(trusted, token) == (200 if (algorithm, key_id) == ("RS256", "key-1") else 401)


def test_token_signed_with_a_key_that_is_for_something_else_is_refused(trusted: TrustedIssuer, issuer: Issuer) -> None:
    claims = jwt.decode(issuer.sign(), options={"verify_signature": False})
    secret = base64.urlsafe_b64decode(SHARED_SECRET["k"])
    token = jwt.encode(claims, secret, algorithm="HS256", headers={"kid": "a-shared-secret"})
    assert status_of(trusted, token) == 401


@pytest.mark.parametrize("entry", [None, 7, "x", [], {}, {"kty": "RSA", "kid": "k"}, {"kty": [], "kid": {}},
                                   {"kty": "RSA", "n": 5, "e": [], "kid": "k"}, {"kty": "EC", "crv": "P-256", "x": "",
                                   "y": "A", "kid": "k"}])  # fmt: skip
async def test_key_that_cannot_be_read_costs_the_others_nothing(entry: object) -> None:
    with run_issuer() as issuer:
        issuer.other_keys.append(entry)
        await TrustedIssuer(issuer.url, frozenset()).check(issuer.sign())


@pytest.mark.parametrize("name", ["a\r\nset-cookie: x=y", 'a" b="', "issuer\u20ac", "x" * 1000])
async def test_issuer_whose_name_fits_no_header_is_not_one(name: str) -> None:
    with run_issuer() as issuer:
        issuer.name = name
        with pytest.raises(Refusal) as raised:
            await TrustedIssuer(issuer.url, frozenset()).check(issuer.sign(iss=name))
    assert raised.value.status == 503


# The first one leads here, by a name that is none of this machine's.
@pytest.mark.parametrize(
    "url",
    [
        "http://0.0.0.0:{port}/keys",
        "ftp://127.0.0.1/keys",
        "file:///etc/passwd",
        "//x",
        "[",
        "http://localhost:99999/",
        "https://xn--/",
    ],
)
async def test_keys_are_fetched_from_nowhere_that_others_could_change_them(url: str) -> None:
    with run_issuer() as issuer:
        issuer.keys_url = url.format(port=issuer.url.rpartition(":")[2])
        with pytest.raises(Refusal) as raised:
            await TrustedIssuer(issuer.url, frozenset()).check(issuer.sign())
    assert raised.value.status == 503


async def test_document_without_end_is_not_read() -> None:
    with run_issuer() as issuer:
        issuer.other_keys.append("x" * 1_000_000)
        with pytest.raises(Refusal) as raised:
            await TrustedIssuer(issuer.url, frozenset()).check(issuer.sign())
    assert raised.value.status == 503


async def test_withdrawn_key_is_not_good_for_long() -> None:
    now = 0.0
    with run_issuer() as issuer:
        trusted = TrustedIssuer(issuer.url, frozenset(), clock=lambda: now)
        withdrawn = issuer.sign()
        await trusted.check(withdrawn)
        issuer.key, issuer.key_id = new_key(), "key-2"
        now = REFRESH_SECONDS
        with pytest.raises(Refusal) as raised:
            await trusted.check(withdrawn)
        await trusted.check(issuer.sign())
    assert raised.value.status == 401


async def test_outage_of_the_issuer_does_not_close_the_pool_at_once_nor_keep_keys_for_ever() -> None:
    now = 0.0
    with run_issuer() as issuer:
        trusted = TrustedIssuer(issuer.url, frozenset(), clock=lambda: now)
        token = issuer.sign()
        await trusted.check(token)
    for now in (REFRESH_SECONDS, MAX_AGE_SECONDS - 1):  # noqa: B007  the clock says it
        await trusted.check(token)
    now = MAX_AGE_SECONDS
    with pytest.raises(Refusal) as raised:
        await trusted.check(token)
    assert raised.value.status == 503


async def test_tokens_of_strangers_have_the_issuer_asked_once() -> None:
    with run_issuer() as issuer:
        trusted = TrustedIssuer(issuer.url, frozenset(), clock=lambda: 0.0)
        forged = [jwt.encode({}, "s" * 40, algorithm="HS256", headers={"kid": f"key-{n}"}) for n in range(2, 22)]
        answers = await asyncio.gather(*map(trusted.check, forged), return_exceptions=True)
        assert [isinstance(answer, Refusal) and answer.status for answer in answers] == [401] * 20
        assert issuer.fetches == 1


async def test_who_has_a_known_key_does_not_wait_for_what_is_asked_because_of_a_stranger() -> None:
    now = 0.0
    with run_issuer() as issuer:
        trusted = TrustedIssuer(issuer.url, frozenset(), clock=lambda: now)
        await trusted.check(issuer.sign())
        now = UNKNOWN_KEY_SECONDS
        stranger = asyncio.create_task(trusted.check(jwt.encode({}, "s" * 40, headers={"kid": "x"})))
        await asyncio.sleep(0)  # it has the issuer asked
        await trusted.check(issuer.sign())
        assert not stranger.done()
        with pytest.raises(Refusal):
            await stranger
        assert issuer.fetches == 2


async def test_stranger_who_leaves_does_not_end_the_question_of_others() -> None:
    with run_issuer() as issuer:
        trusted = TrustedIssuer(issuer.url, frozenset(), clock=lambda: 0.0)
        stranger = asyncio.create_task(trusted.check(jwt.encode({}, "s" * 40, headers={"kid": "x"})))
        owner = asyncio.create_task(trusted.check(issuer.sign()))
        await asyncio.sleep(0)  # both wait for the answer
        stranger.cancel()
        await owner
        assert issuer.fetches == 1


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
        now = UNKNOWN_KEY_SECONDS
        await trusted.check(issuer.sign())
        assert issuer.fetches == 2


async def test_an_issuer_that_cannot_be_asked_is_named_as_the_reason() -> None:
    with run_issuer() as issuer:
        token = issuer.sign()
    with pytest.raises(Refusal) as raised:
        await TrustedIssuer(issuer.url, frozenset()).check(token)
    assert raised.value.status == 503
    assert "--issuer" in raised.value.message
