"""Namespaces to be saved: what makes them, what changes in them, and how to see that a variable is what it was."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ARRAYS = 10


@dataclass(frozen=True, kw_only=True)
class Namespace:
    """A namespace.

    Attributes:
        cells: make it.
        change: a cell that changes one variable.
        looks: an expression for each variable; one with another value than before, or none, counts as lost.
    """

    title: str
    cells: Sequence[str]
    change: str
    looks: Mapping[str, str]


def arrays(megabytes: int) -> Namespace:
    """Return some arrays of random numbers, which do not shrink."""
    names = [f"array_{number}" for number in range(ARRAYS)]
    make = f"{', '.join(names)} = (random.random({megabytes * 125_000 // ARRAYS}) for _ in range({ARRAYS}))"
    return Namespace(
        title=f"{megabytes:,} MB of arrays",
        cells=("import numpy as np", "random = np.random.default_rng(0)", make),
        change="array_3[7] = -1.0",
        looks={name: f"__import__('hashlib').sha256({name}).hexdigest()" for name in names},
    )


def variables(count: int) -> Namespace:
    """Return many small variables."""
    value = "{'number': number, 'text': 'x' * (number % 50), 'list': list(range(number % 20))}"
    names = [f"small_{number}" for number in range(count)]
    return Namespace(
        title=f"{count:,} variables",
        cells=(f"for number in range({count}):\n    globals()[f'small_{{number}}'] = {value}",),
        change="small_7['number'] = -1",
        looks={name: name for name in names},
    )


def of_everyday() -> Namespace:
    """Return what notebooks hold, with some of what no program can save."""
    return Namespace(
        title="a notebook of 15 cells",
        cells=(
            "import random, sqlite3, threading\nimport numpy as np, pandas as pd",
            "frame = pd.DataFrame({'a': np.arange(1000.0), 'b': ['x', 'y'] * 500})",
            "base = np.arange(100_000.0); view = base[::2]",
            "class Point:\n    def __init__(self, x): self.x = x\npoint = Point(3); points = [point, Point(4)]",
            "functions = [lambda number=number: number * 2 for number in range(5)]",
            "def counter():\n    total = 0\n    def add():\n        nonlocal total\n        total += 1\n"
            "        return total\n    return add\ncount = counter(); count()",
            "table = {'double': lambda value: 2 * value}",
            "ring = []; ring.append(ring)",
            "generator = np.random.default_rng(5); generator.random(10)",
            "random.seed(3); random.random()",
            "first = {'shared': [1]}; second = {'shared': first['shared']}",
            "rows = (number for number in range(10)); next(rows)",
            "file = open('/tmp/benchmark-of-state.txt', 'w')",
            "database = sqlite3.connect(':memory:')",
            "end = threading.Event(); thread = threading.Thread(target=end.wait, daemon=True); thread.start()",
        ),
        change="frame.loc[7, 'a'] = -1.0",
        looks={
            "frame": "frame.to_csv()",
            "base": "float(base.sum())",
            "view": "view.base is base, float(view.sum())",
            "point": "type(point) is Point, point.x, points[0] is point",
            "functions": "[function() for function in functions]",
            "count": "count.__closure__[0].cell_contents",
            "table": "table['double'](4)",
            "ring": "ring[0] is ring",
            "generator": "generator.bit_generator.state['state']['state']",
            "random": "random.getstate()[1][:3]",
            "second": "second['shared'] is first['shared']",
            "rows": "type(rows).__name__",
            "file": "file.name, file.closed",
            "database": "database.total_changes",
            "thread": "thread.is_alive()",
        },
    )
