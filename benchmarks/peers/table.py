"""The table of the peers: ratios to ipykernel, or why there is none."""

from collections.abc import Iterator, Sequence

from benchmarks.contestants import LOCAL, POOL
from benchmarks.measures import Goal, percentile, ratio_of, ratio_of_p95
from benchmarks.peers.measures import EVERYBODY
from benchmarks.report import number
from benchmarks.rounds import Outcome

TITLES = {LOCAL: "ipykernel = 1.0", POOL: "this kernel"}


def to_markdown(outcomes: Sequence[Outcome]) -> str:
    """Return a line for every number that this kernel and ipykernel are compared by."""
    titles = " | ".join(TITLES.get(name, name) for name in EVERYBODY)
    lines = [f"| measure | {titles} |", "|---|" + "--:|" * len(EVERYBODY)]
    lines += [line for outcome in outcomes for line in _lines(outcome)]
    return "\n".join(lines) + "\n"


def _lines(outcome: Outcome) -> Iterator[str]:
    for goal in outcome.measure.goals:
        if goal.of == POOL and not goal.unit:
            yield f"| {goal.title} | {' | '.join(_cell(outcome, goal, name) for name in EVERYBODY)} |"


def _cell(outcome: Outcome, goal: Goal, name: str) -> str:
    if name in outcome.lost:
        return f"failed: {outcome.lost[name].partition(', ')[0]}"
    if name == LOCAL:
        return number(percentile(outcome.samples[name], goal.percentile), outcome.measure.unit)
    if LOCAL in outcome.lost:
        return "–"
    of = ratio_of_p95 if goal.percentile == 95 else ratio_of
    value = of(name)(outcome.samples)
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"
