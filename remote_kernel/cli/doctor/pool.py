"""Checks of the way from this machine to a session of the pool."""

import asyncio
import contextlib
import secrets
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from http import HTTPStatus
from time import monotonic
from urllib.parse import SplitResult, urlsplit

from remote_kernel.cli.doctor.finding import Finding, Status
from remote_kernel.cli.doctor.session import SessionCheck
from remote_kernel.cli.sessions.session_list import GONE, UNKNOWN, WARM, list_pool, list_sessions
from remote_kernel.client.access import Access, choose_access
from remote_kernel.client.http.pool_client import PoolClient
from remote_kernel.client.http.proxy import find_proxy
from remote_kernel.client.http.transport import Broke, NotHttp
from remote_kernel.client.local_pool import LocalPool
from remote_kernel.core.errors import PoolError, PoolFull, PoolRefused, PoolUnreachable, RemoteKernelError
from remote_kernel.core.identity import Identifier
from remote_kernel.core.interpreter_api.versions import METADATA_PATH
from remote_kernel.core.pools.credential import read_claims
from remote_kernel.core.pools.flavor import has_interpreter_address
from remote_kernel.core.pools.front_door import GET_SESSION_PATH, NEVER_READY, NONE_READY
from remote_kernel.core.pools.local_pool import LOOPBACK_NAMES, STATUS_PATH
from remote_kernel.core.pools.proxies import Proxy
from remote_kernel.core.settings import Settings
from remote_kernel.core.wire import frames as wire
from remote_kernel.io.local_pools import this_environment

# 'az' alone may take that long to come up with a token.
LOGIN_SECONDS = 40.0


async def check_pool(
    environ: Mapping[str, str], *, timeout_seconds: float, takes_session: bool
) -> AsyncIterator[Finding]:
    """Give the findings in the order of the checks; ends after one that failed.

    Args:
        timeout_seconds: for all that the pool has to answer.
        takes_session: whether to allocate a session, where the pool is not known to be full, and to give it back.
    """
    examination = _Examination(environ, timeout_seconds)
    checks: list[tuple[str, Callable[[], Awaitable[tuple[Status, str]]]]] = [
        ("pool", examination.check_address),
        ("other pools", examination.check_other_pools),
        ("name", examination.check_name),
        ("connection", examination.check_connection),
        ("token", examination.check_token),
        ("front door", examination.check_front_door),
        ("sessions of yours", examination.check_own_sessions),
        ("room", examination.check_room),
    ]
    if takes_session:
        checks.append(("session", examination.check_session))
    try:
        for name, check in checks:
            began = monotonic()
            status, text = await examination.settle(check)
            if text:
                yield Finding(check=name, status=status, text=text, seconds=round(monotonic() - began, 3))
            if status is Status.FAILED:
                return
    finally:
        await examination.aclose()


