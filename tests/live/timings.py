"""Times of a pool, as a notebook's user has them."""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from statistics import median

from remote_kernel.core.wire import frames as wire
from tests.driver import Notebook
from tests.live.assumptions import Kind
from tests.live.door import Door, Refused

ALLOCATIONS = 3
CELLS = 50
OUTPUT_BYTES = 5_000_000

# As long as a kernel waits for a free session, and more: a pool far away may be slow.
CELL_SECONDS = 600.0


async def time_allocation(door: Door, count: int) -> float:
    """Return the seconds of the first request for a session, the median of so many; raises `Refused`."""
    times = []
    for _ in range(count):
        identifier = door.new_identifier()
        if door.kind is Kind.CUSTOM:
            said = await door.ask("GET", wire.SESSION_PATH, identifier=identifier)
        else:
            said, _ = await door.execute(identifier, "pass")
        if said.status >= 400:
            raise Refused(f"{said} to the first request of a session")
        times.append(said.seconds)
        await door.end(identifier)
    return median(times)


def time_notebook(environ: Mapping[str, str], *, cells: int, tell: Callable[[str], None]) -> Iterator[tuple[str, str]]:
    """Yield what a kernel of ours takes for a first cell, for later ones, and for much output; raises `Refused`."""
    tell("timing: first cell")
    environ = {**environ, "REMOTE_KERNEL_IDENTIFIER": f"live-{secrets.token_hex(16)}"}
    with Notebook.start(environ=environ, is_program=True) as notebook:
        yield "first cell, its session included", f"{_time_cell(notebook, 'print(1)'):.2f} s"
        tell("timing: cells")
        times = sorted(_time_cell(notebook, "pass") for _ in range(cells))
        yield "cell `pass`, p50", f"{times[len(times) // 2] * 1000:.0f} ms"
        yield "cell `pass`, slowest", f"{times[-1] * 1000:.0f} ms"
        tell("timing: output")
        output = _time_cell(notebook, f"for _ in range({OUTPUT_BYTES // 100}): print('x' * 99)")
        yield "5 MB in 100-byte lines", f"{OUTPUT_BYTES / output / 1e6:.1f} MB/s"


def _time_cell(notebook: Notebook, code: str) -> float:
    began = time.perf_counter()
    reply = notebook.run(code, timeout_seconds=CELL_SECONDS).reply
    if reply["status"] != "ok":
        raise Refused(f"{reply.get('ename', reply['status'])} in a cell that was to be timed")
    return time.perf_counter() - began
