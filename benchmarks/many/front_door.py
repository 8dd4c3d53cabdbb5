"""The pool's front door under load: hundreds of sessions, each with its event stream, and requests at a steady rate."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from urllib.parse import urlsplit

from benchmarks.many.places import LightPool, processor_seconds
from benchmarks.measures import percentile
from remote_kernel.core.wire.frames import EVENTS_PATH, SESSION_PATH
from remote_kernel.io.http1 import Client, Response

# As many sessions as are allocated at the same time, so that the machine is not flooded with new processes.
ALLOCATED_AT_ONCE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What came of it.

    Attributes:
        asked, answered: requests a second.
        times: from when a request was due to the end of its answer, in ms.
        spent: processor time (ms) for one request, by who spent it.
        held: how many event streams were still open at the end.
    """

    sessions: int
    asked: float
    answered: float
    times: Sequence[float]
    spent: dict[str, float]
    held: int


class Session:
    """One session's client: its event stream stays open, requests go one by one."""

    def __init__(self, place: LightPool, number: int) -> None:
        parts = urlsplit(place.pool.endpoint)
        assert parts.hostname is not None
        assert parts.port is not None
        self._client = Client.tcp(parts.hostname, parts.port, keepalive_seconds=60)
        self._query = f"identifier=many-{number:04d}"
        self._headers = [(b"host", parts.netloc.encode()), (b"authorization", f"Bearer {place.pool.token}".encode())]
        self._turn = asyncio.Lock()
        self._listening: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Allocate the session and follow its events."""
        response = await self._get(EVENTS_PATH)
        assert response.status == 200, response.status
        self._listening = asyncio.create_task(self._listen(response))

    async def _listen(self, response: Response) -> None:
        async for _ in response.chunks():
            pass

    @property
    def is_open(self) -> bool:
        return self._listening is not None and not self._listening.done()

    async def ask(self) -> None:
        async with self._turn:
            response = await self._get(SESSION_PATH)
            await response.read()
            response.close()
            assert response.status == 200, response.status

    async def _get(self, path: str) -> Response:
        return await self._client.send(b"GET", f"{path}?{self._query}".encode(), self._headers, read_seconds=60)

    async def aclose(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        await self._client.aclose()


def measure(place: LightPool, *, sessions: int, rate: float, seconds: float) -> Load:
    """Hold so many sessions open and make `rate` requests a second to them, in turn, for so long."""
    return asyncio.run(_measure(place, sessions, rate, seconds))


async def _measure(place: LightPool, count: int, rate: float, seconds: float) -> Load:
    sessions = [Session(place, number) for number in range(count)]
    try:
        await _open(sessions)
        before = _spent(place)
        began = time.perf_counter()
        times = await _ask(sessions, rate, seconds)
        took = time.perf_counter() - began
        spent = {name: (after - before[name]) * 1000 / len(times) for name, after in _spent(place).items()}
        held = sum(session.is_open for session in sessions)
    finally:
        await asyncio.gather(*(session.aclose() for session in sessions))
    return Load(sessions=count, asked=rate, answered=len(times) / took, times=times, spent=spent, held=held)


async def _open(sessions: Sequence[Session]) -> None:
    turn = asyncio.Semaphore(ALLOCATED_AT_ONCE)

    async def open_in_turn(session: Session) -> None:
        async with turn:
            await session.open()

    await asyncio.gather(*map(open_in_turn, sessions))


async def _ask(sessions: Sequence[Session], rate: float, seconds: float) -> list[float]:
    """Make the requests when they are due, whether the ones before have been answered or not."""
    began = time.perf_counter()

    async def ask(session: Session, due: float) -> float:
        await session.ask()
        return (time.perf_counter() - due) * 1000

    asking: list[asyncio.Task[float]] = []
    for number in range(int(rate * seconds)):
        due = began + number / rate
        if (left := due - time.perf_counter()) > 0:
            await asyncio.sleep(left)
        asking.append(asyncio.create_task(ask(sessions[number % len(sessions)], due)))
    return await asyncio.gather(*asking)


def _spent(place: LightPool) -> dict[str, float]:
    return {
        "pool": processor_seconds(place.process),
        "pods": processor_seconds(place.agents),
        "clients": time.process_time(),
    }


def describe(load: Load) -> list[tuple[str, str]]:
    """Return the rows of a table, the last one about what bounds the rate."""
    spent = ", ".join(f"{name} {milliseconds:.2f} ms" for name, milliseconds in load.spent.items())
    return [
        (f"{load.sessions} sessions: event streams open at the end", f"{load.held:,}"),
        (f"{load.asked:,.0f} requests a second to them: answered", f"{load.answered:,.0f} a second"),
        ("their times: p50, p95", f"{median(load.times):,.0f} ms, {percentile(load.times, 95):,.0f} ms"),
        ("processor time for a request", spent),
        ("what the pool could carry with a processor of its own", f"{1000 / load.spent['pool']:,.0f} a second"),
    ]
