"""The numbers as a table for people and as JSON for programs."""

import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.contestants import LOCAL
from benchmarks.measures import Goal, percentile
from benchmarks.rounds import Outcome

_PACKAGES = ("remote-session-kernel", "ipykernel", "jupyter-client", "pyzmq", "uvicorn", "starlette", "httptools")

_OF_THE_MACHINE = ("date", "machine", "python")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A goal and what came of it; numbers are `None` where something was lost.

    Attributes:
        local, ours: the samples' percentile that the goal is about, in `unit`.
        value: what is judged, in `value_unit`; a ratio where that is "".
    """

    title: str
    unit: str
    local: float | None
    ours: float | None
    value: float | None
    value_unit: str
    limit: float
    is_more_better: bool
    is_met: bool
    lost: str = ""


def rows_of(outcomes: Sequence[Outcome]) -> list[Row]:
    return [_row(outcome, goal) for outcome in outcomes for goal in outcome.measure.goals if _is_judged(outcome, goal)]


def _is_judged(outcome: Outcome, goal: Goal) -> bool:
    return {LOCAL, goal.of} <= outcome.samples.keys()


def _row(outcome: Outcome, goal: Goal) -> Row:
    lost = "; ".join(f"{name}: {what}" for name, what in outcome.lost.items() if name in {LOCAL, goal.of})
    samples = outcome.samples
    value = None if lost else goal.value(samples)
    return Row(
        title=goal.title,
        unit=outcome.measure.unit,
        local=percentile(samples[LOCAL], goal.percentile) if samples[LOCAL] else None,
        ours=percentile(samples[goal.of], goal.percentile) if samples[goal.of] else None,
        value=value,
        value_unit=goal.unit,
        limit=goal.limit,
        is_more_better=goal.is_more_better,
        is_met=value is not None and goal.is_met(value),
        lost=lost,
    )


def to_markdown(rows: Sequence[Row]) -> str:
    """Return the table; what is beside its goal is bold."""
    lines = ["| measure | ipykernel, local | this kernel | to ipykernel | goal |", "|---|--:|--:|--:|--:|"]
    lost = [f"\nIncomplete: {row.title}: {row.lost}." for row in rows if row.lost]
    return "\n".join([*lines, *map(_to_line, rows), *lost]) + "\n"


def _to_line(row: Row) -> str:
    sign = "≥" if row.is_more_better else "≤"
    value = "lost output" if row.value is None else f"{row.value:.2f}" if not row.value_unit else "–"
    shown = [number(row.local, row.unit), number(row.ours, row.unit), value]
    if not row.is_met:
        judged = 1 if row.value_unit else 2
        shown[judged] = f"**{shown[judged]}**"
    return f"| {row.title} | {' | '.join(shown)} | {sign} {row.limit:g} {row.value_unit}".rstrip() + " |"


def number(value: float | None, unit: str) -> str:
    """Return a value as the tables show it."""
    if value is None:
        return "–"
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.1f} {unit}"


def conditions(peers: Sequence[str] = ()) -> dict[str, str]:
    """Return what the numbers depend on, the versions of these packages included."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores, {_processor()}, {platform.system()} {platform.release()}",
        "python": platform.python_version(),
    } | {name: found for name in (*_PACKAGES, *peers) if (found := _version(name))}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def describe_conditions(fields: dict[str, str]) -> str:
    """Return the conditions as one sentence of Markdown."""
    versions = ", ".join(f"{name} {version}" for name, version in fields.items() if name not in _OF_THE_MACHINE)
    return f"Measured on {fields['date']}: {fields['machine']}; Python {fields['python']}, {versions}.\n"


def to_json(rows: Sequence[Row], outcomes: Sequence[Outcome], fields: dict[str, str]) -> str:
    """Return everything, every sample included."""
    measures = {
        outcome.measure.name: {"unit": outcome.measure.unit, "samples": outcome.samples, "lost": outcome.lost}
        for outcome in outcomes
    }
    return json.dumps({"conditions": fields, "rows": [asdict(row) for row in rows], "measures": measures}, indent=1)


def update_page(page: Path, places: Mapping[str, str]) -> None:
    """Put texts into a page of the documentation, between the comments that mark their places."""
    text = page.read_text(encoding="utf-8")
    for name, new in places.items():
        text = replace_between(text, name, new)
    page.write_text(text, encoding="utf-8")


def replace_between(text: str, name: str, new: str) -> str:
    """Return `text` with `new` between the comments that mark the place `name`."""
    begin, end = _marks(name)
    before, found, rest = text.partition(begin)
    _, is_closed, after = rest.partition(end)
    if not (found and is_closed):
        raise ValueError(f"there is no place {name!r}")
    return f"{before}{begin}\n{new}{end}{after}"


def _marks(name: str) -> Iterator[str]:
    return (f"<!-- {word} {name} -->" for word in ("begin", "end"))
