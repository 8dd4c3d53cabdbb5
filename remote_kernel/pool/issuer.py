"""Tokens of an issuer such as Microsoft Entra ID, checked as Azure's front door checks them.

"Authentication" in the documentation of dynamic sessions: a token is for the audience `https://dynamicsessions.io`, and
its bearer needs the role *Azure ContainerApps Session Executor* on the pool. A role assignment is kept by the pool's
side and names object ids, so here, too, the pool is told who has it; a token's own `roles` say nothing about pools.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import jwt

from remote_kernel.core.credential import AUDIENCE
from remote_kernel.pool.refusals import Refusal

EXECUTOR_ROLE = "Azure ContainerApps Session Executor"

# Public keys only: with a shared secret, who can check a token can make one.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")

# How far the clocks of issuer and pool may be apart.
CLOCK_SKEW_SECONDS = 5.0

# A token that names an unknown key may be of a new one; strangers must not make the pool ask for every request.
REFETCH_SECONDS = 10.0
FETCH_TIMEOUT_SECONDS = 10.0

_REASONS: tuple[tuple[type[jwt.InvalidTokenError], str], ...] = (
    (jwt.ExpiredSignatureError, "The token has expired."),
    (jwt.ImmatureSignatureError, "The token is not valid yet."),
    (jwt.InvalidAudienceError, f"The token is not for {AUDIENCE}."),
    (jwt.InvalidIssuerError, "The token is of another issuer, or of another tenant."),
    (jwt.MissingRequiredClaimError, "The token lacks exp, iss or aud."),
)


class Issuer:
    """Says who may use the pool's sessions.

    Args:
        url: where the issuer's OpenID metadata is, without `/.well-known/openid-configuration`.
        executors: the object ids that have the role; empty means everybody to whom the issuer gives a token.
        clock: monotonic seconds.
    """

    def __init__(self, url: str, executors: frozenset[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url.rstrip("/")
        self._executors = executors
        self._clock = clock
        self._name = ""  # what tokens must have as `iss`; the metadata says it
        self._keys: dict[str, Any] = {}
        self._fetched_at: float | None = None

    async def check(self, token: str) -> None:
        """Let the bearer of a good token pass.

        Raises:
            Refusal: 401 for a token that is not good, 403 without the role, 503 when the issuer cannot be asked.
        """
        try:
            claims = await self._verify(token)
        except jwt.InvalidTokenError as error:
            raise self._unauthorized(error) from None
        if self._executors and claims.get("oid") not in self._executors:
            raise Refusal(403, "Forbidden", f"This login has not the role '{EXECUTOR_ROLE}' on the pool.")

    async def _verify(self, token: str) -> Mapping[str, Any]:
        key = await self._key(str(jwt.get_unverified_header(token).get("kid", "")))
        claims: Mapping[str, Any] = jwt.decode(
            token,
            key=key,
            algorithms=ALGORITHMS,
            audience=AUDIENCE,
            issuer=self._name,
            leeway=CLOCK_SKEW_SECONDS,
            options={"require": ["exp", "iss", "aud"]},
        )
        return claims

    async def _key(self, key_id: str) -> Any:
        is_stale = self._fetched_at is None or self._clock() - self._fetched_at >= REFETCH_SECONDS
        if key_id not in self._keys and is_stale:
            await self._fetch()
        if key_id not in self._keys:
            raise jwt.InvalidTokenError("no such key")
        return self._keys[key_id]

    async def _fetch(self) -> None:
        try:
            async with httpx.AsyncClient(timeout=FETCH_TIMEOUT_SECONDS) as client:
                metadata = await _get_object(client, f"{self._url}/.well-known/openid-configuration")
                name, found = str(metadata["issuer"]), await _get_object(client, str(metadata["jwks_uri"]))
            keys = jwt.PyJWKSet.from_dict(found).keys
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, jwt.PyJWTError):
            message = "The pool cannot get the keys of its issuer: check --issuer and the issuer."
            raise Refusal(503, "IssuerUnavailable", message) from None
        self._name, self._keys = name, {str(key.key_id): key.key for key in keys}
        self._fetched_at = self._clock()

    def _unauthorized(self, error: jwt.InvalidTokenError) -> Refusal:
        message = next((text for kind, text in _REASONS if isinstance(error, kind)), "The issuer gave no such token.")
        # As Azure's services do, so that a client can tell which tenant's login is wanted.
        challenge = f'Bearer authorization_uri="{self._name}", error="invalid_token", error_description="{message}"'
        return Refusal(401, "Unauthorized", message, [("www-authenticate", challenge)])


async def _get_object(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    value = (await client.get(url)).raise_for_status().json()
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value
