"""Bearer tokens: held, asked for once however many wait, and renewed before they end."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from remote_kernel.core.errors import PoolUnreachable
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.io.threads import call_in_thread

_log = logging.getLogger(__name__)

# Entra tokens live about an hour; asking five minutes early leaves time for a slow answer. Of short lives a quarter.
REFRESH_AHEAD_SECONDS = 300.0
REFRESH_AHEAD_SHARE = 0.25

# The last tenth of that time is too short for a request to begin with the old token. It is also the pause between two
# attempts to get a new one while the old one is good.
MARGIN_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token and when it ends, in seconds since 1970."""

    value: str = field(repr=False)
    expires_at: float


class Login(Protocol):
    """Gets tokens, as slowly as it takes.

    Attributes:
        patience_seconds: how long to wait for one.
        is_silent: whether nobody has to do anything for one.
    """

    patience_seconds: float
    is_silent: bool

    def get_token(self) -> Token:
        """Return a new token, blocking; raises `RemoteKernelError`."""


class Tokens:
    """The token of one login.

    Args:
        clock: seconds since 1970. Tokens end by it also while a laptop sleeps.
    """

    def __init__(self, login: Login, clock: Callable[[], float] = time.time) -> None:
        self._login = login
        self._clock = clock
        self._token: Token | None = None
        self._ahead = 0.0
        self._renew_at = 0.0
        self._asking: asyncio.Future[Token] | None = None

    def prepare(self) -> None:
        """Ask for a token before a request needs it, if nobody has to sign in for it; a failure is told to who does."""
        if self._token is None and self._login.is_silent:
            self._ask()

    async def get(self) -> str:
        """Return a token that is good for a request that begins now; raises `RemoteKernelError`."""
        token, now = self._token, self._clock()
        if token is None or token.expires_at - now < self._ahead * MARGIN_SHARE:
            return (await self._wait()).value
        if now >= self._renew_at:
            self._renew_at = now + self._ahead * MARGIN_SHARE
            self._ask()
        return token.value

    def forget(self, value: str) -> None:
        """Drop a token that was refused, unless a newer one has taken its place."""
        if self._token is not None and self._token.value == value:
            self._token = None

    async def _wait(self) -> Token:
        try:
            async with asyncio.timeout(self._login.patience_seconds):
                # Others may wait for the same answer: an interrupt of one cell leaves it to them.
                return await asyncio.shield(self._ask())
        except TimeoutError:
            raise PoolUnreachable(
                f"No Azure token came within {self._login.patience_seconds:g} s: check the network, or whether "
                "'az account get-access-token' answers."
            ) from None

    def _ask(self) -> "asyncio.Future[Token]":
        if self._asking is None:
            self._asking = call_in_thread("azure-login", self._login.get_token)
            self._asking.add_done_callback(self._keep)
        return self._asking

    def _keep(self, asking: "asyncio.Future[Token]") -> None:
        self._asking = None
        error = None if asking.cancelled() else asking.exception()
        if asking.cancelled() or error is not None:
            _log.info(LogEvent("no token", error=type(error).__name__))
            return  # who waits is told; while the old token is good, nobody needs to be
        self._token = token = asking.result()
        lifetime = max(0.0, token.expires_at - self._clock())
        self._ahead = min(REFRESH_AHEAD_SECONDS, lifetime * REFRESH_AHEAD_SHARE)
        self._renew_at = token.expires_at - self._ahead
        _log.info(LogEvent("token", expires_in_seconds=lifetime))
