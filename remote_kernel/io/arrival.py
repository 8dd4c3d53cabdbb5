"""Future whose task goes on in the very callback of the event loop that brings what it waits for, and more of the kind.

asyncio has a task go on in the next turn of the loop, which is one more call of the system for each piece that comes
through a socket, and took an eighth of the time of a cell here. What a task waits for need only be like a Future:
https://docs.python.org/3/library/asyncio-future.html#asyncio.isfuture
"""

import asyncio
import threading
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any


class _Callback(threading.local):
    """Callback in which a task goes on by an arrival.

    Attributes:
        behind: what is called at its end; `None` where there is no such callback.
    """

    behind: list[Callable[[], object]] | None = None


_callback = _Callback()


def call_behind(function: Callable[[], object]) -> None:
    """Call a function when the current task waits, in the same callback if that goes on by an arrival."""
    if _callback.behind is None:
        asyncio.get_running_loop().call_soon(function)
    else:
        _callback.behind.append(function)


class Arrival(asyncio.Future[None]):
    """Something that is to come, for one task to wait for."""

    _go_on: Callable[[Any], object] | None = None
    _context: Context

    def add_done_callback(self, fn: Callable[[Any], object], *, context: Context | None = None) -> None:
        """Note how the task that has begun to wait goes on."""
        self._go_on, self._context = fn, copy_context() if context is None else context

    def arrive(self) -> None:
        """Have the task go on, before this returns if no task is running; else it would interrupt that one."""
        if asyncio.current_task() is not None:
            self.arrive_behind()
            return
        self.set_result(None)
        behind: list[Callable[[], object]] = []
        _callback.behind = behind
        try:
            self._go_on_now()
        finally:
            _callback.behind = None
            for function in behind:
                _call(function)

    def arrive_behind(self) -> None:
        """Have the task go on as `call_behind` says. What it brings in its turn takes another turn of the loop, so that
        others have theirs."""
        self.set_result(None)
        call_behind(self._go_on_now)

    def _go_on_now(self) -> None:
        go_on, self._go_on = self._go_on, None
        if go_on is not None:
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


def _call(function: Callable[[], object]) -> None:
    """Call it as the event loop does, for whom an exception is no reason to leave out what follows."""
    try:
        function()
    except Exception as error:
        context = {"message": "Exception behind an arrival", "exception": error}
        asyncio.get_running_loop().call_exception_handler(context)


class Signal:
    """An `asyncio.Event` for one task, which goes on when the one waits that sets it: see `call_behind`."""

    def __init__(self) -> None:
        self._is_set = False
        self._arrival: Arrival | None = None

    def set(self) -> None:
        """Have the task go on, or not wait."""
        self._is_set = True
        if self._arrival is not None and not self._arrival.done():
            self._arrival.arrive_behind()

    def clear(self) -> None:
        """Have the task wait from now on."""
        self._is_set = False

    async def wait(self) -> None:
        """Return when it is set; one task at a time may wait."""
        if not self._is_set:
            self._arrival = Arrival()
            await self._arrival
