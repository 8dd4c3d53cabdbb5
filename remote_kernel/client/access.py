"""Access to a session pool, its endpoint and tokens: configured, or of an environment's local pool."""

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from jupyter_core.paths import jupyter_runtime_dir

from remote_kernel.client.http.transport import Transport, transport_to
from remote_kernel.core.errors import PoolUnreachable, SettingsError
from remote_kernel.core.pools.credential import CredentialKind
from remote_kernel.core.pools.local_pool import LOOPBACK_NAMES, NOT_ON_WINDOWS
from remote_kernel.core.settings import Settings

if TYPE_CHECKING:
    from remote_kernel.client.auth.tokens import Tokens
    from remote_kernel.client.local_pool import LocalPool
    from remote_kernel.core.pools.proxies import Proxy


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Base URL of a pool, without a slash at the end, and the bearer token for it.

    Attributes:
        must_prove: whether each connection begins with the pool's proof of the token (`core.pools.pool_proof`).
        proxy: on the way there; `None` for none.
        bundle: file or folder of the certificate authorities to trust; `None` for the usual ones.
        is_direct: whether the pool may be asked where its pods listen, to be passed by.
    """

    url: str
    token: str = field(repr=False)
    must_prove: bool = False
    proxy: "Proxy | None" = None
    bundle: Path | None = None
    is_direct: bool = False


class Access(Protocol):
    """Finds the endpoint, and finds it anew after `forget`.

    Attributes:
        is_here: whether the pool is on this machine, with no line between that could be slow.
    """

    @property
    def is_here(self) -> bool: ...

    async def endpoint(self) -> Endpoint:
        """Return where to send requests and with which token; raises `RemoteKernelError`."""

    def forget(self, endpoint: Endpoint) -> None:
        """Say that an answer does not work any more: no connection, or 401. Newer answers stay."""


class ConfiguredAccess:
    """An endpoint and a ready-made token from the settings."""

    def __init__(
        self, url: str, token: str, proxy: "Proxy | None" = None, bundle: Path | None = None, *, is_direct: bool = False
    ) -> None:
        self._endpoint = Endpoint(url, token, proxy=proxy, bundle=bundle, is_direct=is_direct)
        self.is_here = is_here(url)

    async def endpoint(self) -> Endpoint:
        return self._endpoint

    def forget(self, endpoint: Endpoint) -> None:
        """Nothing to forget: both were given."""

    def prepare(self) -> None:
        """Begin what `endpoint` would wait for: nothing."""

    def open_transport(self) -> Transport:
        """Return a transport to the pool, which needs no token so far."""
        return transport_to(self._endpoint.url, proxy=self._endpoint.proxy, bundle=self._endpoint.bundle)


class AzureAccess(ConfiguredAccess):
    """An endpoint from the settings, and tokens of an Azure login."""

    def __init__(self, url: str, tokens: "Tokens", proxy: "Proxy | None" = None, bundle: Path | None = None) -> None:
        super().__init__(url, "", proxy, bundle)
        self._tokens = tokens

    async def endpoint(self) -> Endpoint:
        return replace(self._endpoint, token=await self._tokens.get())

    def prepare(self) -> None:
        """Begin what `endpoint` would wait for: a token."""
        self._tokens.prepare()

    def forget(self, endpoint: Endpoint) -> None:
        self._tokens.forget(endpoint.token)


class LocalAccess:
    """The local pool of an environment.

    Args:
        environ: with which it is started when there is none; `None` where it is not to be started.
        is_direct: see `Endpoint`.
    """

    is_here = True

    def __init__(
        self, pool: "LocalPool", environ: Mapping[str, str] | None = None, *, is_direct: bool = False
    ) -> None:  # fmt: skip
        self._is_direct = is_direct
        self._pool = pool
        self._environ = environ
        self._found: Endpoint | None = None
        self._lock = asyncio.Lock()

    async def is_running(self) -> bool:
        """Return whether there is one, without starting it."""
        return await self._pool.find() is not None

    async def endpoint(self) -> Endpoint:
        async with self._lock:
            if self._found is None:
                running = await (self._pool.find() if self._environ is None else self._pool.locate(self._environ))
                if running is None:
                    raise PoolUnreachable("The local pool does not run any more.")
                self._found = Endpoint(running.endpoint, running.token, must_prove=True, is_direct=self._is_direct)
            return self._found

    def forget(self, endpoint: Endpoint) -> None:
        if self._found == endpoint:
            self._found = None


async def has_local_pool_left(access: Access) -> bool:
    """Return whether it is that of a local pool that does not run: its sessions have gone, and asking it starts one."""
    return isinstance(access, LocalAccess) and not await access.is_running()


def is_here(url: str) -> bool:
    """Return whether a pool at `url` is on this machine; behind TLS may be anything, whatever its name."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname in LOOPBACK_NAMES


def choose_access(settings: Settings, environ: Mapping[str, str]) -> Access:
    """Return the access that the settings ask for, over the proxy that `environ` names, with its certificates.

    Raises:
        SettingsError: there is no local pool on this system, the endpoint would carry a token in the clear, what is to
            be the proxy is none, or the certificates are not there.
    """
    if not settings.endpoint:
        if sys.platform == "win32":
            raise SettingsError(NOT_ON_WINDOWS)
        from remote_kernel.client.local_pool import LocalPool  # late, as below

        return LocalAccess(LocalPool(), environ, is_direct=settings.is_direct is not False)
    proxy, bundle = _find_way(settings.endpoint, environ)
    if settings.token:
        is_direct = settings.is_direct is True and proxy is None and is_here(settings.endpoint)
        return ConfiguredAccess(settings.endpoint, settings.token, proxy, bundle, is_direct=is_direct)
    parts = urlsplit(settings.endpoint)
    is_local = is_here(settings.endpoint)
    # A test pool on this machine gets an Azure token when somebody asks for that in so many words.
    if parts.scheme == "http" and not (is_local and settings.credential.kind is not CredentialKind.DEFAULT):
        raise SettingsError(_in_the_clear(is_local))
    # Late, as every start of a kernel waits for imports, and most use the local pool.
    from remote_kernel.client.auth.azure_login import AzureLogin
    from remote_kernel.client.auth.kept_token import keep_token
    from remote_kernel.client.auth.tokens import Tokens

    path = Path(jupyter_runtime_dir()) / "remote-kernel" / "azure-token"
    login = AzureLogin(settings.credential, settings.token_scope, environ)
    tokens = Tokens(keep_token(login, settings.credential, settings.token_scope, environ, path))
    return AzureAccess(settings.endpoint, tokens, proxy, bundle)


def _find_way(endpoint: str, environ: Mapping[str, str]) -> "tuple[Proxy | None, Path | None]":
    """Return the proxy on the way to a pool, and the certificates to trust there; raises `SettingsError`."""
    if not endpoint.startswith("https:"):
        return None, None
    from remote_kernel.client.http.certificates import find_bundle
    from remote_kernel.client.http.proxy import find_proxy

    return find_proxy(endpoint, environ), find_bundle(environ)


def _in_the_clear(is_here: bool) -> str:
    where = "this machine" if is_here else "the network"
    remedy = "name the login in REMOTE_KERNEL_CREDENTIAL" if is_here else "use https://"
    return (
        f"REMOTE_KERNEL_ENDPOINT is an http:// address, and an Azure token is not sent over {where} in the clear: "
        f"{remedy}, or set REMOTE_KERNEL_TOKEN to the pool's own token."
    )
