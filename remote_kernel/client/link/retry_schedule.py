"""Outage of a link: its length so far, and the pause before the next try."""

import time
from dataclasses import replace

from remote_kernel.client.link.retry import Backoff, Room
from remote_kernel.core.errors import PoolFull, RemoteKernelError

# A pod that was given back goes within a few seconds; meanwhile it is worth asking often.
GOING_SECONDS = 6.0
SOON_SECONDS = 0.5


class RetrySchedule:
    """From the first try that failed to the one that does not.

    Waiting in a queue and not getting through are two things, with a patience each: who has been cut off for hours has
    not queued yet, and a moment without a connection is no reason to leave the queue.
    """

    def __init__(self) -> None:
        self._full_since: float | None = None
        self._silent_since: float | None = None
        self._backoff = Backoff()
        self._freed = 0
        self._freed_at = float("-inf")

    @property
    def has_begun(self) -> bool:
        """Return whether a try has failed already."""
        return self._full_since is not None or self._silent_since is not None

    def end(self, *, for_good: bool = True) -> None:
        """Note that the link was up; unless that was `for_good`, the pauses go on growing from where they are."""
        self._full_since = self._silent_since = None
        self._freed = 0
        if for_good:
            self._backoff.reset()

    def pause(self, problem: RemoteKernelError, patience_seconds: float) -> float:
        """Return how long to wait before the next try; 0 when it has gone on for longer than anybody wants to wait."""
        now = time.monotonic()
        left = self._note(problem, now) + patience_seconds - now
        pause = self._backoff.next(problem)
        if isinstance(problem, PoolFull) and now - self._freed_at < GOING_SECONDS:
            pause = min(pause, SOON_SECONDS)
        return min(pause, left) if left > 0 else 0.0

    def note_room(self, room: Room) -> Room:
        """Take note of what was done against a full pool; return what was done since the outage began."""
        if room.freed:
            self._freed += room.freed
            self._freed_at = time.monotonic()
        return replace(room, freed=self._freed)

    def _note(self, problem: RemoteKernelError, now: float) -> float:
        """Return since when it has been like this."""
        if isinstance(problem, PoolFull):
            self._silent_since = None  # the pool has answered
            self._full_since = now if self._full_since is None else self._full_since
            return self._full_since
        self._silent_since = now if self._silent_since is None else self._silent_since
        return self._silent_since
