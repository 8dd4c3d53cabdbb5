"""Interrupts of a kernel's cells: at once, when they begin, or of what keeps them from beginning."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

from remote_kernel.core.jupyter.interrupt_aim import Aim
from remote_kernel.pod.kernels.cells import Cell, Cells
from remote_kernel.pod.kernels.lifecycle import Lifecycle
from remote_kernel.pod.readers.readers import Readers

# A kernel says that it has begun before it compiles the code; an interrupt within that may be overlooked.
CODE_BEGINS_SECONDS = 0.05

# A cell that has not begun within this waits for something else that the interpreter does.
CELL_BEGINS_SECONDS = 0.5

# An interrupt right behind another one could hit what the kernel does at the end of the cell, which has no reply then.
HITS_APART_SECONDS = 0.25

# How long the next cell waits for one that has been interrupted to end; an interrupt takes milliseconds.
UNWANTED_SECONDS = 2.0


class Interrupts:
    """Interrupts the interpreter of one kernel.

    Args:
        cells: decides what is hit.
        readers: hold up nobody who is interrupted, and are woken by what a cell says.
        keep: does something in a task of its own.
    """

    def __init__(
        self, cells: Cells, lifecycle: Lifecycle, readers: Readers,
        *, keep: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:  # fmt: skip
        self._cells = cells
        self._lifecycle = lifecycle
        self._readers = readers
        self._keep = keep

    async def take(self, aim: Aim, seen: int) -> None:
        """Interrupt what an interrupt hits, now or later; see `Cells.are_hit`."""
        if self._cells.are_hit(aim, seen):
            await self._hit(self._cells.running)
        elif not aim.is_exclusive and self._cells.are_kept_waiting(aim):
            self._keep(self._hit_other(aim))

    def note_busy(self, cell: Cell) -> None:
        """Interrupt a cell that has just begun, if it is to be."""
        if cell.aim is not None:
            self._keep(self._hit(cell))

    async def _hit(self, cell: Cell | None) -> None:
        """Interrupt a cell, once its code runs and not right behind the last time, if it goes on; else what runs.

        An interrupt of a cell that has one to come is the same one, as with signals.
        """
        if cell is None:
            await self._interrupt()
            return
        now = asyncio.get_running_loop().time()
        if cell.hit_at > now:
            return
        code_begins, again = cell.began + CODE_BEGINS_SECONDS, cell.hit_at + HITS_APART_SECONDS
        cell.hit_at = max(now, code_begins, again)
        hitting = self._hit_later(cell, cell.hit_at - now)
        if again > now:  # which is too long for what is behind it
            self._keep(hitting)
        else:
            await hitting

    async def _hit_later(self, cell: Cell, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if not cell.is_idle and cell in self._cells:
            self._cells.note_hit(cell)
            await self._interrupt()

    async def _hit_other(self, aim: Aim) -> None:
        """Interrupt what is no cell, such as what a widget's message does, where cells that are to be wait for it."""
        await asyncio.sleep(CELL_BEGINS_SECONDS)
        if self._cells.are_kept_waiting(aim):
            await self._interrupt()

    async def _interrupt(self) -> None:
        if self._lifecycle.current is not None:
            self._readers.free()
            self._cells.is_interrupted = True
            await self._lifecycle.current.interrupt()

    async def wait_unwanted(self) -> None:
        """Return when no cell runs that was to be interrupted, with nobody waiting for it."""
        if not self._cells.has_unwanted:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(UNWANTED_SECONDS):
                while self._cells.has_unwanted:
                    await self._readers.wakeups.next.wait()
