"""Callers of the pool: authentication and allowed hosts."""

import hmac
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.types import Scope

from remote_kernel.core.pools.local_pool import LOOPBACK_NAMES, PAGE_PREFIX, SOCKET_PATH, STATUS_PATH, STOP_PATH
from remote_kernel.core.pools.pool_proof import CHALLENGE_BYTES, is_challenge, make_proof
from remote_kernel.core.short_cache import remembered
from remote_kernel.pool.front_door.refusals import Refusal

if TYPE_CHECKING:
    from remote_kernel.pool.front_door.issuer import Issuer

# What the pool's owner alone may do: in Azure these belong to the management API, not to the pool's endpoint.
OWNER_PATHS = frozenset({SOCKET_PATH, STATUS_PATH, STOP_PATH})


class Callers:
    """Checks where a request comes from and what it bears.

    Args:
        token: the pool's own token, good for everything.
        hosts: further names, besides those of loopback, by which clients may call the pool.
        issuer: whose tokens are good for sessions, too; `None` for nobody's.
    """

    def __init__(self, token: str, hosts: frozenset[str], issuer: "Issuer | None" = None) -> None:
        self._token = token.encode()
        self._hosts = LOOPBACK_NAMES | hosts
        self._issuer = issuer

    @property
    def has_issuer(self) -> bool:
        """Return whether there are callers without the pool's own token."""
        return self._issuer is not None

    def check_site(self, scope: Scope) -> None:
        """Return if the request goes to this machine by name; raises `Refusal` if a page of another site sent it."""
        headers: dict[bytes, bytes] = dict(scope["headers"])
        hosts = self._hosts | {scope["server"][0]}
        if _host_name(b"//" + headers.get(b"host", b"")) not in hosts:
            # A web page may point a name of its own at this machine (DNS rebinding), but the browser sends that name.
            raise Refusal(403, "HostNotAllowed", "Call the pool by the address that it printed.")
        if b"origin" in headers and _host_name(headers[b"origin"]) not in hosts:
            raise Refusal(403, "OriginNotAllowed", "Web pages of other sites may not call the pool.")

    def prove(self, challenge: str, address: tuple[str, int]) -> str:
        """Return the proof that this pool knows its token, for who came to `address`; raises `Refusal`."""
        if not is_challenge(challenge):
            raise Refusal(400, "InvalidChallenge", f"Send a challenge of {2 * CHALLENGE_BYTES} hexadecimal digits.")
        return make_proof(self._token.decode(), challenge, address)

    async def check_token(self, scope: Scope) -> None:
        """Return if the request bears a token; raises `Refusal` if it is not good for what is asked."""
        headers: dict[bytes, bytes] = dict(scope["headers"])
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        is_bearer, token = scheme.lower() == b"bearer", token.strip()
        if is_bearer and hmac.compare_digest(token, self._token):
            return
        if is_bearer and self._issuer is not None and not _is_for_owner(scope["path"]):
            await self._issuer.check(token.decode("latin-1"))
            return
        message = "Send the pool's token as 'Authorization: Bearer …'; 'remote-kernel pool status --json' shows it."
        raise Refusal(401, "Unauthorized", message, [("www-authenticate", "Bearer")])


def _is_for_owner(path: str) -> bool:
    return path in OWNER_PATHS or path.startswith(PAGE_PREFIX)


@remembered(16)
def _host_name(url: bytes) -> str:
    """Return the host of a URL in lower case; "" when it has none."""
    try:
        return urlsplit(url.decode("ascii")).hostname or ""
    except ValueError:
        return ""
