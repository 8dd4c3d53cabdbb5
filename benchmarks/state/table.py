"""The table of what saving and restoring take."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from benchmarks.state.measuring import Outcome
from remote_kernel.core.text.human_numbers import format_bytes

MAX_NAMES = 8

Outcomes = Mapping[str, Outcome]


def to_markdown(outcomes: Mapping[str, Outcomes], ways: Sequence[str]) -> str:
    """Return the table of outcomes by namespace and way; of one that was not there, nothing is known."""
    lines = [f"| what | {' | '.join(ways)} |", f"|---|{'--:|' * len(ways)}"]
    for title, of_ways in outcomes.items():
        lines += _lines(title, of_ways, ways)
    return "\n".join(lines) + "\n"


def _lines(title: str, outcomes: Outcomes, ways: Sequence[str]) -> Iterator[str]:
    cells: dict[str, Callable[[Outcome], str]] = {
        f"**{title}**: first save": lambda outcome: _amount(outcome.saved_seconds, outcome.saved_bytes),
        "… one variable later": lambda outcome: _amount(outcome.again_seconds, outcome.again_bytes),
        "… restored": lambda outcome: _seconds(outcome.restored_seconds),
        "… cells run again": lambda outcome: "–" if outcome.failed else str(outcome.ran_again),
        "… lost": _lost,
    }
    for what, cell in cells.items():
        shown = (cell(outcomes[way]) if way in outcomes else "not installed here" for way in ways)
        yield f"| {what} | {' | '.join(shown)} |"


def _lost(outcome: Outcome) -> str:
    if outcome.failed:
        failure = outcome.failed.replace("|", "\\|")
        return f"everything: `{failure}`"
    if not outcome.lost:
        return "nothing"
    names = ", ".join(f"`{name}`" for name in outcome.lost[:MAX_NAMES])
    return names if len(outcome.lost) <= MAX_NAMES else f"{names} and {len(outcome.lost) - MAX_NAMES:,} more"


def _amount(seconds: float, count: int) -> str:
    return f"{_seconds(seconds)}, {format_bytes(count)}" if seconds else "–"


def _seconds(seconds: float) -> str:
    if not seconds:
        return "–"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
