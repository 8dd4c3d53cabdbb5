"""Ctrl-C in an asyncio program: asked politely once, at once the second time."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

HANDLED = (signal.SIGINT, signal.SIGTERM)


class Signals:
    """What SIGINT and SIGTERM have asked for.

    Attributes:
        received: set by the first signal.
        number: which signal came last; 0 before there was one.
        is_patient: whether the first signal only sets `received`, for a task that watches it. Otherwise, and from
            the second signal on, the task is cancelled.
    """

    def __init__(self, task: asyncio.Task[object]) -> None:
        self.received = asyncio.Event()
        self.number = 0
        self.is_patient = False
        self._task = task

    def handle(self, number: int) -> None:
        """Take note of one signal."""
        if self.received.is_set() or not self.is_patient:
            self._task.cancel()
        self.number = number
        self.received.set()


@asynccontextmanager
async def watch_signals() -> AsyncIterator[Signals]:
    """Handle signals for the current task, which must run in the main thread; nothing is left in place after it."""
    task = asyncio.current_task()
    assert task is not None
    signals = Signals(task)
    loop = asyncio.get_running_loop()
    for number in HANDLED:
        loop.add_signal_handler(number, signals.handle, number)
    try:
        yield signals
    finally:
        for number in HANDLED:
            loop.remove_signal_handler(number)
