"""How long a link has been trying in vain, and when it tries again."""

import time

from remote_kernel.client.retry import Backoff
from remote_kernel.core.errors import RemoteKernelError


class Outage:
    """From the first try that failed to the one that does not."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._backoff = Backoff()

    @property
    def has_begun(self) -> bool:
        """Whether a try has failed already."""
        return self._since is not None

    def end(self, *, for_good: bool = True) -> None:
        """Note that the link was up; unless that was `for_good`, the pauses go on growing from where they are."""
        self._since = None
        if for_good:
            self._backoff.reset()

    def pause(self, problem: RemoteKernelError, patience_seconds: float) -> float:
        """Return how long to wait before the next try; 0 when it has gone on for longer than anybody wants to wait."""
        now = time.monotonic()
        if self._since is None:
            self._since = now
        left = self._since + patience_seconds - now
        return min(self._backoff.next(problem), left) if left > 0 else 0.0
