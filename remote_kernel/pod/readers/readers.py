"""Readers of what a kernel says: who is there, when they look, and how they keep up."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from remote_kernel.core.journal.journal import Batch, Journal
from remote_kernel.pod.readers.claims import Claims
from remote_kernel.pod.readers.flow_control import PATIENCE_SECONDS, FlowControl, Stream
from remote_kernel.pod.readers.wakeups import Wakeups


class Readers:
    """Those who follow one kernel, each with a cursor of its own in the kernel's journal.

    Args:
        hold: called with `True` when the kernel is to stop talking and with `False` when it may go on.
        claim_seconds: for how long who has used the kernel may count on it.

    Attributes:
        claims: who they are, and for how long they count on the kernel, in monotonic seconds.
        wakeups: tells them to look: the journal has grown, one of them has come or gone, or it is time to end.
    """

    def __init__(self, journal: Journal, *, hold: Callable[[bool], None], claim_seconds: float) -> None:
        self.wakeups = Wakeups()
        self._journal = journal
        self._hold = hold
        self.claims = Claims(claim_seconds)
        self._flow_control = FlowControl()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def are_outrun(self) -> bool:
        """Return whether the kernel is held until they have caught up."""
        return self._flow_control.is_held

    @contextmanager
    def reading(self, reader: str) -> Iterator[Callable[[Batch], None]]:
        """Count `reader` among those who follow the kernel, which the others are told.

        It calls what it is given with each batch of the journal that it has passed on.
        """
        self.claims.follow(reader, time.monotonic())
        self.wakeups.tell()
        try:
            with self.listening() as took:
                yield took
        finally:
            self.claims.leave(reader, time.monotonic())
            self.wakeups.tell()

    @contextmanager
    def listening(self) -> Iterator[Callable[[Batch], None]]:
        """Be heard for as `reading` is, without being somebody that others are told of: for the agent itself."""
        stream = self._flow_control.open(time.monotonic())
        try:
            yield partial(self._took, stream)
        finally:
            self._flow_control.close(stream, time.monotonic())
            self._apply()

    def _took(self, stream: Stream, batch: Batch) -> None:
        # At the end nobody is behind, and nobody is behind by more than is kept.
        is_at_end = batch.cursor == self._journal.last_sequence
        kept = 0 if is_at_end else self._journal.memory_bytes + self._journal.disk_bytes
        self._flow_control.took(stream, max(batch.size, stream.behind - kept), time.monotonic())
        self._apply()

    def said(self, size: int, *, is_followed: bool) -> None:
        """The journal has got an entry of so many bytes; `is_followed` where another belongs to it and is about to."""
        self._flow_control.said(size, time.monotonic())
        self._apply()
        if is_followed:
            self.wakeups.tell_soon()
        else:
            self.wakeups.tell()

    def free(self) -> None:
        """Let the kernel go on for a while, whoever is behind: it is being interrupted."""
        self._flow_control.free(time.monotonic())
        self._apply()

    def go(self) -> None:
        """Hold the kernel no longer: it has another interpreter."""
        self._flow_control.go()
        self._apply()

    def _apply(self) -> None:
        """Do what flow control has decided, and have it look again while the kernel is held."""
        if self._flow_control.is_held == (self._timer is not None):
            return
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self._look_again)
        else:
            self._timer.cancel()
            self._timer = None
        self._hold(self._flow_control.is_held)

    def _look_again(self) -> None:
        self._flow_control.look(time.monotonic())
        if self._flow_control.is_held:
            self._timer = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self._look_again)
        self._apply()
