"""The keys of an issuer: which are good, when to ask for them again, and how that is done.

An issuer withdraws a key when it is not its own secret any more, so keys have an age; and strangers may send any number
of tokens that name keys which nobody has, so those have no say in how often the issuer is asked.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import jwt

from remote_kernel.core.errors import WireError
from remote_kernel.core.json_text import parse_json_object
from remote_kernel.core.limits import ISSUER
from remote_kernel.core.text.shown_address import is_protected
from remote_kernel.io.tasks import start

# How long a key is good without asking whether it still is: so long after it was withdrawn at most, while the issuer
# can be asked.
REFRESH_SECONDS = 300.0
# … and while it cannot: its outage of some minutes should not close the pool.
MAX_AGE_SECONDS = 3600.0
# How often a token of an unknown key may have the issuer asked: it may be a new one.
UNKNOWN_KEY_SECONDS = 60.0
# How soon to ask again when that has failed.
RETRY_SECONDS = 10.0

FETCH_TIMEOUT_SECONDS = 5.0

# Of what is compressed the length says nothing.
_HEADERS = {"accept-encoding": "identity"}

# What stands in tokens as `iss` and in an answer's header: an address.
_NAME = re.compile(r"[!#-\[\]-~]{1,500}")


class Unavailable(Exception):
    """The issuer did not give its keys."""


@dataclass(frozen=True, slots=True)
class Published:
    """Published facts of an issuer: its name, as tokens have it in `iss`, and its public keys by their ids."""

    name: str
    keys: Mapping[str, Any] = field(repr=False)


class KeyRing:
    """The keys as they were last published, and when; decides, and asks nobody. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._published: Published | None = None
        self._published_at = 0.0
        self._asked_at: float | None = None

    @property
    def name(self) -> str:
        """The issuer's name; "" while that is not known."""
        return self._published.name if self._published is not None else ""

    def should_ask(self, key_id: str, now: float) -> bool:
        """Return whether the issuer is to be asked before a token of this key is judged."""
        if self._asked_at is None:
            return True
        since = now - self._asked_at
        if self._published is None or now - self._published_at >= REFRESH_SECONDS:
            return since >= RETRY_SECONDS
        return key_id not in self._published.keys and since >= UNKNOWN_KEY_SECONDS

    def is_fresh(self, key_id: str, now: float) -> bool:
        """Return whether a key is good whatever the issuer is just asked for."""
        known = self._published
        return known is not None and now - self._published_at < REFRESH_SECONDS and key_id in known.keys

    def note_asked(self, now: float) -> None:
        self._asked_at = now

    def note_answer(self, published: Published, now: float) -> None:
        """Note what it has answered to a question asked at `now`; a key that is not in it is good no longer."""
        self._published, self._published_at = published, now

    def find(self, key_id: str, now: float) -> Any:
        """Return a key, or `None` where there is none of this id.

        Raises:
            Unavailable: nothing is known that is not too old.
        """
        if self._published is None or now - self._published_at >= MAX_AGE_SECONDS:
            raise Unavailable
        return self._published.keys.get(key_id)


class IssuerKeys:
    """A key ring that asks the issuer, once however many requests wait for it.

    Args:
        url: where the issuer's OpenID metadata is, without `/.well-known/openid-configuration`.
        clock: monotonic seconds.
    """

    def __init__(self, url: str, clock: Callable[[], float]) -> None:
        self._url = url
        self._clock = clock
        self._ring = KeyRing()
        self._asking: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """The issuer's name; "" while that is not known."""
        return self._ring.name

    async def find(self, key_id: str) -> Any:
        """Return a key, or `None` where the issuer has none of this id; raises `Unavailable`."""
        if self._asking is None and self._ring.should_ask(key_id, self._clock()):
            self._ring.note_asked(self._clock())
            self._asking = start(self._ask(), "issuer's keys")
        if self._asking is not None and not self._ring.is_fresh(key_id, self._clock()):
            await asyncio.shield(self._asking)  # who does not wait any longer leaves it to the others
        return self._ring.find(key_id, self._clock())

    async def _ask(self) -> None:
        asked_at = self._clock()
        try:
            async with asyncio.timeout(FETCH_TIMEOUT_SECONDS):
                self._ring.note_answer(await fetch(self._url), asked_at)
        except (Unavailable, TimeoutError):
            pass  # the ring says what that means for whoever asks it
        finally:
            self._asking = None


async def fetch(url: str) -> Published:
    """Return what the issuer at `url` publishes; raises `Unavailable`."""
    try:
        async with httpx.AsyncClient(timeout=FETCH_TIMEOUT_SECONDS, headers=_HEADERS) as client:
            metadata = await _get_object(client, f"{url}/.well-known/openid-configuration")
            # Whoever can change the keys on their way can make tokens.
            if not is_protected(keys_url := str(metadata["jwks_uri"])):
                raise Unavailable
            document = await _get_object(client, keys_url)
        name, entries = metadata["issuer"], document["keys"]
    except (httpx.HTTPError, httpx.InvalidURL, WireError, KeyError, ValueError):  # the last for a host that is no name
        raise Unavailable from None
    if not isinstance(name, str) or _NAME.fullmatch(name) is None or not isinstance(entries, list):
        raise Unavailable
    return Published(name, dict(found for entry in entries if (found := _read_key(entry)) is not None))


def _read_key(entry: object) -> tuple[str, Any] | None:
    """Return a public key for signatures and its id; `None` for what is none that we know."""
    if not isinstance(entry, dict) or entry.get("kty") not in ("RSA", "EC") or entry.get("use", "sig") != "sig":
        return None
    try:
        key = jwt.PyJWK(entry)
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError):  # all that pyjwt and cryptography say it with
        return None
    return (key.key_id, key.key) if isinstance(key.key_id, str) else None


async def _get_object(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    assert ISSUER.bytes is not None
    content = b""
    async with client.stream("GET", url) as answer:
        answer.raise_for_status()
        async for chunk in answer.aiter_raw():
            content += chunk
            if len(content) > ISSUER.bytes:
                break
    return parse_json_object(content, ISSUER)
