"""Which notebook has which session: what the kernels' files tell, and what the pools say to it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from time import time
from typing import Any

from remote_kernel.client.access import Access, choose_access
from remote_kernel.client.local_pool import LocalPool
from remote_kernel.client.pool import PoolClient
from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.core.flavor import has_interpreter_address
from remote_kernel.core.identity import Identifier, session_label
from remote_kernel.core.interpreter_api import LIST_SESSIONS_PATH
from remote_kernel.core.settings import Settings
from remote_kernel.kernel.folders import Folders
from remote_kernel.kernel.known_sessions import KnownSession, known_sessions
from remote_kernel.kernel.userkey import load_key

# A pool that does not answer leaves its sessions without a state.
ASK_SECONDS = 5.0

LOCAL = "local"
WARM, GONE, UNKNOWN = "warm", "gone", "not known"
ALIVE = "alive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A session, and the kernel that is bound to it, if there is one.

    Attributes:
        label: stands for the identifier; that of the local pool's page and `pool status`.
        notebook: "" for a session of nobody's notebook.
        kernel: "alive" or "gone"; "" where no kernel is known.
        pool: its endpoint, or "local".
        state: `WARM`, `GONE` or `UNKNOWN`.
        idle_seconds: since the pool or the kernel last heard of it.
        expires_in_seconds: until the pool takes it back; `None` where it does not tell.
    """

    identifier: Identifier = field(repr=False)
    label: str
    notebook: str
    kernel: str
    pool: str
    state: str
    idle_seconds: float
    expires_in_seconds: float | None = None
    known: KnownSession | None = field(default=None, repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return what may be shown."""
        names = ("label", "notebook", "kernel", "pool", "state", "idle_seconds", "expires_in_seconds")
        return {name: getattr(self, name) for name in names}


async def list_sessions(environ: Mapping[str, str]) -> list[Row]:
    """Return a row for each kernel, and for each session of the local pool that no kernel is bound to.

    Raises:
        SettingsError, IdentityError: the settings cannot be used.
    """
    folders = Folders.of_user()
    known = known_sessions(folders.runtime)
    local = await LocalPool().status()
    local_key = local["token"].encode() if local is not None else b""
    remote_key = load_key(environ, folders.data) if any(session.endpoint for session in known) else b""
    endpoints = {session.endpoint for session in known} | ({""} if local is not None else set())
    answers = await asyncio.gather(*(_ask(endpoint, environ, local is not None) for endpoint in endpoints))
    told = dict(zip(endpoints, answers, strict=True))
    rows = [_row(session, told[session.endpoint], remote_key if session.endpoint else local_key) for session in known]
    seen = {row.identifier for row in rows}
    others = told.get("") or {}
    return rows + [_row_of_nobody(name, fields, local_key) for name, fields in others.items() if name not in seen]


def choose_pool(endpoint: str, environ: Mapping[str, str]) -> Access:
    """Return the access to a pool that a kernel used; raises `SettingsError`."""
    return choose_access(replace(Settings.from_environ(environ), endpoint=endpoint))


async def _ask(endpoint: str, environ: Mapping[str, str], is_local_running: bool) -> dict[str, Any] | None:
    """Return what a pool says of its sessions by their identifiers; `None` where it cannot be asked."""
    if not endpoint and not is_local_running:
        return {}  # with the pool its sessions are gone
    if endpoint and not has_interpreter_address(endpoint):
        return None  # it would take the question to a pod, and allocate one for it
    try:
        access = choose_pool(endpoint, environ)
        pool = PoolClient(access, Identifier("sessions-command"))
        try:
            async with asyncio.timeout(ASK_SECONDS):
                return {str(one["identifier"]): one async for one in _pages(pool)}
        finally:
            await pool.aclose()
    except (RemoteKernelError, TimeoutError, KeyError, TypeError):
        return None


async def _pages(pool: PoolClient) -> AsyncIterator[dict[str, Any]]:
    skip = 0
    while True:
        answer = await pool.request("GET", LIST_SESSIONS_PATH, params={"skip": str(skip)})
        sessions = answer["sessions"]
        for session in sessions:
            yield session
        skip += len(sessions)
        if not answer.get("nextLink") or not sessions:
            return


def _row(session: KnownSession, told: Mapping[str, Any] | None, key: bytes) -> Row:
    fields = None if told is None else told.get(session.identifier)
    row = Row(
        identifier=session.identifier,
        label=session_label(key, session.identifier),
        notebook=session.notebook,
        kernel=ALIVE if session.is_alive else "gone",
        pool=session.endpoint or LOCAL,
        state=UNKNOWN if told is None else GONE,
        idle_seconds=time() - session.heard_at,
        known=session,
    )
    return row if fields is None else _with_times(row, fields)


def _row_of_nobody(identifier: str, fields: Mapping[str, Any], key: bytes) -> Row:
    row = Row(
        identifier=Identifier(identifier), label=session_label(key, identifier), notebook="", kernel="", pool=LOCAL,
        state=WARM, idle_seconds=0.0,
    )  # fmt: skip
    return _with_times(row, fields)


def _with_times(row: Row, fields: Mapping[str, Any]) -> Row:
    accessed, expires = (_parse_time(fields.get(name)) for name in ("lastAccessedAt", "expireAt"))
    return replace(
        row,
        state=WARM,
        idle_seconds=row.idle_seconds if accessed is None else max(0.0, time() - accessed),
        expires_in_seconds=None if expires is None else max(0.0, expires - time()),
    )


def _parse_time(text: object) -> float | None:
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return None
