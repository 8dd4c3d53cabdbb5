"""Report at the end of a run: the summary, and what went wrong."""

from collections.abc import Sequence
from typing import Any

from remote_kernel.cli.run.batch import Result
from remote_kernel.cli.run.execution import Cause, Failure, Outcome
from remote_kernel.cli.verify.comparison import Difference
from remote_kernel.core.text.terminal_text import PLAIN, clean, one_line, shortened

# As shells report a program that a signal ended.
SIGNAL_STATUS = 128
SHOWN_SOURCE_LINES = 5
SHORTEST_NAME = 12

GOOD = "ok"
_RED, _GREEN = "\x1b[31m", "\x1b[32m"


def exit_status(results: Sequence[Result]) -> int:
    """Return the exit status of a run: 0, 1, or 128 and the number of the signal that ended it."""
    if number := max(result.signal for result in results):
        return SIGNAL_STATUS + number
    return 0 if all(result.is_good for result in results) else 1


def verdict(result: Result) -> str:
    """Return in a few words what came of a notebook."""
    if result.outcome.failure is not None:
        return _short_sentence(result.outcome.failure)
    if result.problem:
        return "not written"
    if count := len(result.differences):
        return f"{count} {'cell differs' if count == 1 else 'cells differ'}"
    return GOOD


def summary(result: Result) -> str:
    """Return the closing lines for one notebook: how many cells, how long, what went along, and where the results
    are."""
    counted = f"{count_cells(result.outcome)} in {result.outcome.seconds:.1f} s"
    if result.job.is_verified and result.is_good:
        counted += ", the outputs as stored"
    moved = _moved(result)
    lines = [counted, f"workspace: {moved}"] if moved else [counted]
    return "\n".join([*lines, *(one_line(str(path)) for path in result.written)])


