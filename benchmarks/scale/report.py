"""What a simulated day comes to, in numbers and as a picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.scale.day import SAMPLE_SECONDS, Policy, Record
from benchmarks.scale.people import HOUR, MINUTE
from remote_kernel.core.settings import DEFAULT_WAIT_SECONDS

# Less is the start of a pod, which has nothing to do with a full pool.
WAIT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """A policy and the day under it."""

    policy: Policy
    record: Record


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which so large a share of the values is; 0 when there are none."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else 0.0


def share_above(values: Sequence[float], limit: float) -> float:
    """Return the share of the values that are greater than `limit`."""
    return sum(value > limit for value in values) / len(values) if values else 0.0


def busiest_hour(samples: Sequence[tuple[float, int, int]]) -> float:
    """Return the mean number of sessions in the hour when it was greatest, or of all the time if that is less."""
    sessions = [count for _, count, _ in samples]
    width = min(len(sessions), int(HOUR / SAMPLE_SECONDS))
    return max(sum(sessions[start : start + width]) / width for start in range(len(sessions) - width + 1))


def to_markdown(outcomes: Sequence[Outcome], max_sessions: int) -> str:
    """Return a table with a column for each policy."""
    head = ["", *(outcome.policy.title for outcome in outcomes)]
    rows = [head, ["---"] * len(head)]
    columns = [_column(outcome.record, max_sessions) for outcome in outcomes]
    rows += [[name, *(column[name] for column in columns)] for name in columns[0]]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _column(record: Record, max_sessions: int) -> dict[str, str]:
    waits, held = record.waits, record.session_seconds
    return {
        "notebooks used": f"{record.notebooks:,}",
        "cells run": f"{record.cells:,}",
        "sittings that waited for a free session": f"{share_above(waits, WAIT_SECONDS):.1%}",
        "… longer than a cell waits by default": f"{share_above(waits, DEFAULT_WAIT_SECONDS):.1%}",
        "wait, median of all sittings": _duration(percentile(waits, 0.5)),
        "wait, 95 of 100 are below": _duration(percentile(waits, 0.95)),
        "wait, longest": _duration(max(waits, default=0.0)),
        "returns that found the variables gone": f"{record.losses / max(1, record.returns):.1%}",
        "most sessions at one time": f"{record.peak:,}",
        "utilisation of the ceiling, busiest hour": f"{busiest_hour(record.samples) / max_sessions:.0%}",
        "… of the sessions held, somebody at work": f"{record.used_seconds / held:.0%}",
        "session hours": f"{held / HOUR:,.0f}",
        "session hours, each begun one": f"{record.begun_hours:,}",
        "pods started": f"{record.pods:,}",
        "everybody has finished after": f"{record.ended_at / HOUR:.1f} h",
    }


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 2 * MINUTE else f"{seconds / MINUTE:.0f} min"


def draw(outcomes: Sequence[Outcome], max_sessions: int, path: Path) -> None:
    """Draw sessions and people who wait over the day; an SVG."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "remote-session-kernel"  # the same numbers give the same file
    figure = Figure(figsize=(8, 5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    for outcome, colour in zip(outcomes, ("tab:red", "tab:orange", "tab:green", "tab:blue"), strict=False):
        hours = [seconds / HOUR for seconds, _, _ in outcome.record.samples]
        style = {"label": outcome.policy.title.replace("`", ""), "color": colour, "linewidth": 1.5}
        above.plot(hours, [sessions for _, sessions, _ in outcome.record.samples], **style)
        below.plot(hours, [waiting for _, _, waiting in outcome.record.samples], **style)
    above.axhline(max_sessions, color="grey", linewidth=0.8, linestyle="--")
    above.set_ylabel("sessions")
    below.set_ylabel("people who wait")
    below.set_xlabel("hours")
    above.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(outcomes))
    for axes in (above, below):
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
