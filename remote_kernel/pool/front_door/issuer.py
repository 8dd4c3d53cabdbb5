"""Tokens of an issuer such as Microsoft Entra ID, checked as Azure's front door checks them.

"Authentication" in the documentation of dynamic sessions: a token is for the audience `https://dynamicsessions.io`, and
its bearer needs the role *Azure ContainerApps Session Executor* on the pool. A role assignment is kept by the pool's
side and names object ids, so here, too, the pool is told who has it; a token's own `roles` say nothing about pools.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import jwt

from remote_kernel.core.pools.credential import AUDIENCE, EXECUTOR_ROLE
from remote_kernel.pool.front_door.issuer_keys import IssuerKeys, Unavailable
from remote_kernel.pool.front_door.refusals import Refusal

# Public keys only: with a shared secret, who can check a token can make one.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")

# How far the clocks of issuer and pool may be apart.
CLOCK_SKEW_SECONDS = 5.0

_REASONS: tuple[tuple[type[jwt.InvalidTokenError], str], ...] = (
    (jwt.ExpiredSignatureError, "The token has expired."),
    (jwt.ImmatureSignatureError, "The token is not valid yet."),
    (jwt.InvalidAudienceError, f"The token is not for {AUDIENCE}."),
    (jwt.InvalidIssuerError, "The token is of another issuer, or of another tenant."),
    (jwt.MissingRequiredClaimError, "The token lacks exp, iss or aud."),
)

# What pyjwt and cryptography raise, besides their own errors, for tokens that nobody makes by mistake: a key of another
# type than the algorithm's, a list where a number ought to be, a number without end, objects in objects in objects.
_ODD = (jwt.PyJWTError, TypeError, ValueError, ArithmeticError, AttributeError, RecursionError)


class Issuer:
    """Says who may use the pool's sessions.

    Args:
        url: where the issuer's OpenID metadata is, without `/.well-known/openid-configuration`.
        executors: the object ids that have the role; empty means everybody to whom the issuer gives a token.
        clock: monotonic seconds.
    """

    def __init__(self, url: str, executors: frozenset[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._executors = executors
        self._keys = IssuerKeys(url.rstrip("/"), clock)

    async def check(self, token: str) -> None:
        """Let the bearer of a good token pass.

        Raises:
            Refusal: 401 for a token that is not good, 403 without the role, 503 when the issuer cannot be asked.
        """
        try:
            key = await self._keys.find(_key_id(token))
            if key is None:
                raise jwt.InvalidTokenError("no such key")
            object_id = _object_id(_verify(token, key, self._keys.name))
        except Unavailable:
            message = "The pool cannot get the keys of its issuer: check --issuer and the issuer."
            raise Refusal(503, "IssuerUnavailable", message) from None
        except _ODD as error:
            raise self._unauthorized(error) from None
        if self._executors and object_id not in self._executors:
            raise Refusal(403, "Forbidden", f"This login has not the role '{EXECUTOR_ROLE}' on the pool.")

    def _unauthorized(self, error: Exception) -> Refusal:
        message = next((text for kind, text in _REASONS if isinstance(error, kind)), "The issuer gave no such token.")
        # As Azure's services do, so that a client can tell which tenant's login is wanted.
        challenge = (
            f'Bearer authorization_uri="{self._keys.name}", error="invalid_token", error_description="{message}"'
        )
        return Refusal(401, "Unauthorized", message, [("www-authenticate", challenge)])


def _key_id(token: str) -> str:
    key_id = jwt.get_unverified_header(token).get("kid", "")
    if not isinstance(key_id, str):
        raise jwt.InvalidTokenError("the key's id is no text")
    return key_id


def _verify(token: str, key: Any, issuer: str) -> Mapping[str, Any]:
    claims: Mapping[str, Any] = jwt.decode(
        token,
        key=key,
        algorithms=ALGORITHMS,
        audience=AUDIENCE,
        issuer=issuer,
        leeway=CLOCK_SKEW_SECONDS,
        options={"require": ["exp", "iss", "aud"]},
    )
    return claims


def _object_id(claims: Mapping[str, Any]) -> str:
    """Return whose token it is, "" where it does not say."""
    object_id = claims.get("oid", "")
    if not isinstance(object_id, str):
        raise jwt.InvalidTokenError("the object id is no text")
    return object_id
