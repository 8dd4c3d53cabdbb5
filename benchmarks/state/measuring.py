"""Measures of one way with one namespace: what saving takes, what restoring takes, what is lost."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.front_end import CellFailed, ConnectionLost, FrontEnd, text_of
from benchmarks.state.namespaces import Namespace
from benchmarks.state.ways import Way, seconds_of

# What cells print, so that it is seen where they run again.
RAN = "a cell has run"

# Runs in any kernel, and leaves no name behind.
_LOOK = """
import json, hashlib
seen = {}
for name, expression in looks.items():
    try:
        seen[name] = hashlib.sha256(repr(eval(expression, space)).encode()).hexdigest()[:16]
    except Exception as error:
        seen[name] = ""
print(json.dumps(seen))
"""


@dataclass
class Outcome:
    """Outcome of a way with a namespace.

    Attributes:
        made_seconds: what the cells took that make it; with kishu they save.
        saved_seconds, saved_bytes: of the first save.
        again_seconds, again_bytes: of one after one variable has changed; with kishu, the cell that changes it.
        restored_seconds: in a new interpreter.
        ran_again: cells that were run again for that.
        lost: names of variables that are not there, or not what they were.
        failed: why it ended early, "" where it did not.
    """

    made_seconds: float = 0.0
    saved_seconds: float = 0.0
    saved_bytes: int = 0
    again_seconds: float = 0.0
    again_bytes: int = 0
    restored_seconds: float = 0.0
    ran_again: int = 0
    lost: tuple[str, ...] = ()
    failed: str = ""


def measure(way: Way, namespace: Namespace) -> Outcome:
    """Take all measures; a way that fails has those until then."""
    outcome = Outcome()
    try:
        _measure(way, namespace, outcome)
    except (CellFailed, ConnectionLost, TimeoutError) as error:
        outcome.failed = (str(error).splitlines() or [type(error).__name__])[0][:120]
    finally:
        way.close()
    return outcome


def _measure(way: Way, namespace: Namespace, outcome: Outcome) -> None:
    kernel = way.kernel
    outcome.made_seconds = seconds_of(lambda: _run(kernel, *namespace.cells))
    outcome.saved_seconds = seconds_of(way.save) + (outcome.made_seconds if way.saves else 0.0)
    outcome.saved_bytes = way.size()
    change_seconds = seconds_of(lambda: _run(kernel, namespace.change))
    outcome.again_seconds = seconds_of(way.save) + (change_seconds if way.saves else 0.0)
    outcome.again_bytes = way.size() - outcome.saved_bytes
    before = look(kernel, namespace.looks)
    way.lose()
    began = time.perf_counter()
    outcome.ran_again = way.restore().count(RAN)
    outcome.restored_seconds = time.perf_counter() - began
    after = look(way.kernel, namespace.looks)
    outcome.lost = tuple(name for name in namespace.looks if not before[name] or after[name] != before[name])


def _run(kernel: FrontEnd, *cells: str) -> None:
    for cell in cells:
        kernel.run(f"{cell}\nprint({RAN!r})")


def look(kernel: FrontEnd, looks: Mapping[str, str]) -> dict[str, str]:
    """Return a digest of what each expression gives, "" where it raises."""
    said = text_of(kernel.run(f"exec({_LOOK!r}, {{'looks': {dict(looks)!r}, 'space': globals()}})"))
    seen: dict[str, str] = json.loads(said.splitlines()[-1])
    return seen
