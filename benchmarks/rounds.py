"""Taking samples: the contestants one after the other, round by round, so that each ratio is of the same moment."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from benchmarks.contestants import Contestant
from benchmarks.front_end import CellFailed, ConnectionLost
from benchmarks.measures import Measure
from benchmarks.samples import Incomplete


@dataclass(slots=True)
class Outcome:
    """What came of one measure.

    Attributes:
        samples: by contestant, in rounds.
        lost: by contestant, what was missing; such a contestant has no number.
    """

    measure: Measure
    samples: dict[str, list[float]] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)


def take(
    measure: Measure, contestants: Mapping[str, Contestant], *, is_quick: bool, say: Callable[[str], None]
) -> Outcome:
    """Take all the samples of a measure from those of its contestants that are here."""
    outcome = Outcome(measure, samples={name: [] for name in measure.of if name in contestants})
    rounds = measure.quick if is_quick else measure.rounds
    for number in range(rounds):
        say(f"{measure.name}: round {number + 1} of {rounds}")
        # Whoever comes second finds warm caches and a hot processor: take turns.
        for name in list(outcome.samples)[:: 1 if number % 2 == 0 else -1]:
            _take_from(contestants[name], outcome)
    return outcome


def _take_from(contestant: Contestant, outcome: Outcome) -> None:
    if contestant.name in outcome.lost:
        return
    try:
        taken = [outcome.measure.sample(contestant) for _ in range(outcome.measure.each)]
    except (CellFailed, ConnectionLost, Incomplete, TimeoutError) as error:
        outcome.lost[contestant.name] = str(error)
        contestant.close()  # nobody knows what that kernel still has to say
    else:
        outcome.samples[contestant.name] += taken
