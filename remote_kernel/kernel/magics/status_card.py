"""Status card of `%session`: where the cells run, since when, for how long, and how the pod is."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from html import escape
from typing import Any, TypeVar

from remote_kernel.client.local_pool import LocalPool
from remote_kernel.core.errors import PoolError, WireError
from remote_kernel.core.numbers import MAX_SEQUENCE, NAME
from remote_kernel.core.pools.local_pool import STATUS_PATH
from remote_kernel.core.pools.pod_facts import PodFacts
from remote_kernel.core.text.human_numbers import count_of, format_bytes, format_seconds
from remote_kernel.core.wire import frames as wire
from remote_kernel.kernel.output import style
from remote_kernel.kernel.output.display import Shown
from remote_kernel.kernel.session.session import Session

T = TypeVar("T")

# What is looked at while nobody computes may take a moment, but the card has to come.
PATIENCE_SECONDS = 4.0

ROUND_TRIPS = 3

# What people ask for first, in the order of how often it decides whether a notebook runs.
_NOTABLE = (
    "numpy", "pandas", "polars", "pyarrow", "scipy", "scikit-learn", "matplotlib", "plotly", "torch", "tensorflow",
    "jax", "xgboost", "transformers", "duckdb", "ipywidgets",
)  # fmt: skip
_SHOWN_PACKAGES = 5

HELP = "%session help"
FOOTER = "tells of files, upload, download, save, keep, reset, release and the rest."


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolUsage:
    """Usage of a pool: its sessions, and their limit."""

    sessions: int
    max_sessions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Contents of the status card; each field is set only where it is known.

    Attributes:
        place: which pool, for people.
        state: "connected", "idle", "not reachable" or "not started".
        warm_seconds: for how long this kernel keeps the pod from cooling down.
        cooldown_seconds: how long the pool keeps it after that.
        round_trip_seconds: the quickest of a few.
        workspace: path of the folder that is the same in the session.
        now: seconds since 1970.
    """

    place: str
    state: str
    now: float
    pod: str = ""
    language: str = ""
    peers: int = 0
    warm_seconds: float = 0.0
    cooldown_seconds: float = 0.0
    is_private: bool = False
    workspace: str = ""
    facts: PodFacts | None = None
    round_trip_seconds: float | None = None
    usage: PoolUsage | None = None

    def shown(self) -> Shown:
        """Return the card in both forms."""
        rows = [row for row in (self._where(), self._since(), self._warm(), self._python(), self._memory()) if row]
        rows += [row for row in (self._line(), self._pool(), self._files(), self._sharing()) if row]
        colour = {"connected": style.GOOD, "not reachable": style.WARNING}.get(self.state, style.IDLE)
        values = [(name, value) for name, _, value in rows]
        html = style.card("Remote session", self.state, colour, values, f"{style.code(HELP)} {escape(FOOTER)}")
        width = max(len(name) for name, _, _ in rows)
        lines = [f"{name:<{width}}  {text}" for name, text, _ in rows]
        return Shown(html, "\n".join([f"Remote session: {self.state}", *lines, f"{HELP} {FOOTER}"]))

    def _where(self) -> tuple[str, str, str]:
        if not self.pod:
            return _plain("Runs in", f"the {self.place}" + (", from the first cell on" * (self.state == "not started")))
        where = f"in the {self.place}"
        return "Runs in", f"{self.pod} {where}", f"{style.code(self.pod)} {escape(where)}"

    def _since(self) -> tuple[str, str, str] | None:
        if self.facts is None or not self.facts.age_seconds:
            return None
        age = self.facts.age_seconds
        since = time.strftime("%H:%M" if age < 43_200 else "%a %H:%M", time.localtime(self.now - age))
        return _plain("Since", f"{since}, for {format_seconds(age)}")

    def _warm(self) -> tuple[str, str, str] | None:
        if self.state not in {"connected", "idle"}:
            return None
        cooldown = f"{format_seconds(self.cooldown_seconds)} (the pool's cooldown)"
        if self.state == "idle" or not self.warm_seconds:
            return _plain("Stays warm", f"up to {cooldown} after this kernel last called")
        until = time.strftime("%H:%M", time.localtime(self.now + self.warm_seconds))
        return _plain("Stays warm", f"until {until} if nothing runs, then {cooldown}")

    def _python(self) -> tuple[str, str, str] | None:
        if self.facts is None or not self.language.startswith("Python"):
            return _plain("Language", self.language) if self.language else None
        installed = self.facts.packages
        notable = [f"{name} {installed[name]}" for name in _NOTABLE if name in installed][:_SHOWN_PACKAGES]
        others = len(installed) - len(notable)
        more = f"{others:,} more packages" if notable else count_of(others, "package")
        return _plain("Software", ", ".join([self.language, *notable, more]))

    def _memory(self) -> tuple[str, str, str] | None:
        if self.facts is None or not self.facts.total_memory_bytes:
            return None
        used, total = self.facts.memory_bytes, self.facts.total_memory_bytes
        text = f"{format_bytes(used)} of {format_bytes(total)}, {count_of(self.facts.cpus, 'processor')}"
        return "Memory", text, f"{style.meter(used / total, width='90px')} {escape(text)}"

    def _line(self) -> tuple[str, str, str] | None:
        if self.round_trip_seconds is None:
            return None
        return _plain("Round trip", f"{self.round_trip_seconds * 1000:,.1f} ms")

    def _pool(self) -> tuple[str, str, str] | None:
        if self.usage is None:
            return None
        used, limit = self.usage.sessions, self.usage.max_sessions
        text = f"{used:,} of {limit:,} sessions in use"
        colour = style.WARNING if used >= limit else style.ACCENT
        return "Pool", text, f"{style.meter(used / limit, width='90px', colour=colour)} {escape(text)}"

    def _files(self) -> tuple[str, str, str] | None:
        return _plain("Workspace", f"{self.workspace}, the same here and there") if self.workspace else None

    def _sharing(self) -> tuple[str, str, str] | None:
        if self.peers:
            return _plain("Shared", f"{count_of(self.peers, 'other kernel')} on this notebook, with the same variables")
        if self.facts is not None and self.facts.kernels > 1:
            return _plain("Shared", f"with {count_of(self.facts.kernels - 1, 'other interpreter')} in the same pod")
        if self.is_private:
            return _plain("Private", "the notebook's path is not known, so the session is this kernel's alone")
        return None


