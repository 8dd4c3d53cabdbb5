"""Clock: what the time is, as something that can be passed in."""

import time
from collections.abc import Callable
from typing import NamedTuple


class Clock(NamedTuple):
    """Clock of a process.

    Attributes:
        monotonic: returns seconds that only grow, for how long something takes.
        wall: returns seconds since 1970, for people and for other processes.
    """

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
