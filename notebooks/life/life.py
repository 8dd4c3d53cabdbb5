"""Conway's Game of Life, in a world whose edges meet."""

import numpy as np

AROUND = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if (down, right) != (0, 0)]


def read(path):
    """Return a pattern as an array of zeros and ones."""
    return np.array([[int(mark == "O") for mark in line] for line in path.read_text().split()])


def populate(height, width, placed):
    """Return a world with patterns in it; `placed` has pairs of a pattern and its upper left corner."""
    world = np.zeros((height, width), dtype=int)
    for pattern, (down, right) in placed:
        world[down : down + len(pattern), right : right + len(pattern[0])] = pattern
    return world


def step(world):
    """Return the next generation: a cell lives on with two or three neighbours, and is born with three."""
    neighbours = sum(np.roll(world, way, axis=(0, 1)) for way in AROUND)
    return ((neighbours == 3) | ((neighbours == 2) & (world == 1))).astype(int)
