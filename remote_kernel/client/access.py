"""Where the session pool is and what opens it: a configured endpoint, or the user's local pool."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from remote_kernel.client.local_pool import LocalPool
from remote_kernel.core.errors import SettingsError, Unauthorized
from remote_kernel.core.settings import Settings

# "Authentication" in the documentation of dynamic sessions.
AZURE_SCOPE = "https://dynamicsessions.io/.default"

# Entra tokens live about an hour; asking five minutes early leaves time for a slow answer.
REFRESH_AHEAD_SECONDS = 300.0

_LOOPBACK_HOSTS = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Base URL of a pool, without a slash at the end, and the bearer token for it."""

    url: str
    token: str = field(repr=False)


class Access(Protocol):
    """Finds the endpoint, and finds it anew after `forget`."""

    async def endpoint(self) -> Endpoint:
        """Return where to send requests and with which token; raises `RemoteKernelError`."""

    def forget(self) -> None:
        """Say that the last answer did not work: no connection, or 401."""


class ConfiguredAccess:
    """An endpoint and a ready-made token from the settings."""

    def __init__(self, url: str, token: str) -> None:
        self._endpoint = Endpoint(url, token)

    async def endpoint(self) -> Endpoint:
        return self._endpoint

    def forget(self) -> None:
        """Nothing to forget: both were given."""


class AzureAccess:
    """An endpoint from the settings, and Entra tokens from `azure-identity`'s `DefaultAzureCredential`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._token = ""
        self._expires_at = 0.0  # seconds since 1970, as Entra gives it
        self._lock = asyncio.Lock()

    async def endpoint(self) -> Endpoint:
        async with self._lock:
            if not self._token or self._expires_at - time.time() < REFRESH_AHEAD_SECONDS:
                self._token, self._expires_at = await asyncio.to_thread(self._get_token)
        return Endpoint(self._url, self._token)

    def _get_token(self) -> tuple[str, float]:
        # Imported late: most kernels use the local pool, and the import takes half a second.
        from azure.core.exceptions import ClientAuthenticationError
        from azure.identity import DefaultAzureCredential

        try:
            with DefaultAzureCredential() as credential:
                token = credential.get_token(AZURE_SCOPE)
        except ClientAuthenticationError:
            raise Unauthorized(
                "No Azure login was found for the session pool: run 'az login', or set REMOTE_KERNEL_TOKEN."
            ) from None
        return token.token, float(token.expires_on)

    def forget(self) -> None:
        self._token = ""


class LocalAccess:
    """The user's local pool, started when there is none."""

    def __init__(self, pool: LocalPool) -> None:
        self._pool = pool
        self._found: Endpoint | None = None
        self._lock = asyncio.Lock()

    async def is_running(self) -> bool:
        """Whether there is one, without starting it."""
        return await self._pool.find() is not None

    async def endpoint(self) -> Endpoint:
        async with self._lock:
            if self._found is None:
                running = await self._pool.locate()
                self._found = Endpoint(running.endpoint, running.token)
            return self._found

    def forget(self) -> None:
        self._found = None


def choose_access(settings: Settings) -> Access:
    """Return the access that the settings ask for.

    Raises:
        SettingsError: the endpoint would carry a token in the clear.
    """
    if not settings.endpoint:
        return LocalAccess(LocalPool())
    if settings.token:
        return ConfiguredAccess(settings.endpoint, settings.token)
    parts = urlsplit(settings.endpoint)
    if parts.scheme == "http":
        where = "this machine" if parts.hostname in _LOOPBACK_HOSTS else "the network in the clear"
        raise SettingsError(
            f"REMOTE_KERNEL_ENDPOINT is an http:// address, and an Azure token is not sent over {where}: "
            "use https://, or set REMOTE_KERNEL_TOKEN to the pool's own token."
        )
    return AzureAccess(settings.endpoint)
