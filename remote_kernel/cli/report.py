"""What a run says at its end: the summary, and what went wrong."""

from pathlib import Path

from remote_kernel.cli.execution import Cause, Failure, Outcome

# As shells report a program that a signal ended.
SIGNAL_STATUS = 128
SHOWN_SOURCE_LINES = 5


def exit_status(outcome: Outcome) -> int:
    """Return the exit status of a run: 0, 1, or 128 and the number of the signal that ended it."""
    if outcome.failure is None:
        return 0
    return SIGNAL_STATUS + outcome.failure.signal if outcome.failure.cause is Cause.SIGNAL else 1


def summary(outcome: Outcome, written: list[Path]) -> str:
    """Return the closing lines: how many cells, how long, and where the results are."""
    cells = "cell" if outcome.total == 1 else "cells"
    count = f"{outcome.total} {cells}" if outcome.failure is None else f"{outcome.started} of {outcome.total} {cells}"
    return "\n".join([f"{count} in {outcome.seconds:.1f} s", *map(str, written)])


def explanation(outcome: Outcome, failure: Failure) -> str:
    """Return what went wrong: a sentence, then the start of the cell's code and its traceback, with colours."""
    parts = [f"remote-kernel: {_sentence(outcome, failure)}"]
    if failure.cause in {Cause.ERROR, Cause.TIMEOUT}:
        parts += [_excerpt(failure.source), failure.traceback]
    return "\n".join([*parts, failure.log]).rstrip()


def _sentence(outcome: Outcome, failure: Failure) -> str:
    cell = f"cell {failure.cell} of {outcome.total}"
    match failure.cause:
        case Cause.ERROR:
            return f"{cell} raised {failure.error}"
        case Cause.TIMEOUT:
            return f"{cell} took longer than --timeout allows and was interrupted"
        case Cause.SIGNAL:
            return f"interrupted in {cell}" if failure.cell else "interrupted before the first cell"
        case Cause.DEAD_KERNEL:
            return f"the kernel died in {cell}" if failure.cell else "the kernel died before it was ready"


def _excerpt(source: str) -> str:
    lines = source.strip().splitlines()
    shown = lines[:SHOWN_SOURCE_LINES] + ["…"] * (len(lines) > SHOWN_SOURCE_LINES)
    return "".join(f"    {line}\n" for line in shown)
