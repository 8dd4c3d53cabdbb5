"""List of sessions by notebook: the kernels' binding files, completed by what the pools say.

A pool is named by its endpoint; the local pool of an environment by what stands in an endpoint's place for it.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from time import time
from typing import Any

from remote_kernel.cli.saves.save_list import SaveList, iso_time
from remote_kernel.client.access import Access, LocalAccess, choose_access
from remote_kernel.client.http.pool_client import PoolClient
from remote_kernel.client.local_pool import LocalPool
from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.core.identity import Identifier, session_label
from remote_kernel.core.interpreter_api.versions import LIST_SESSIONS_PATH
from remote_kernel.core.limits import SESSION_LIST
from remote_kernel.core.pools.flavor import has_interpreter_address
from remote_kernel.core.pools.front_door import LIST_MANAGED_PATH, expiry_in, sessions_in
from remote_kernel.core.pools.local_pool import RunningPool, environment_name, is_local
from remote_kernel.core.settings import Settings
from remote_kernel.core.text.shown_address import without_secrets
from remote_kernel.kernel.folders import Folders
from remote_kernel.kernel.identity.identity_key import load_key
from remote_kernel.kernel.session.known_sessions import KnownSession, known_sessions

# A pool that does not answer leaves its sessions without a state.
ASK_SECONDS = 5.0

LOCAL = "local"
WARM, GONE, UNKNOWN = "warm", "gone", "not known"
ALIVE = "alive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A session of a notebook, and the kernels that are bound to it, if there are any.

    Attributes:
        label: stands for the identifier; that of the local pool's page and `pool status`.
        notebook: "" for a session of nobody's notebook.
        kernel: "alive", where one is, or "gone"; "" where no kernel is known.
        endpoint: of its pool.
        pool: the same for people; "local" for a local pool.
        environment: the interpreter of a local pool that runs; "" for other pools.
        state: `WARM`, `GONE` or `UNKNOWN`.
        idle_seconds: since the pool or the kernel last heard of it.
        expires_in_seconds: until the pool takes it back; `None` where it does not tell.
        saved_at: when variables of the notebook were last saved, in seconds since 1970; `None` where there is no save.
    """

    identifier: Identifier = field(repr=False)
    label: str
    notebook: str
    kernel: str
    endpoint: str
    pool: str
    environment: str = ""
    state: str
    idle_seconds: float
    expires_in_seconds: float | None = None
    saved_at: float | None = None
    known: tuple[KnownSession, ...] = field(default=(), repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return what may be shown."""
        names = ("label", "notebook", "kernel", "pool", "environment", "state", "idle_seconds", "expires_in_seconds")
        saved_at = None if self.saved_at is None else iso_time(self.saved_at)
        return {name: getattr(self, name) for name in names} | {"saved_at": saved_at}


async def list_sessions(environ: Mapping[str, str]) -> list[Row]:
    """Return a row for each session of a notebook, whichever of its kernels live, and for each session of the user's
    local pools that no kernel is bound to.

    Raises:
        SettingsError, IdentityError: the settings cannot be used.
    """
    folders = Folders.of_user()
    known = known_sessions(folders.runtime)
    local = await _running_pools()
    endpoints = {session.endpoint for session in known} | local.keys()
    is_key_needed = any(not is_local(endpoint) for endpoint in endpoints)
    remote_key = load_key(environ, folders.data) if is_key_needed else b""
    keys = {
        endpoint: local[endpoint].token.encode() if endpoint in local else b"" if is_local(endpoint) else remote_key
        for endpoint in endpoints
    }
    answers = await asyncio.gather(*(_ask(endpoint, environ, local) for endpoint in endpoints))
    told = dict(zip(endpoints, answers, strict=True))
    kernels: defaultdict[tuple[str, str, str], list[KnownSession]] = defaultdict(list)
    for session in known:
        kernels[session.endpoint, session.identifier, session.notebook].append(session)
    rows = [_row(each, told[endpoint], keys[endpoint]) for (endpoint, _, _), each in kernels.items()]
    seen = {(row.endpoint, row.identifier) for row in rows}
    rows += [
        _row_of_nobody(endpoint, name, fields, keys[endpoint])
        for endpoint in local
        for name, fields in (told[endpoint] or {}).items()
        if (endpoint, name) not in seen
    ]
    return [replace(row, environment=local[row.endpoint].python) if row.endpoint in local else row for row in rows]


def with_saves(rows: Sequence[Row], environ: Mapping[str, str]) -> list[Row]:
    """Return the rows with the times of the newest saves; without, where their folder cannot be read."""
    try:
        newest = SaveList.load(environ).newest()
    except RemoteKernelError:
        return list(rows)
    return [replace(row, saved_at=newest.get(row.notebook) if row.notebook else None) for row in rows]


async def _running_pools() -> dict[str, RunningPool]:
    """Return the local pools of all environments that run, by what stands in an endpoint's place for them."""
    pools = LocalPool.of_all_environments()
    found = await asyncio.gather(*(pool.find() for pool in pools))
    return {pool.endpoint: running for pool, running in zip(pools, found, strict=True) if running is not None}


def choose_pool(endpoint: str, environ: Mapping[str, str]) -> Access:
    """Return the access to a pool that a kernel used; it starts no local one. Raises `SettingsError`."""
    if is_local(endpoint):
        return LocalAccess(LocalPool(name=environment_name(endpoint)))
    return choose_access(replace(Settings.from_environ(environ), endpoint=endpoint), environ)


async def _ask(endpoint: str, environ: Mapping[str, str], local: Mapping[str, RunningPool]) -> dict[str, Any] | None:
    """Return what a pool says of its sessions by their identifiers; `None` where it cannot be asked."""
    if is_local(endpoint) and endpoint not in local:
        return {}  # with the pool its sessions are gone
    try:
        access = choose_pool(endpoint, environ)
        pool = PoolClient(access, Identifier("sessions-command"))
        try:
            async with asyncio.timeout(ASK_SECONDS):
                return await list_pool(pool, endpoint)
        finally:
            await pool.aclose()
    except (RemoteKernelError, TimeoutError):
        return None


async def list_pool(pool: PoolClient, endpoint: str) -> dict[str, Any]:
    """Return what a pool says of its sessions, page by page; one that says the same again is not asked for ever.

    Where the next page is, is counted here: a link in the answer could lead anywhere.

    Raises:
        PoolError, WireError: it does not tell.
    """
    # A pool of custom containers would take the other question to a pod, and allocate one for it.
    is_built_in = has_interpreter_address(endpoint)
    method, path = ("GET", LIST_SESSIONS_PATH) if is_built_in else ("POST", LIST_MANAGED_PATH)
    told: dict[str, Any] = {}
    for _ in range(SESSION_LIST.pages or 0):
        before = len(told)
        answer = await pool.request(method, path, params={"skip": str(before)})
        told |= sessions_in(answer)
        is_more = answer.get("nextLink") and len(told) > before
        if not is_more or len(told) > (SESSION_LIST.entries or 0):
            break
    return told


def _row(kernels: Sequence[KnownSession], told: Mapping[str, Any] | None, key: bytes) -> Row:
    session = kernels[0]  # the one that was heard of last
    fields = None if told is None else told.get(session.identifier)
    row = Row(
        identifier=session.identifier,
        label=session_label(key, session.identifier),
        notebook=session.notebook,
        kernel=ALIVE if any(kernel.is_alive for kernel in kernels) else "gone",
        endpoint=session.endpoint,
        pool=LOCAL if is_local(session.endpoint) else without_secrets(session.endpoint),
        state=UNKNOWN if told is None else GONE,
        idle_seconds=time() - session.heard_at,
        known=tuple(kernels),
    )
    return row if fields is None else _with_times(row, fields)


def _row_of_nobody(endpoint: str, identifier: str, fields: Mapping[str, Any], key: bytes) -> Row:
    row = Row(
        identifier=Identifier(identifier), label=session_label(key, identifier), notebook="", kernel="",
        endpoint=endpoint, pool=LOCAL, state=WARM, idle_seconds=0.0,
    )  # fmt: skip
    return _with_times(row, fields)


def _with_times(row: Row, fields: Mapping[str, Any]) -> Row:
    accessed, expires = _parse_time(fields.get("lastAccessedAt")), _parse_time(expiry_in(fields))
    return replace(
        row,
        state=WARM,
        idle_seconds=row.idle_seconds if accessed is None else max(0.0, time() - accessed),
        expires_in_seconds=None if expires is None else max(0.0, expires - time()),
    )


def _parse_time(text: object) -> float | None:
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except (ValueError, OverflowError, OSError):  # the last of Windows, for years that its calendar does not have
        return None
