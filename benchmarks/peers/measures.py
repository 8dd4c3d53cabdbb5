"""What is measured with the peers: the measures that need nothing but Jupyter's messages, in fewer rounds."""

from collections.abc import Iterator
from dataclasses import replace

from benchmarks import samples
from benchmarks.contestants import LOCAL, POOL
from benchmarks.measures import LINES, MEASURES, Measure, ratio

GATEWAY, NODELAY, KERNEL_CLIENT = "gateway", "gateway, TCP_NODELAY", "jkc"

EVERYBODY = (LOCAL, GATEWAY, NODELAY, KERNEL_CLIENT, POOL)

# The slowest peer takes half a minute for what ipykernel does in one second; so there are few rounds of what is large.
ROUNDS = {
    "start": 6,
    "first-result": 5,
    "cell": 20,
    "live-output": 15,
    "inspection": 30,
    "comm": 30,
    "input": 20,
    "interrupt-sleep": 10,
    "lines": 3,
    "large-lines": 3,
    "prints": 3,
    "pictures": 3,
    "large-display": 4,
    "large-text": 4,
    "large-comm": 20,
    "started-together": 2,
    "together": 2,
}

FEWER_LINES = LINES // 5


def _measures() -> Iterator[Measure]:
    for measure in MEASURES:
        if measure.name in ROUNDS:
            mine = replace(measure, of=EVERYBODY, rounds=ROUNDS[measure.name], quick=1)
            yield _with_fewer_lines(mine) if mine.name == "lines" else mine


def _with_fewer_lines(measure: Measure) -> Measure:
    goal = ratio("10 MB in 100-byte lines", 1.0, is_more_better=True)
    return replace(measure, sample=samples.printed(100, FEWER_LINES, flush=False), goals=(goal,))


PEER_MEASURES = tuple(_measures())
