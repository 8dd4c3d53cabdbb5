"""Ctrl-C in an asyncio program: asked politely once, at once the second time."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

HANDLED = (signal.SIGINT, signal.SIGTERM)


@dataclass(slots=True, eq=False)
class Watch:
    """A task that signals are for.

    Attributes:
        is_patient: whether the first signal only sets `Signals.received`, for a task that watches it. Otherwise, and
            from the second signal on, the task is cancelled.
    """

    task: asyncio.Task[object]
    is_patient: bool = False


class Signals:
    """What SIGINT and SIGTERM have asked for.

    Attributes:
        received: set by the first signal.
        number: which signal came last; 0 before there was one.
    """

    def __init__(self) -> None:
        self.received = asyncio.Event()
        self.number = 0
        self._watches: set[Watch] = set()

    def handle(self, number: int) -> None:
        """Take note of one signal."""
        for watch in self._watches:
            if self.received.is_set() or not watch.is_patient:
                watch.task.cancel()
        self.number = number
        self.received.set()

    @contextmanager
    def watch(self) -> Iterator[Watch]:
        """Let signals cancel the current task for as long as this lasts."""
        task = asyncio.current_task()
        assert task is not None
        watch = Watch(task)
        self._watches.add(watch)
        try:
            yield watch
        finally:
            self._watches.remove(watch)


@asynccontextmanager
async def watch_signals() -> AsyncIterator[Signals]:
    """Handle signals; must be used in the main thread. Nothing is left in place after it."""
    signals = Signals()
    loop = asyncio.get_running_loop()
    for number in HANDLED:
        loop.add_signal_handler(number, signals.handle, number)
    try:
        yield signals
    finally:
        for number in HANDLED:
            loop.remove_signal_handler(number)
