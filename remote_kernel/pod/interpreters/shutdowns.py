"""Interpreters on their way out: each is asked to end, has time for its exit handlers, and is then killed."""

import asyncio
import logging
from collections.abc import Coroutine

from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.pod.interpreters.interpreter import Interpreter

_log = logging.getLogger(__name__)

# What jupyter_client gives a kernel between request and kill (`shutdown_wait_time`). It sends SIGTERM after half
# of it, which ends an IPython kernel without its exit handlers; on a busy machine these need the other half as well.
GRACE_SECONDS = 5.0

# A pool that stops waits for this; see `remote_kernel.pool.processes.pods`.
LAST_GRACE_SECONDS = 3.0


class Shutdowns:
    """The interpreters of one pod that are being ended, by the names of the kernels that they were of.

    Args:
        grace_seconds: how long one may take that was asked to end.
    """

    def __init__(self, *, grace_seconds: float = GRACE_SECONDS) -> None:
        self._grace_seconds = grace_seconds
        self._tasks: dict[asyncio.Task[None], str] = {}
        self._asking: set[asyncio.Task[None]] = set()

    def begin(self, kernel: str, interpreter: Interpreter, *, restart: bool, interrupts: bool) -> None:
        """Ask an interpreter to end, and kill it when it does not; `interrupts` stops the cell that it runs."""
        self._add(kernel, self._shut_down(kernel, interpreter, restart=restart, interrupts=interrupts))

    def kill(self, kernel: str, interpreter: Interpreter) -> None:
        """End one in which no code of a user has run, or that has died."""
        self._add(kernel, interpreter.kill())

    def give_up(self, kernel: str, starting: asyncio.Task[Interpreter]) -> None:
        """End one that was started and that nobody will ask for."""
        self._add(kernel, self._give_up(starting))

    def has(self, kernel: str) -> bool:
        """Return whether one of that kernel's is left."""
        return kernel in self._tasks.values()

    async def wait(self, kernel: str) -> None:
        """Return when none of that kernel's is left."""
        while tasks := [task for task, name in self._tasks.items() if name == kernel]:
            await asyncio.wait(tasks)

    async def aclose(self) -> None:
        """End those that are left, by force after a while, and return when they have ended."""
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=LAST_GRACE_SECONDS)
        for asking in self._asking:  # only these: a kill that is cancelled leaves half of what it was to end
            asking.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks))

    def _add(self, kernel: str, ending: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(ending)
        self._tasks[task] = kernel
        task.add_done_callback(self._note_end)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        kernel = self._tasks.pop(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error(LogEvent("interpreter not ended", kernel=kernel), exc_info=error)

    async def _shut_down(self, kernel: str, interpreter: Interpreter, *, restart: bool, interrupts: bool) -> None:
        asking = asyncio.create_task(interpreter.shut_down(restart=restart, interrupts=interrupts))
        self._asking.add(asking)
        await asyncio.wait([asking], timeout=self._grace_seconds)
        self._asking.discard(asking)
        if not asking.done() or asking.cancelled():
            asking.cancel()
            _log.warning(LogEvent("interpreter killed", kernel=kernel, detail="it did not end when it was asked to"))
        elif (error := asking.exception()) is not None:
            _log.error(LogEvent("interpreter not asked to end", kernel=kernel), exc_info=error)
        await interpreter.kill()

    async def _give_up(self, starting: asyncio.Task[Interpreter]) -> None:
        starting.cancel()
        await asyncio.wait([starting])
        if not starting.cancelled() and starting.exception() is None:
            await starting.result().kill()
