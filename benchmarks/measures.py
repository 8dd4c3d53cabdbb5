"""What is measured how often, and what each number should be."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

from benchmarks import samples
from benchmarks.contestants import (
    FRONT_DOOR,
    LINK,
    LOCAL,
    POOL,
    ROUND_TRIP_SECONDS,
    WORKSPACE,
    WORKSPACE_FILES,
    Contestant,
)

ROUND_TRIP_MS = ROUND_TRIP_SECONDS * 1000

# Samples by contestant; those of one round stand at the same index.
Samples = Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One row of the table.

    Attributes:
        title: what the row is about.
        of: whose samples it judges.
        value: the number that is judged; by default it is a ratio to ipykernel.
        limit: what it should be at most, or at least where more is better.
        unit: of the value; "" for ratios.
        percentile: of the samples that are shown beside the value.
        is_more_better: whether the limit is a lower one.
    """

    title: str
    value: Callable[[Samples], float]
    limit: float
    of: str = POOL
    unit: str = ""
    percentile: int = 50
    is_more_better: bool = False

    def is_met(self, value: float) -> bool:
        return value >= self.limit if self.is_more_better else value <= self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A kind of sample, and the rows that come of it.

    Attributes:
        unit: of the samples.
        rounds, quick: how many rounds a full and a quick run have.
        each: how many samples are taken of a contestant in one round.
        of: the contestants; ipykernel comes first.
    """

    name: str
    unit: str
    sample: Callable[[Contestant], float]
    goals: tuple[Goal, ...]
    rounds: int
    quick: int = 1
    each: int = 1
    of: tuple[str, ...] = (LOCAL, POOL)


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile as `statistics.quantiles` interpolates it; of a single value, the value."""
    if len(values) < 2:
        return values[0]
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def ratio_of(name: str) -> Callable[[Samples], float]:
    """Return the median of the ratios to ipykernel, round by round: what slows the machine slows both."""
    return lambda samples: median(ours / local for ours, local in zip(samples[name], samples[LOCAL], strict=True))


def ratio_of_p95(name: str) -> Callable[[Samples], float]:
    return lambda samples: percentile(samples[name], 95) / percentile(samples[LOCAL], 95)


def ratio(title: str, limit: float, *, of: str = POOL, is_more_better: bool = False) -> Goal:
    return Goal(title=title, value=ratio_of(of), limit=limit, of=of, is_more_better=is_more_better)


def extra_round_trips(samples: Samples) -> float:
    return median((ours - local) / ROUND_TRIP_MS for ours, local in zip(samples[LINK], samples[LOCAL], strict=True))


def beside_the_link(samples: Samples) -> float:
    return median(ours / (ROUND_TRIP_MS + local) for ours, local in zip(samples[LINK], samples[LOCAL], strict=True))


def beside_no_workspace(samples: Samples) -> float:
    return median(ours / plain for ours, plain in zip(samples[WORKSPACE], samples[POOL], strict=True))


def p50_of_pool(samples: Samples) -> float:
    return median(samples[POOL])


LINES = 50 * samples.MB // 100

# For three seconds as much as a notebook can print.
FLOOD = "import time\nend = time.monotonic() + 3\nwhile time.monotonic() < end: print('x' * 99)"

