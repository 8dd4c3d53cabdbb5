"""Future whose task goes on in the very callback of the event loop that brings what it waits for.

asyncio has a task go on in the next turn of the loop, which is one more call of the system for each piece that comes
through a socket, and took an eighth of the time of a cell here. What a task waits for need only be like a Future:
https://docs.python.org/3/library/asyncio-future.html#asyncio.isfuture
"""

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any


class Arrival(asyncio.Future[None]):
    """Something that is to come, for one task to wait for."""

    _go_on: Callable[[Any], object] | None = None
    _context: Context

    def add_done_callback(self, fn: Callable[[Any], object], *, context: Context | None = None) -> None:
        """Note how the task that has begun to wait goes on."""
        self._go_on, self._context = fn, copy_context() if context is None else context

    def arrive(self) -> None:
        """Have the task go on, before this returns if no task is running; else it would interrupt that one."""
        go_on = self._go_on
        if go_on is None or asyncio.current_task() is not None:
            self.arrive_soon()
            return
        self._go_on = None
        self.set_result(None)
        self._context.run(go_on, self)

    def arrive_soon(self) -> None:
        """Have the task go on in the next turn, behind what the caller is about."""
        self.set_result(None)
        self._go_on_soon()

    def cancel(self, msg: Any | None = None) -> bool:
        """See `asyncio.Future`."""
        is_cancelled = super().cancel(msg)
        if is_cancelled:
            self._go_on_soon()
        return is_cancelled

    def _go_on_soon(self) -> None:
        go_on, self._go_on = self._go_on, None
        if go_on is not None:
            self.get_loop().call_soon(go_on, self, context=self._context)
