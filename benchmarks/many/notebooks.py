"""Many local kernels at once: how long each waits, what each costs, and what they do when nobody does anything."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

from benchmarks.contestants import start_remote
from benchmarks.front_end import FrontEnd, text_of
from benchmarks.many.light_kernel import PRINTED
from benchmarks.many.places import LightPool, processor_seconds
from benchmarks.measures import percentile

MB = 1_000_000

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Notebooks:
    """What came of it. Times in ms, of all kernels together; memory in MB, of the median kernel.

    Attributes:
        start: from the start of the process to `kernel_info_reply`.
        first: of the first cell, which allocates a session.
        cells: of the cells after that, while all kernels run theirs.
        shared: resident memory; `own`: what would be free without this kernel.
        idle_seconds: how long nobody did anything, and then, for each minute of it:
        idle_requests: requests to pods, of all kernels together.
        idle_milliseconds: processor time of one kernel.
        idle_pool_milliseconds: processor time of the pool.
    """

    kernels: int
    start: Sequence[float]
    first: Sequence[float]
    cells: Sequence[float]
    shared: float
    own: float
    idle_seconds: float
    idle_requests: float
    idle_milliseconds: float
    idle_pool_milliseconds: float


def measure(place: LightPool, *, kernels: int, cells: int, idle_seconds: float) -> Notebooks:
    """Start so many kernels at once, have each run so many cells at once with the others, and leave them alone."""
    with ThreadPoolExecutor(kernels) as threads:

        def together(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
            return list(threads.map(work, items))

        # Starting and closing are this thread's: jupyter_client makes an event loop in each that does it.
        started = [_start(place) for _ in range(kernels)]
        front_ends = [front_end for front_end, _ in started]
        try:
            ready = together(_wait_ready, started)
            first = together(_time_cell, front_ends)
            times = together(lambda front_end: [_time_cell(front_end) for _ in range(cells)], front_ends)
            memory = [front_end.process.memory_full_info() for front_end in front_ends]
            idle = _idle(place, front_ends, idle_seconds)
        finally:
            for front_end in front_ends:
                front_end.close()
    return Notebooks(
        kernels=kernels,
        start=ready,
        first=first,
        cells=[took for row in times for took in row],
        shared=median(info.rss for info in memory) / MB,
        own=median(info.uss for info in memory) / MB,
        idle_seconds=idle_seconds,
        idle_requests=idle[0],
        idle_milliseconds=idle[1],
        idle_pool_milliseconds=idle[2],
    )


def _start(place: LightPool) -> tuple[FrontEnd, float]:
    """Start a kernel; return it, and when that began."""
    began = time.perf_counter()
    return start_remote(place.pool.endpoint, place.pool.token), began


def _wait_ready(started: tuple[FrontEnd, float]) -> float:
    """Return how long a kernel took from its start to its first answer, in ms."""
    front_end, began = started
    front_end.wait_ready()
    return (time.perf_counter() - began) * 1000


def _time_cell(front_end: FrontEnd) -> float:
    began = time.perf_counter()
    said = front_end.run("print('light')")
    took = (time.perf_counter() - began) * 1000
    assert text_of(said) == PRINTED
    return took


def _idle(place: LightPool, front_ends: Sequence[FrontEnd], seconds: float) -> tuple[float, float, float]:
    """Return requests, processor time of a kernel and of the pool (ms), each for a minute in which nothing happens."""

    def look() -> tuple[float, float, float]:
        calls = sum(session["calls"] for session in place.pool.sessions())
        spent = sum(processor_seconds(front_end.process) for front_end in front_ends)
        return calls, spent / len(front_ends) * 1000, processor_seconds(place.process) * 1000

    before = look()
    time.sleep(seconds)
    requests, kernel, pool = ((later - earlier) * 60 / seconds for earlier, later in zip(before, look(), strict=True))
    return requests, kernel, pool


def describe(found: Notebooks) -> list[tuple[str, str]]:
    """Return the rows of a table."""

    def spread(times: Sequence[float]) -> str:
        return f"{median(times):,.0f} ms, {percentile(times, 95):,.0f} ms"

    return [
        (f"{found.kernels} kernels started at once, to `kernel_info_reply`: p50, p95", spread(found.start)),
        ("their first cells at once, each with a new session: p50, p95", spread(found.first)),
        ("their next cells, all at once: p50, p95", spread(found.cells)),
        ("memory of a kernel: resident, its own", f"{found.shared:.0f} MB, {found.own:.0f} MB"),
        ("processor time of an idle kernel", f"{found.idle_milliseconds:.0f} ms a minute"),
        ("processor time of the pool, all kernels idle", f"{found.idle_pool_milliseconds:.0f} ms a minute"),
        ("requests of all idle kernels", f"{found.idle_requests:.0f} a minute"),
    ]
