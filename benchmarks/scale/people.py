"""How people work with notebooks, drawn once, so that every policy meets the same day."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

MINUTE = 60.0
HOUR = 60 * MINUTE

# Assumptions, not measurements. A sitting is work in one notebook without a break.
CELLS_PER_SITTING = 8.0
THINK_SECONDS = 40.0
CELL_MEDIAN_SECONDS = 3.0
CELL_SPREAD = 1.5  # sigma of a lognormal distribution: one cell in twenty takes more than half a minute
LONG_CELL_SHARE = 0.02
LONG_CELL_SECONDS = (5 * MINUTE, 20 * MINUTE)
SWITCH_SHARE = 0.8  # of the pauses lead to the next notebook, the others are breaks
SWITCH_SECONDS = 2 * MINUTE
BREAK_SECONDS = 40 * MINUTE
RETURN_SHARE = 0.25  # of the sittings are in a notebook that was left not long ago
RECENT_NOTEBOOKS = 3
CLOSE_SHARE = 0.2  # of the notebooks are shut down when they are left
ARRIVAL_SECONDS = 2 * HOUR
DAY_SECONDS = 8 * HOUR


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell: how long its author thinks before it, and how long it runs."""

    think_seconds: float
    run_seconds: float


@dataclass(frozen=True, slots=True)
class Sitting:
    """Work in one of a person's notebooks, after a pause."""

    pause_seconds: float
    notebook: int
    cells: tuple[Cell, ...]
    is_closed: bool


@dataclass(frozen=True, slots=True)
class Person:
    """What somebody does on one day, if nothing makes them wait."""

    name: str
    arrives_at: float
    sittings: tuple[Sitting, ...]


def draw_people(count: int, notebooks_each: int, seed: int) -> list[Person]:
    """Draw the day of `count` people; the same arguments give the same day."""
    chance = random.Random(seed)
    return [_draw_person(f"person-{number}", notebooks_each, chance) for number in range(count)]


def draw_batch(count: int, seed: int) -> list[Person]:
    """Draw `count` notebooks that are started at the same moment, run from top to bottom, and shut down."""
    chance = random.Random(seed)
    sittings = ((Sitting(0.0, 0, tuple(_without_thinking(_draw_cells(chance))), True),) for _ in range(count))
    return [Person(f"job-{number}", 0.0, sitting) for number, sitting in enumerate(sittings)]


def _without_thinking(cells: tuple[Cell, ...]) -> Iterator[Cell]:
    return (Cell(0.0, cell.run_seconds) for cell in cells)


def _draw_person(name: str, notebooks: int, chance: random.Random) -> Person:
    arrives_at = chance.uniform(0, ARRIVAL_SECONDS)
    return Person(name, arrives_at, tuple(_draw_sittings(notebooks, chance)))


def _draw_sittings(notebooks: int, chance: random.Random) -> Iterator[Sitting]:
    worked, visited = 0.0, [0]
    yield Sitting(0.0, 0, _draw_cells(chance), False)
    while (worked := worked + (pause := _draw_pause(chance))) < DAY_SECONDS:
        visited.append(_choose(visited, notebooks, chance))
        sitting = Sitting(pause, visited[-1], _draw_cells(chance), chance.random() < CLOSE_SHARE)
        worked += sum(cell.think_seconds + cell.run_seconds for cell in sitting.cells)
        yield sitting


def _draw_pause(chance: random.Random) -> float:
    mean = SWITCH_SECONDS if chance.random() < SWITCH_SHARE else BREAK_SECONDS
    return chance.expovariate(1 / mean)


def _choose(visited: list[int], notebooks: int, chance: random.Random) -> int:
    if chance.random() < RETURN_SHARE:
        return chance.choice(visited[-RECENT_NOTEBOOKS:])
    return (max(visited) + 1) % notebooks


def _draw_cells(chance: random.Random) -> tuple[Cell, ...]:
    count = 1 + int(chance.expovariate(1 / (CELLS_PER_SITTING - 0.5)))
    return tuple(Cell(chance.expovariate(1 / THINK_SECONDS), _draw_run(chance)) for _ in range(count))


def _draw_run(chance: random.Random) -> float:
    if chance.random() < LONG_CELL_SHARE:
        return chance.uniform(*LONG_CELL_SECONDS)
    return CELL_MEDIAN_SECONDS * chance.lognormvariate(0, CELL_SPREAD)
