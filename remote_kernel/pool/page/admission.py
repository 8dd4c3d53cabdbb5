"""Admission to the page, by a link that works once. `now` is a clock in seconds that the caller chooses.

A browser cannot send the pool's token with what it is asked to open, and should not have it: what it opens is in its
history.
"""

import hashlib
import secrets
from collections.abc import Callable

# Time to change from the terminal to the browser; a link that nobody follows is no key for later.
LINK_SECONDS = 120.0
# A working day; the pool's own end ends it as well.
VISIT_SECONDS = 12 * 3600.0

# More than one user opens; then the oldest is forgotten.
MAX_LINKS = 8
MAX_VISITS = 32


class Admission:
    """The links and the visits of one page. Only digests of their secrets are kept.

    Args:
        make_secret: returns a new secret of letters, digits, hyphens and underscores each time.
    """

    def __init__(self, make_secret: Callable[[], str] = secrets.token_urlsafe) -> None:
        self._make_secret = make_secret
        self._links = _Keys(MAX_LINKS)
        self._visits = _Keys(MAX_VISITS)

    def make_link(self, now: float) -> str:
        """Return a secret that `redeem` accepts once, within `LINK_SECONDS`."""
        return self._links.add(self._make_secret(), now + LINK_SECONDS)

    def redeem(self, link: str, now: float) -> str | None:
        """Return the secret of a new visit in exchange for that of a link; `None` if the link is not good any more."""
        if not self._links.holds(link, now):
            return None
        self._links.remove(link)
        return self._visits.add(self._make_secret(), now + VISIT_SECONDS)

    def admits(self, visit: str, now: float) -> bool:
        """Return whether `visit` is the secret of a visit that goes on."""
        return self._visits.holds(visit, now)


class _Keys:
    """Digests of secrets with the moments at which they become void, oldest first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._ends: dict[bytes, float] = {}

    def add(self, secret: str, end: float) -> str:
        if len(self._ends) >= self._limit:
            del self._ends[next(iter(self._ends))]
        self._ends[_digest(secret)] = end
        return secret

    def holds(self, secret: str, now: float) -> bool:
        return now < self._ends.get(_digest(secret), float("-inf"))

    def remove(self, secret: str) -> None:
        del self._ends[_digest(secret)]


def _digest(secret: str) -> bytes:
    # Looked up by digest, so that the time of a look-up says nothing about the secrets.
    return hashlib.sha256(secret.encode()).digest()