def table(results: Sequence[Result], columns: int | None = None) -> str:
    """Return the closing lines for several notebooks, with colours: a row for each, then where the results are.

    Args:
        columns: of the terminal; names of notebooks are shortened where the rows have more.
    """
    rows: list[tuple[str, ...]] = [("NOTEBOOK", "RESULT", "CELLS", "TIME")]
    rows += [
        (one_line(str(result.job.path)), verdict(result), _count(result.outcome), f"{result.outcome.seconds:.1f} s")
        for result in results
    ]
    if any(map(_moved, results)):
        rows = [(*row, moved) for row, moved in zip(rows, ["WORKSPACE", *map(_moved, results)], strict=True)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if columns is not None:
        room = columns - sum(widths[1:]) - (len(widths) - 1) * len("  ")
        widths[0] = min(widths[0], max(room, SHORTEST_NAME))
    lines = []
    for row, result in zip(rows, [None, *results], strict=True):
        cells = [
            shortened(row[0], widths[0]).ljust(widths[0]),
            row[1].ljust(widths[1]),
            row[2].rjust(widths[2]),
            row[3].rjust(widths[3]),
            *row[4:],
        ]
        if result is not None:
            cells[1] = f"{_GREEN if result.is_good else _RED}{cells[1]}{PLAIN}"
        lines.append("  ".join(cells).rstrip())
    return "\n".join([*lines, *(one_line(str(path)) for result in results for path in result.written)])


def explanation(result: Result, *, names_notebook: bool) -> str:
    """Return all that went wrong, with colours: for each thing a sentence, then code, traceback or diff; "" for
    nothing."""
    prefix = f"remote-kernel: {one_line(str(result.job.path))}: " if names_notebook else "remote-kernel: "
    parts = [_explain_difference(difference, result.outcome, prefix) for difference in result.differences]
    if result.outcome.failure is not None:
        parts.append(_explain_failure(result.outcome.failure, result.outcome, prefix))
    if result.problem:
        parts.append(prefix + result.problem)
    return "\n".join(parts)


def to_json(results: Sequence[Result], seconds: float) -> dict[str, Any]:
    """Return what `run --json` prints; seconds are those of the clock on the wall."""
    return {"status": exit_status(results), "seconds": round(seconds, 3), "notebooks": list(map(_result_json, results))}


def _result_json(result: Result) -> dict[str, Any]:
    outcome, failure = result.outcome, result.outcome.failure
    return {
        "notebook": str(result.job.path),
        "result": verdict(result),
        "cells": outcome.total,
        "started": outcome.started,
        "seconds": round(outcome.seconds, 3),
        "workspace": None if outcome.workspace is None else outcome.workspace.to_json(),
        "written": [str(path) for path in result.written],
        "failure": None
        if failure is None
        else {"cause": failure.cause, "cell": failure.cell, "source": failure.source, "error": failure.error},
        "differences": [
            {"cell": difference.cell, "source": difference.source, "diff": list(difference.lines)}
            for difference in result.differences
        ],
        "problem": result.problem,
    }


def count_cells(outcome: Outcome) -> str:
    """Return "12 cells", or "3 of 12 cells" for a run that ended early."""
    return f"{_count(outcome)} {'cell' if outcome.total == 1 else 'cells'}"


def _count(outcome: Outcome) -> str:
    return f"{outcome.total}" if outcome.is_whole else f"{outcome.started} of {outcome.total}"


def _moved(result: Result) -> str:
    """Return what went to the session and back; "" for nothing."""
    return result.outcome.workspace.describe() if result.outcome.workspace is not None else ""


def _explain_failure(failure: Failure, outcome: Outcome, prefix: str) -> str:
    parts = [prefix + _sentence(outcome, failure)]
    if failure.cause in {Cause.ERROR, Cause.TIMEOUT}:
        parts += [_excerpt(failure.source), clean(failure.traceback, keeps_colours=True)]
    return "\n".join([*parts, clean(failure.log)]).rstrip()


def _explain_difference(difference: Difference, outcome: Outcome, prefix: str) -> str:
    colours = {"-": _RED, "+": _GREEN}
    lines = [f"    {colours.get(line[0], '')}{line}{PLAIN}" for line in difference.lines]
    sentence = f"cell {difference.cell} of {outcome.total} gave other outputs than those stored (-)"
    return "\n".join([prefix + sentence, _excerpt(difference.source), *lines])


def _short_sentence(failure: Failure) -> str:
    match failure.cause:
        case Cause.ERROR:
            return f"cell {failure.cell} raised {one_line(clean(failure.error.partition(':')[0]))}"
        case Cause.TIMEOUT:
            return f"cell {failure.cell} took too long"
        case Cause.SIGNAL:
            return "interrupted" if failure.cell else "not started"
        case Cause.DEAD_KERNEL:
            return "the kernel died"
        case Cause.NOT_SENT:
            return f"cell {failure.cell} cannot be sent"
        case Cause.INSIDE:
            return f"failed inside ({one_line(clean(failure.error.partition(':')[0]))})"


def _sentence(outcome: Outcome, failure: Failure) -> str:
    cell = f"cell {failure.cell} of {outcome.total}"
    match failure.cause:
        case Cause.ERROR:
            return f"{cell} raised {clean(failure.error)}"
        case Cause.TIMEOUT:
            return f"{cell} took longer than --timeout allows and was interrupted"
        case Cause.SIGNAL:
            return f"interrupted in {cell}" if failure.cell else "interrupted before the first cell"
        case Cause.DEAD_KERNEL:
            return f"the kernel died in {cell}" if failure.cell else "the kernel died before it was ready"
        case Cause.NOT_SENT:
            return f"{cell} holds half of a surrogate pair, which no message can: write the character anew"
        case Cause.INSIDE:
            where = f"in {cell}" if failure.cell else "outside of its cells"
            return f"the run failed inside, {where}: {one_line(clean(failure.error))}"


def _excerpt(source: str) -> str:
    lines = clean(source).strip().splitlines()
    shown = lines[:SHOWN_SOURCE_LINES] + ["…"] * (len(lines) > SHOWN_SOURCE_LINES)
    return "".join(f"    {line}\n" for line in shown)
