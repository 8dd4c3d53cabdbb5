"""Runs of a notebook over a line that fails by chance: what was run, what was lost, what came twice.

Everything is decided by the seed, but for the timing. The counters that show how often a cell ran live in the pod.
"""

import random
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.driver import Cell, Notebook, Pool
from tests.faults.proxy import FaultProxy, Plan, RandomPlans

CELLS_PER_RUN = 6

# Every cell counts itself, under a number of its own.
COUNT = "runs = globals().setdefault('runs', []); runs.append({number})\n"


@dataclass(slots=True)
class Outcome:
    """What became of one run, or of many.

    Attributes:
        faults: connections that were tampered with, by kind.
        cells_twice: cells that ran more than once.
        cells_lost: cells that did not run, or whose reply did not come.
        bytes_expected, bytes_wrong: of output; wrong are lost, repeated and misplaced ones.
    """

    seed: int = 0
    runs: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    cells: int = 0
    cells_twice: int = 0
    cells_lost: int = 0
    bytes_expected: int = 0
    bytes_wrong: int = 0

    @property
    def is_good(self) -> bool:
        return not (self.cells_twice or self.cells_lost or self.bytes_wrong)

    def add(self, other: "Outcome") -> None:
        self.runs += other.runs
        self.faults += other.faults
        self.cells += other.cells
        self.cells_twice += other.cells_twice
        self.cells_lost += other.cells_lost
        self.bytes_expected += other.bytes_expected
        self.bytes_wrong += other.bytes_wrong


@dataclass(frozen=True, slots=True)
class Task:
    """A cell and what must come of it."""

    code: str
    expected: str
    shown: Callable[[Cell], str] = lambda cell: cell.stdout


def make_task(chance: random.Random, number: int) -> Task:
    kind = chance.choice(["count", "lines", "large", "picture", "error", "slow"])
    count = COUNT.format(number=number)
    match kind:
        case "lines":
            lines = chance.randint(50, 400)
            return Task(
                f"{count}for i in range({lines}): print('line', i, flush=True)",
                "".join(f"line {i}\n" for i in range(lines)),
            )
        case "large":
            size = chance.randint(200_000, 1_500_000)
            return Task(f"{count}print('{number % 10}' * {size})", str(number % 10) * size + "\n")
        case "picture":
            size = chance.randint(1_000, 300_000)
            code = f"{count}display({{'text/x-test': 'p' * {size}}}, raw=True)"
            return Task(code, "p" * size, lambda cell: "".join(shown_data(cell)))
        case "error":
            return Task(f"{count}print('before'); 1 / 0", "before\n")
        case "slow":
            code = f"{count}import time\nfor i in range(20): print(i, flush=True); time.sleep(0.02)"
            return Task(code, "".join(f"{i}\n" for i in range(20)))
        case _:
            return Task(f"{count}print(runs.count({number}))", "1\n")


def shown_data(cell: Cell) -> Iterator[str]:
    for content in cell.of_type("display_data"):
        yield content["data"].get("text/x-test", "")


@contextmanager
def notebook_behind(proxy: FaultProxy, pool: Pool) -> Iterator[Notebook]:
    with Notebook.start(
        environ={
            "REMOTE_KERNEL_ENDPOINT": proxy.endpoint,
            "REMOTE_KERNEL_TOKEN": pool.token,
            "REMOTE_KERNEL_IDENTIFIER": f"faults-{secrets.token_hex(8)}",
        }
    ) as notebook:
        yield notebook


def run_seed(pool: Pool, seed: int) -> Outcome:
    """Run a notebook's cells while the line fails, from before its session starts; then see what happened."""
    with FaultProxy.before(pool.endpoint) as proxy, notebook_behind(proxy, pool) as notebook:
        return run_cells(proxy, notebook, seed)


def run_cells(proxy: FaultProxy, notebook: Notebook, seed: int) -> Outcome:
    """Run cells while the line fails, then see what happened; the notebook is left as it was found."""
    outcome = Outcome(seed=seed, runs=1)
    chance = random.Random(seed)
    plans = RandomPlans(seed)
    proxy.plan = plans
    for number in range(CELLS_PER_RUN):
        task = make_task(chance, number)
        if chance.random() < 0.3:
            proxy.cut()  # the stream that is open, wherever it is
        cell = notebook.run(task.code)
        outcome.cells += 1
        outcome.cells_lost += cell.reply["status"] == "aborted" or "SessionLost" in str(cell.reply)
        outcome.bytes_expected += len(task.expected)
        outcome.bytes_wrong += count_wrong(task.expected, task.shown(cell))
    outcome.faults = plans.injected
    proxy.plan = lambda _number: Plan()
    counts = Counter(map(int, notebook.run("print(*runs); runs.clear()").stdout.split()))
    outcome.cells_twice += sum(count > 1 for count in counts.values())
    outcome.cells_lost += CELLS_PER_RUN - len(counts)
    return outcome


def count_wrong(expected: str, shown: str) -> int:
    """Return how many characters are not where they belong."""
    if shown == expected:
        return 0
    same = sum(a == b for a, b in zip(expected, shown, strict=False))
    return max(len(expected), len(shown)) - same
