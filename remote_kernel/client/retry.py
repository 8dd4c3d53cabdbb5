"""When to try again, how soon, and what to say meanwhile."""

import random

from remote_kernel.core.errors import PoolFull, PoolRefused, PoolUnreachable, RemoteKernelError

MIN_BACKOFF_SECONDS = 0.1
MAX_BACKOFF_SECONDS = 5.0


class Backoff:
    """Growing pauses with jitter, so that many kernels do not come back at once."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._seconds = MIN_BACKOFF_SECONDS

    def next(self, problem: RemoteKernelError) -> float:
        """Return the seconds until the next try; a `Retry-After` is taken as an upper bound."""
        pause = self._seconds * random.uniform(0.5, 1.0)  # noqa: S311
        self._seconds = min(self._seconds * 2, MAX_BACKOFF_SECONDS)
        return pause


def is_passing(problem: RemoteKernelError) -> bool:
    """Whether trying again may help."""
    if isinstance(problem, PoolRefused):
        return problem.status in {408, 500, 502, 503, 504}
    return isinstance(problem, PoolUnreachable | PoolFull)


def describe_wait(problem: RemoteKernelError) -> str:
    """Return the few words that the cell shows while it waits."""
    return "waiting for a free session" if isinstance(problem, PoolFull) else "waiting for the session pool"