class _Examination:
    """The checks and what they have learned; each returns how it is and what to say, "" where it does not apply."""

    def __init__(self, environ: Mapping[str, str], timeout_seconds: float) -> None:
        self._environ = environ
        self._settings = settings = Settings.from_environ(environ)
        self._timeout_seconds = timeout_seconds
        self._left = timeout_seconds
        self._local: LocalPool | None = None if settings.endpoint else LocalPool()
        self._has_started_local = False
        self._access: Access | None = None
        self._pool: PoolClient | None = None
        self._url = settings.endpoint

    async def settle(self, check: Callable[[], Awaitable[tuple[Status, str]]]) -> tuple[Status, str]:
        """Make one check within what is left of the time."""
        began = monotonic()
        is_login = check == self.check_token
        try:
            async with asyncio.timeout(LOGIN_SECONDS if is_login else self._left):
                return await check()
        except RemoteKernelError as error:
            return Status.FAILED, str(error)
        except TimeoutError:
            return Status.FAILED, self._describe_silence(check)
        except Exception as error:  # such as what an answer brings up that nobody has thought of
            return Status.FAILED, f"The check has failed inside ({type(error).__name__})."
        finally:
            if not is_login:
                self._left = max(0.1, self._left - (monotonic() - began))

    def _describe_silence(self, check: object) -> str:
        host = self._parts.netloc
        if check == self.check_name:
            return f"The name {self._parts.hostname} was not found in time: check the network and its name servers."
        if check == self.check_token:
            return "No token in time: run 'az login', or set REMOTE_KERNEL_TOKEN."
        if check == self.check_session:
            return (
                f"The pool had no session ready within {self._timeout_seconds:g} s. A cold pod of a large image takes "
                "minutes: try 'remote-kernel doctor --timeout 240'; then look at the pool's health."
            )
        return (
            f"{host or 'The local pool'} took the connection, and did not answer within {self._timeout_seconds:g} s: "
            "check REMOTE_KERNEL_ENDPOINT and the pool's health, or give it longer with --timeout."
        )

    @property
    def _parts(self) -> SplitResult:
        return urlsplit(self._url)

    async def check_address(self) -> tuple[Status, str]:
        """Find the endpoint; the local pool is started where there is none, as a kernel would."""
        self._access = choose_access(self._settings, self._environ)
        if self._local is None:
            return Status.OK, self._settings.endpoint
        self._has_started_local = await self._local.find() is None
        running = await self._local.locate(self._environ)
        self._url = running.endpoint
        how = "started for this check" if self._has_started_local else f"process {running.pid}"
        return Status.OK, f"the local pool at {running.endpoint}, {how}"

    async def check_other_pools(self) -> tuple[Status, str]:
        """Tell of the local pools of other environments, where this one's local pool is used."""
        if self._local is None:
            return Status.OK, ""
        others = [pool for pool in LocalPool.of_all_environments() if not pool.is_own]
        found = [running for running in await asyncio.gather(*(pool.find() for pool in others)) if running is not None]
        return Status.OK, ", ".join(f"that of {running.python} at {running.endpoint}" for running in found)

    async def check_name(self) -> tuple[Status, str]:
        """Resolve the host's name, unless a proxy is to do that."""
        host = self._parts.hostname or ""
        if find_proxy(self._url, self._environ) is not None or host in LOOPBACK_NAMES:
            return Status.OK, ""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError as error:
            return Status.FAILED, f"The name {host} is not known ({error.strerror}): check REMOTE_KERNEL_ENDPOINT."
        addresses = sorted({str(address[4][0]) for address in found})
        return Status.OK, f"{host} is {', '.join(addresses)}"

    async def check_connection(self) -> tuple[Status, str]:
        """Connect to the pool, or to the proxy before it."""
        proxy = find_proxy(self._url, self._environ)
        host, port = (self._parts.hostname or "", self._parts.port) if proxy is None else (proxy.host, proxy.port)
        port = port or (443 if self._parts.scheme == "https" else 80)
        began = monotonic()
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError as error:
            return Status.FAILED, _describe_no_connection(host, port, error, proxy)
        writer.close()
        through = f" through the proxy {proxy.address}" if proxy is not None else ""
        return Status.OK, f"{host}, port {port}{through}, in {_milliseconds(monotonic() - began)}"

    async def check_token(self) -> tuple[Status, str]:
        """Get a token, and keep it for what follows."""
        assert self._access is not None
        endpoint = await self._access.endpoint()
        # Nobody else has this session.
        self._pool = PoolClient(self._access, Identifier(f"doctor-{secrets.token_hex(16)}"))
        if self._local is not None:
            return Status.OK, "the local pool's own"
        source = "from REMOTE_KERNEL_TOKEN" if self._settings.token else "from the Azure login"
        expires_at = read_claims(endpoint.token).get("exp")
        if not isinstance(expires_at, int | float):
            return Status.OK, source
        return Status.OK, f"{source}, valid for {max(0.0, expires_at - time.time()) / 60:.0f} min"

    async def check_front_door(self) -> tuple[Status, str]:
        """Ask for something that takes no session: whether the token is accepted, has the role, and how long it takes.

        The first request makes the connection, and its TLS; the second is timed.
        """
        await self._ask_front_door()
        began = monotonic()
        await self._ask_front_door()
        what = "certificate, token and role" if self._parts.scheme == "https" else "token and role"
        return Status.OK, f"{what} are accepted; it answers in {_milliseconds(monotonic() - began)}"

    async def _ask_front_door(self) -> None:
        assert self._pool is not None
        method, path = ("GET", METADATA_PATH) if self._is_built_in else ("POST", GET_SESSION_PATH)
        try:
            async with self._pool.stream(method, path, read_seconds=self._timeout_seconds) as response:
                kind = response.header("content-type")
                await response.read()
        except PoolRefused as error:
            if error.code:  # an error of Azure's shape, as for a session that is not there
                return
            raise PoolRefused(_not_a_pool(f"answers with HTTP status {error.status}"), status=error.status) from None
        except Broke:
            raise PoolRefused(_not_a_pool("breaks off its answer"), status=0) from None
        except PoolUnreachable as error:
            if isinstance(error.__cause__, NotHttp) or "WRONG_VERSION_NUMBER" in str(error):
                raise PoolRefused(self._describe_other_program(), status=0) from None
            raise
        if "html" in kind:
            raise PoolRefused(_not_a_pool("answers with a web page"), status=response.status)

    def _describe_other_program(self) -> str:
        scheme = self._parts.scheme
        return (
            f"What listens at {self._parts.netloc} does not speak {scheme.upper()}: check the port in "
            f"REMOTE_KERNEL_ENDPOINT, and whether it has to begin with {'http' if scheme == 'https' else 'https'}://."
        )

    @property
    def _is_built_in(self) -> bool:
        return has_interpreter_address(self._url)

    async def check_own_sessions(self) -> tuple[Status, str]:
        """Tell which of the user's notebooks have a session of this pool; takes none."""
        own = self._settings.endpoint or this_environment().endpoint
        rows = [row for row in await list_sessions(self._environ) if row.endpoint == own and row.known]
        counts = [(sum(row.state == state for row in rows), state) for state in (WARM, GONE, UNKNOWN)]
        text = ", ".join(f"{count} {state}" for count, state in counts if count)
        return Status.OK, f"{text}; 'remote-kernel sessions' shows whose" if text else ""

    async def check_room(self) -> tuple[Status, str]:
        """Ask a pool on this machine what it has left; Azure's front door does not tell."""
        assert self._pool is not None
        if self._parts.hostname not in LOOPBACK_NAMES:
            return Status.OK, ""
        try:
            status = await self._pool.request("GET", STATUS_PATH)
            used, limit = len(status["sessions"]), status["max_sessions"]
            if type(limit) is not int:
                return Status.OK, ""
            text = (
                f"{used} of {limit} sessions in use, {status['ready']} ready; cooldown {status['cooldown_seconds']:g} s"
            )
        except (PoolError, KeyError, TypeError, ValueError):
            return Status.OK, ""  # not ours, or not its owner
        if used >= limit:
            return Status.FAILED, _full(f"{used} of {limit}")
        return Status.OK, text

    async def check_session(self) -> tuple[Status, str]:
        """Take a session, run a cell in it, and give it back."""
        assert self._pool is not None
        try:
            return Status.OK, await SessionCheck(self._pool).run(self._timeout_seconds)
        except PoolFull as error:
            return Status.FAILED, await self._describe_full(error)
        except PoolRefused as error:
            if error.status != HTTPStatus.INTERNAL_SERVER_ERROR or error.code == wire.AGENT_FAILED:
                raise
            guess = "The pool answers with HTTP status 500, as full pools do, and faulty ones."
            return Status.FAILED, f"{guess} {await self._describe_full(PoolFull(str(error), is_guess=True))}"

    async def _describe_full(self, error: PoolFull) -> str:
        """Say what a full pool may be: who counts its sessions has some, another may never have had one."""
        assert self._pool is not None
        if error.usage or self._is_built_in:
            return _full(error.usage)
        with contextlib.suppress(RemoteKernelError):
            if not await list_pool(self._pool, self._url):
                return NONE_READY
        return f"{_full('')} {NEVER_READY}"

    async def aclose(self) -> None:
        """Leave everything as it was."""
        if self._pool is not None:
            await self._pool.aclose()
        if self._has_started_local and self._local is not None:
            with contextlib.suppress(RemoteKernelError):
                await self._local.stop()


def _describe_no_connection(host: str, port: int, error: OSError, proxy: Proxy | None) -> str:
    what, remedy = ("", "the port in REMOTE_KERNEL_ENDPOINT") if proxy is None else ("the proxy ", proxy.variable)
    if isinstance(error, ConnectionRefusedError) or "refused" in str(error).lower():
        return f"Nothing listens on port {port} of {what}{host}: check {remedy}, and whether the pool runs."
    reason = error.strerror or "no route"
    return f"There is no way to {what}{host}, port {port} ({reason}): check the network and {remedy}."


def _not_a_pool(what_it_does: str) -> str:
    return (
        f"What is at this address {what_it_does}, and is no session pool: REMOTE_KERNEL_ENDPOINT must be the pool "
        "management endpoint, and no proxy or gateway may answer in its place."
    )


def _full(usage: str) -> str:
    in_use = f"{usage} sessions are in use" if usage else "all sessions are in use"
    return (
        f"The pool is full ({in_use}): shut down notebooks that you no longer need, which frees their sessions at once "
        "('remote-kernel sessions' shows yours), wait for the cooldown, or raise the pool's ceiling."
    )


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 10 else f"{seconds:.0f} s"