def _plain(name: str, text: str) -> tuple[str, str, str]:
    return name, text, escape(text)


async def look_around(session: Session, hello: wire.Hello | None, now: float) -> Card:
    """Return the card for `now` (seconds since 1970). It takes no session, and starts no pool."""
    card = Card(place=session.place, state="not started", now=now, is_private=session.binding.is_private)
    card = replace(card, workspace=str(session.workspace.root) if session.workspace else "")
    link = session.link
    usage, asked = await asyncio.gather(_try(_ask_usage(session)), _try(_ask_pod(session)))
    card = replace(card, usage=usage)
    if link is None or hello is None or link.position is None:
        return replace(card, state="not reachable") if session.binding.is_known else card
    facts, round_trip = asked or (None, None)
    return replace(
        card,
        state="connected" if asked else "not reachable" if link.is_wanted else "idle",
        pod=hello.pod,
        language=_language(hello.kernel_info),
        peers=link.peers,
        warm_seconds=link.keep_alive.seconds(),
        cooldown_seconds=link.keep_alive.cooldown_seconds,
        facts=facts,
        round_trip_seconds=round_trip,
    )


async def _try(asking: Awaitable[T]) -> T | None:
    with contextlib.suppress(PoolError, WireError, TimeoutError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await asking
    return None


async def _ask_usage(session: Session) -> PoolUsage | None:
    """Return how full the pool is, where it tells; raises `PoolError`."""
    status: dict[str, Any] | None = None
    if session.is_local:
        status = await LocalPool().status()
    elif session.pool is not None and session.link is not None and session.link.is_attached:
        status = await session.pool.request("GET", STATUS_PATH)
    sessions, limit = (status or {}).get("sessions"), (status or {}).get("max_sessions")
    if not isinstance(sessions, list) or type(limit) is not int or not 1 <= limit <= MAX_SEQUENCE:
        return None
    return PoolUsage(sessions=len(sessions), max_sessions=limit)


async def _ask_pod(session: Session) -> tuple[PodFacts | None, float] | None:
    """Return what the pod says of itself, if it does, and how far away it is; nothing where the link is not up."""
    pool = session.pool
    if pool is None or session.link is None or not session.link.is_attached:
        return None
    answer = await pool.request("GET", wire.SESSION_PATH, params={"facts": "1", "kernel": session.binding.kernel})
    best = float("inf")
    for _ in range(ROUND_TRIPS):
        started = time.monotonic()
        await pool.request("GET", wire.SESSION_PATH)
        best = min(best, time.monotonic() - started)
    return PodFacts.from_json(answer["facts"]) if "facts" in answer else None, best


def _language(kernel_info: dict[str, Any]) -> str:
    language = kernel_info.get("language_info")
    language = language if isinstance(language, dict) else {}
    name, version = (str(language.get(field, ""))[: NAME.most] for field in ("name", "version"))
    return f"{name.capitalize()} {version}".strip()
