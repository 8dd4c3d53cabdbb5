"""Processor time by process: `python -m benchmarks.hops`.

Wall-clock times depend on what else the machine does; how much work a process does for a cell hardly does. So this is
where to look for what a hop costs, and whether a change has made it cheaper.
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.contestants import FRONT_DOOR, LOCAL, Contestant, contestants
from benchmarks.front_end import text_of
from benchmarks.measures import MEASURES
from benchmarks.report import update_page

DOCS = Path(__file__).parent.parent / "docs"

# Measure, how often, and what one of them is called in the table.
SAMPLES = {
    "cell": (300, "cell `pass`"),
    "inspection": (300, "inspection"),
    "input": (200, "`input()` answered"),
    "prints": (3, "10,000 flushed prints"),
    "large-lines": (5, "50 MB in 1 MB lines"),
    "pictures": (5, "200 PNGs of 100 KB"),
    "large-display": (5, "one 20 MB display"),
}

COLUMNS = ("front end", "local kernel", "pool", "pod agent", "interpreter")

Milliseconds = dict[str, float]


@dataclass(frozen=True, slots=True)
class Cost:
    """What one sample costs, in milliseconds of processor time by process; an ipykernel is an "interpreter"."""

    title: str
    local: Milliseconds
    ours: Milliseconds


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hops", description=__doc__)
    parser.add_argument("--update-docs", action="store_true", help="put the table into docs/performance.md")
    options = parser.parse_args(argv)
    with contestants({LOCAL, FRONT_DOOR}) as found:
        costs = [measure(found, name, count, title) for name, (count, title) in SAMPLES.items()]
    table = to_markdown(costs)
    print(table)
    if options.update_docs:
        update_page(DOCS / "performance.md", {"hops": table})
    return 0


def measure(found: Mapping[str, Contestant], name: str, count: int, title: str) -> Cost:
    """Take `count` samples of a measure from both; return what each costs on average."""
    (sample,) = (measure.sample for measure in MEASURES if measure.name == name)
    local, ours = (_cost(found[who], processes_of(found[who]), sample, count) for who in (LOCAL, FRONT_DOOR))
    return Cost(title, local, ours)


def processes_of(contestant: Contestant) -> dict[str, psutil.Process]:
    """Return the processes that take part in a cell, by the name of their column."""
    kernel = contestant.front_end.process
    if contestant.name == LOCAL:
        return {"front end": psutil.Process(), "interpreter": kernel}
    said = contestant.front_end.run("import os; print(os.getpid())")
    interpreter = psutil.Process(int(text_of(said)))
    agent = psutil.Process(os.getsid(interpreter.ppid()))  # its parent, or beside that one
    pool = next(each for each in agent.parents() if "remote_kernel.pool" in each.cmdline())
    return {
        "front end": psutil.Process(), "local kernel": kernel, "pool": pool, "pod agent": agent,
        "interpreter": interpreter,
    }  # fmt: skip


def _cost(
    contestant: Contestant, processes: Mapping[str, psutil.Process], sample: Callable[[Contestant], float], count: int
) -> Milliseconds:
    sample(contestant)  # imports, caches
    before = {name: _spent(process) for name, process in processes.items()}
    for _ in range(count):
        sample(contestant)
    return {name: (_spent(process) - before[name]) / count for name, process in processes.items()}


def _spent(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system) * 1000


def to_markdown(costs: Sequence[Cost]) -> str:
    """Return a table with a line for ipykernel and one for us, for each sample."""
    lines = [
        f"| processor time, ms | kernel | {' | '.join(COLUMNS)} | all |",
        "|---|---|" + "--:|" * (len(COLUMNS) + 1),
    ]
    for cost in costs:
        lines.append(_to_line(cost.title, "ipykernel", cost.local))
        lines.append(_to_line("", "this one", cost.ours))
    return "\n".join(lines) + "\n"


def _to_line(title: str, who: str, spent: Milliseconds) -> str:
    cells = [_number(spent[name]) if name in spent else "–" for name in COLUMNS]
    return f"| {title} | {who} | {' | '.join(cells)} | {_number(sum(spent.values()))} |"


def _number(milliseconds: float) -> str:
    return f"{milliseconds:,.0f}" if milliseconds >= 100 else f"{milliseconds:.1f}"


if __name__ == "__main__":
    sys.exit(main())
