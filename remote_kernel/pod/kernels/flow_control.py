"""Flow control: holds an interpreter that outruns its readers until they have caught up."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# A kernel whose reader is so far behind is held until the reader is nearly there.
HOLD_BYTES = 32 * 1024 * 1024
GO_BYTES = 8 * 1024 * 1024

# A reader that takes nothing for so long, as in a laptop that sleeps, holds nobody: the kernel goes on, and the journal
# keeps what it can.
PATIENCE_SECONDS = 5.0


class Reader:
    """One open stream: how many bytes it is behind, and when it last took some (seconds, monotonic)."""

    def __init__(self) -> None:
        self.behind = 0
        self.took_at = time.monotonic()


class FlowControl:
    """Decides when a kernel is to be held.

    Args:
        hold: called with `True` when the kernel is to stop talking and with `False` when it may go on.
    """

    def __init__(self, hold: Callable[[bool], None]) -> None:
        self._hold = hold
        self._readers: set[Reader] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._free_until = 0.0

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """Open a stream."""
        reader = Reader()
        self._readers.add(reader)
        try:
            yield reader
        finally:
            self._readers.remove(reader)
            self._go_if_possible()

    def said(self, size: int) -> None:
        """The kernel has said so many bytes."""
        for reader in self._readers:
            reader.behind += size
        if self._timer is None and self._is_outrun(HOLD_BYTES) and time.monotonic() > self._free_until:
            self._hold(True)
            self._look_again()

    def took(self, reader: Reader, size: int) -> None:
        """A reader has passed on so many bytes, or been told that they were dropped."""
        reader.behind = max(0, reader.behind - size)
        reader.took_at = time.monotonic()
        self._go_if_possible()

    def free(self) -> None:
        """Let the kernel go on for a while, whoever is behind: it has been interrupted, and must be able to notice."""
        self._free_until = time.monotonic() + PATIENCE_SECONDS
        self.go()

    def go(self) -> None:
        """Hold the kernel no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._hold(False)

    def _is_outrun(self, behind: int) -> bool:
        since = time.monotonic() - PATIENCE_SECONDS
        return any(reader.behind > behind and reader.took_at > since for reader in self._readers)

    def _go_if_possible(self) -> None:
        if not self._is_outrun(GO_BYTES):
            self.go()

    def _look_again(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self._check)

    def _check(self) -> None:
        if self._is_outrun(GO_BYTES):
            self._look_again()
        else:
            self.go()
