"""Ctrl-C in an asyncio program: asked politely once, at once the second time."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial

from remote_kernel.io.system.signals import HANGUP, handling, wanted


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
    """Stop requests by signals.

    Attributes:
        received: set by the first signal.
        number: which signal came last; 0 before there was one.
    """

    def __init__(self) -> None:
        self.received = asyncio.Event()
        self.number = 0
        self._watches: set[Watch] = set()
        self._terminals = [descriptor for descriptor in (1, 2) if os.isatty(descriptor)]

    def handle(self, number: int) -> None:
        """Take note of one signal."""
        if number == HANGUP:
            self._leave_terminals()
        for watch in self._watches:
            if self.received.is_set() or not watch.is_patient:
                watch.task.cancel()
        self.number = number
        self.received.set()

    def _leave_terminals(self) -> None:
        """Write nowhere from now on instead of to a terminal that was closed, as each attempt would be an error."""
        for descriptor in self._terminals:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)
        self._terminals = []

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
    """Handle signals; must be used in the main thread. Nothing is left in place after it.

    A SIGHUP that is ignored stays so: `nohup` has asked for that.
    """
    signals = Signals()
    with handling({number: partial(signals.handle, number) for number in wanted()}):
        yield signals
