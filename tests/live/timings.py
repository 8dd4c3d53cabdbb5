"""Times of a pool, as a notebook's user has them."""

import secrets
import time
from collections.abc import Callable, Mapping
from statistics import median

from remote_kernel.core.wire import frames as wire
from tests.driver import Notebook
from tests.live.assumptions import Kind
from tests.live.door import Door

ALLOCATIONS = 3
CELLS = 50
OUTPUT_BYTES = 5_000_000


async def time_allocation(door: Door, count: int) -> float:
    """Return the seconds of the first request for a session, the median of so many."""
    times = []
    for _ in range(count):
        identifier = door.new_identifier()
        if door.kind is Kind.CUSTOM:
            said = await door.ask("GET", wire.SESSION_PATH, identifier=identifier)
        else:
            said, _ = await door.execute(identifier, "pass")
        times.append(said.seconds)
        await door.end(identifier)
    return median(times)


def time_notebook(environ: Mapping[str, str], *, cells: int, tell: Callable[[str], None]) -> dict[str, str]:
    """Return what a kernel of ours takes for a first cell, for later ones, and for much output."""
    tell("timing: first cell")
    notebook = Notebook.start(environ={**environ, "REMOTE_KERNEL_IDENTIFIER": f"live-{secrets.token_hex(16)}"})
    try:
        first = _seconds(lambda: notebook.run("print(1)"))
        tell("timing: cells")
        times = sorted(_seconds(lambda: notebook.run("pass")) for _ in range(cells))
        tell("timing: output")
        code = f"for _ in range({OUTPUT_BYTES // 100}): print('x' * 99)"
        output = _seconds(lambda: notebook.run(code))
    finally:
        notebook.close()
    return {
        "first cell, its session included": f"{first:.2f} s",
        "cell `pass`, p50": f"{times[len(times) // 2] * 1000:.0f} ms",
        "cell `pass`, slowest": f"{times[-1] * 1000:.0f} ms",
        "5 MB in 100-byte lines": f"{OUTPUT_BYTES / output / 1e6:.1f} MB/s",
    }


def _seconds(task: Callable[[], object]) -> float:
    began = time.perf_counter()
    task()
    return time.perf_counter() - began
