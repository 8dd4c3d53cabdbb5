"""Retry rules: which errors pass, how long to wait for each, and the waiting line's words."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from remote_kernel.core.errors import PoolFull, PoolRefused, PoolUnreachable, RemoteKernelError
from remote_kernel.core.text.human_numbers import count_of
from remote_kernel.core.wire import frames as wire

MIN_BACKOFF_SECONDS = 0.1
MAX_BACKOFF_SECONDS = 5.0

# A typing error in the endpoint should not take minutes to show, a pool that restarts should not matter.
FIRST_CONTACT_SECONDS = 10.0


class Backoff:
    """Growing pauses with jitter, so that many kernels do not come back at once."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._seconds = MIN_BACKOFF_SECONDS

    def next(self, problem: RemoteKernelError) -> float:
        """Return the seconds until the next try: never less than the `Retry-After` of a full pool."""
        least = (problem.retry_after_seconds or 0.0) if isinstance(problem, PoolFull) else 0.0
        pause = self._seconds * random.uniform(0.5, 1.0)  # noqa: S311
        self._seconds = min(self._seconds * 2, MAX_BACKOFF_SECONDS)
        return least + pause if least else pause


def is_passing(problem: RemoteKernelError) -> bool:
    """Return whether trying again may help."""
    if isinstance(problem, PoolRefused):
        return problem.status in {408, 500, 502, 503, 504} and problem.code != wire.AGENT_FAILED
    return isinstance(problem, PoolUnreachable | PoolFull)


def patience(problem: RemoteKernelError, wait_seconds: float) -> float:
    """Return for how many seconds to try for a session, given how long anybody waits for a free one."""
    return wait_seconds if isinstance(problem, PoolFull) else min(FIRST_CONTACT_SECONDS, wait_seconds)


@dataclass(frozen=True, slots=True)
class Wait:
    """Words of the waiting line: some before the time, perhaps some after it, perhaps sentences."""

    reason: str
    detail: str = ""
    more: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Room in a full pool: what was done for it, and what the user can do.

    Attributes:
        freed: how many sessions were given back that nobody could come back to.
        hint: whose the sessions are, as far as that is known here.
    """

    freed: int = 0
    hint: str = ""


# Does something against a full pool. It raises nothing, and takes a few seconds at most.
MakeRoom = Callable[[], Awaitable[Room]]


def describe_wait(problem: RemoteKernelError, room: Room | None = None) -> Wait:
    """Return what to say while a passing problem lasts; `room` was looked for in a full pool."""
    if not isinstance(problem, PoolFull):
        return Wait("waiting for the session pool")
    room = room or Room()
    given_back = f"Gave back {count_of(room.freed, 'session')} that ended programs had left." if room.freed else ""
    detail = f"{problem.usage} in use" if problem.usage else ""
    return Wait("waiting for a free session", detail, " ".join(filter(None, (given_back, room.hint))))


def when_given_up(problem: RemoteKernelError, wait_seconds: float) -> RemoteKernelError:
    """Return the error for a problem that has lasted for longer than anybody wants to wait."""
    if not isinstance(problem, PoolFull):
        return problem
    return PoolFull(
        f"No session of the pool became free within {wait_seconds:g} s. Shut down a notebook that you no longer need, "
        "which frees its session at once, or set REMOTE_KERNEL_WAIT_SECONDS to wait longer; then run the cell again.",
        usage=problem.usage,
    )
