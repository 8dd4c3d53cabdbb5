"""How long a link has been trying in vain, and when it tries again."""

import time

from remote_kernel.client.retry import Backoff
from remote_kernel.core.errors import PoolFull, RemoteKernelError


class Outage:
    """From the first try that failed to the one that does not.

    Waiting in a queue and not getting through are two things, with a patience each: who has been cut off for hours has
    not queued yet, and a moment without a connection is no reason to leave the queue.
    """

    def __init__(self) -> None:
        self._full_since: float | None = None
        self._silent_since: float | None = None
        self._backoff = Backoff()

    @property
    def has_begun(self) -> bool:
        """Whether a try has failed already."""
        return self._full_since is not None or self._silent_since is not None

    def end(self, *, for_good: bool = True) -> None:
        """Note that the link was up; unless that was `for_good`, the pauses go on growing from where they are."""
        self._full_since = self._silent_since = None
        if for_good:
            self._backoff.reset()

    def pause(self, problem: RemoteKernelError, patience_seconds: float) -> float:
        """Return how long to wait before the next try; 0 when it has gone on for longer than anybody wants to wait."""
        now = time.monotonic()
        left = self._note(problem, now) + patience_seconds - now
        return min(self._backoff.next(problem), left) if left > 0 else 0.0

    def _note(self, problem: RemoteKernelError, now: float) -> float:
        """Return since when it has been like this."""
        if isinstance(problem, PoolFull):
            self._silent_since = None  # the pool has answered
            self._full_since = now if self._full_since is None else self._full_since
            return self._full_since
        self._silent_since = now if self._silent_since is None else self._silent_since
        return self._silent_since