MEASURES = (
    Measure(
        name="start", unit="ms", sample=samples.start_to_info, rounds=10, quick=2,
        goals=(ratio("start to `kernel_info_reply`", 0.45),),
    ),
    Measure(
        name="first-result", unit="ms", sample=samples.start_to_result, rounds=8,
        goals=(ratio("start to first result, ready pod", 0.65),),
    ),
    Measure(
        name="cell", unit="ms", sample=samples.cell, rounds=40, quick=3, each=10, of=(LOCAL, POOL, FRONT_DOOR),
        goals=(
            ratio("cell `pass`, p50", 1.25),
            ratio("cell `pass`, p50, through the front door", 1.35, of=FRONT_DOOR),
            Goal(title="cell `pass`, p95", value=ratio_of_p95(POOL), limit=1.3, percentile=95),
        ),
    ),
    Measure(
        name="workspace", unit="ms", sample=samples.cell, rounds=40, quick=3, each=10, of=(LOCAL, POOL, WORKSPACE),
        goals=(
            Goal(
                title=f"cell `pass` with an unchanged workspace of {WORKSPACE_FILES:,} files, to one without",
                value=beside_no_workspace, limit=1.05, of=WORKSPACE,
            ),
        ),
    ),
    Measure(
        name="link", unit="ms", sample=samples.cell, rounds=10, quick=1, each=10, of=(LOCAL, LINK),
        goals=(
            Goal(title="`pass` over a 50 ms link, extra round trips", value=extra_round_trips, limit=1.05, of=LINK),
            Goal(title="`pass` over a 50 ms link, to RTT + local cell", value=beside_the_link, limit=1.1, of=LINK),
        ),
    ),
    Measure(
        name="first-output", unit="ms", sample=samples.first_output, rounds=20, quick=2, of=(LOCAL, LINK),
        goals=(
            Goal(
                title="first live output over a 50 ms link", value=lambda samples: median(samples[LINK]),
                limit=ROUND_TRIP_MS + 8, of=LINK, unit="ms",
            ),
        ),
    ),
    Measure(
        name="live-output", unit="ms", sample=samples.first_output, rounds=30, quick=2,
        goals=(ratio("first live output", 1.15),),
    ),
    Measure(
        name="inspection", unit="ms", sample=samples.inspection, rounds=100, quick=3,
        goals=(ratio("inspection", 1.2),),
    ),
    Measure(
        name="comm", unit="ms", sample=samples.comm_echo(), rounds=100, quick=3,
        goals=(ratio("comm echo", 1.6),),
    ),
    Measure(
        name="input", unit="ms", sample=samples.typed_input, rounds=60, quick=3,
        goals=(ratio("`input()` answered", 1.3),),
    ),
    Measure(
        name="interrupt-sleep", unit="ms", sample=samples.interrupt_of("import time\ntime.sleep(60)"), rounds=15,
        quick=2, goals=(ratio("interrupt of a sleep", 1.5),),
    ),
    Measure(
        name="interrupt-loop", unit="ms", sample=samples.interrupt_of("while True: pass"), rounds=15, quick=2,
        goals=(ratio("interrupt of a busy loop", 1.5),),
    ),
    Measure(
        name="lines", unit="MB/s", sample=samples.printed(100, LINES, flush=False), rounds=4,
        goals=(ratio("50 MB in 100-byte lines", 1.0, is_more_better=True),),
    ),
    Measure(
        name="large-lines", unit="MB/s", sample=samples.printed(samples.MB, 50, flush=True), rounds=10,
        goals=(ratio("50 MB in 1 MB lines, flushed", 0.9, is_more_better=True),),
    ),
    Measure(
        name="prints", unit="prints/s", sample=samples.flushed_prints(10_000), rounds=4,
        goals=(ratio("10,000 flushed prints", 1.0, is_more_better=True),),
    ),
    Measure(
        name="pictures", unit="ms", sample=samples.displayed(200, samples.PNG_BYTES), rounds=8,
        goals=(ratio("200 PNGs of 100 KB", 1.3),),
    ),
    Measure(
        name="large-display", unit="ms", sample=samples.displayed(1, 20 * samples.MB), rounds=8,
        goals=(ratio("one 20 MB display", 1.4),),
    ),
    Measure(
        name="large-text", unit="ms", sample=samples.displayed_text(5 * samples.MB), rounds=8,
        goals=(ratio("one 5 MB text", 1.3),),
    ),
    Measure(
        name="large-comm", unit="ms", sample=samples.comm_echo(samples.MB), rounds=40, quick=2,
        goals=(ratio("comm echo with a 1 MB buffer", 2.0),),
    ),
    Measure(
        name="memory", unit="MB", sample=samples.idle_memory, rounds=2,
        goals=(Goal(title="local process, idle (RSS)", value=p50_of_pool, limit=33, unit="MB"),),
    ),
    Measure(
        name="memory-after-output", unit="MB", sample=samples.memory_after_output, rounds=2,
        goals=(Goal(title="local process after 50 MB (RSS)", value=p50_of_pool, limit=43, unit="MB"),),
    ),
    Measure(
        name="interference", unit="ms", sample=samples.completion_beside(FLOOD), rounds=4,
        goals=(ratio("completion, p95, beside a flood in another notebook", 1.5),),
    ),
    Measure(
        name="started-together", unit="s", sample=samples.started_together(8), rounds=4,
        goals=(ratio("8 kernels at once, started and a cell run", 1.0),),
    ),
    Measure(
        name="together", unit="s", sample=samples.together(8, 100), rounds=3,
        goals=(ratio("8 kernels × 100 cells", 1.2),),
    ),
)  # fmt: skip
