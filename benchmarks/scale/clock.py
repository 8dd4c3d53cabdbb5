"""Simulated time: processes that sleep or queue, and nothing between their wakings."""

import heapq
import itertools
from collections.abc import Callable, Generator


class Queue:
    """Processes that wait until somebody wakes them."""

    def __init__(self) -> None:
        self.waiting: list[Process] = []


# What a process does next: sleep so many seconds, or wait in a queue.
Process = Generator[float | Queue, None, None]


class Clock:
    """Runs processes in the order of their wakings; equal times in the order in which they were asked for."""

    def __init__(self) -> None:
        self.now = 0.0
        self._order = itertools.count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []

    def call_later(self, seconds: float, action: Callable[[], None]) -> None:
        """Have `action` called when so many seconds have passed."""
        heapq.heappush(self._due, (self.now + seconds, next(self._order), action))

    def start(self, process: Process, seconds: float = 0.0) -> None:
        """Have a process go on when so many seconds have passed."""
        self.call_later(seconds, lambda: self.wake(process))

    def wake(self, process: Process) -> None:
        """Let a process go on until it sleeps or queues again."""
        wish = next(process, None)
        if isinstance(wish, Queue):
            wish.waiting.append(process)
        elif wish is not None:
            self.start(process, wish)

    def run(self) -> None:
        """Run until nothing is left to do."""
        while self._due:
            self.now, _, action = heapq.heappop(self._due)
            action()
