"""Retry rules: which errors pass, how long to wait for each and when to give up, and the waiting line's words.

Every loop that tries again asks `Retry.next_wait`, which decides and does nothing: the error, the time and the budget
go in, a number of seconds comes out.
"""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from remote_kernel.core.errors import PoolFull, PoolRefused, PoolUnreachable, RemoteKernelError
from remote_kernel.core.text.human_numbers import count_of
from remote_kernel.core.wire import frames as wire

MIN_BACKOFF_SECONDS = 0.1
MAX_BACKOFF_SECONDS = 5.0

# A typing error in the endpoint should not take minutes to show, a pool that restarts should not matter.
FIRST_CONTACT_SECONDS = 10.0

# A pod that was given back goes within a few seconds; meanwhile it is worth asking often.
GOING_SECONDS = 6.0
SOON_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Bounds on how long to go on trying.

    Waiting in a queue and not getting through are two things, with a time each: who has been cut off for hours has not
    queued yet, and a moment without a connection is no reason to leave the queue.

    Attributes:
        full_seconds: while the pool is full.
        silent_seconds: while nothing gets through, or nothing but other passing errors.
        max_counted: how many errors of the types `counted` are one too many.
    """

    full_seconds: float = float("inf")
    silent_seconds: float = float("inf")
    max_counted: int = 0
    counted: tuple[type[RemoteKernelError], ...] = ()


FOR_EVER = Budget()


def first_contact(wait_seconds: float) -> Budget:
    """Return the budget for a session that need not be there, given how long anybody waits for a free one."""
    return Budget(full_seconds=wait_seconds, silent_seconds=min(FIRST_CONTACT_SECONDS, wait_seconds))


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


class Retry:
    """Tries of one thing, from the first that fails to the one that does not.

    Args:
        chance: returns a number between 0 and 1, so that many kernels do not come back at once.
    """

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        self._chance = chance
        self._attempts = 0
        self._begin()

    def _begin(self) -> None:
        self._full_since: float | None = None
        self._silent_since: float | None = None
        self._counted = 0
        self._freed = 0
        self._freed_at = float("-inf")

    @property
    def has_begun(self) -> bool:
        """Return whether a try has failed since the last that did not."""
        return self._full_since is not None or self._silent_since is not None

    def succeed(self, *, for_good: bool = True) -> None:
        """Note that a try has not failed; unless that was `for_good`, the waits go on growing from where they are."""
        self._begin()
        if for_good:
            self._attempts = 0

    def next_wait(self, error: RemoteKernelError, now: float, budget: Budget = FOR_EVER) -> float | None:
        """Return how many seconds to wait before the next try; `None` to give up.

        Args:
            error: what the last try has failed with.
            now: in seconds, monotonic.
        """
        if not is_passing(error):
            return None
        since = self._since(error, now)
        self._counted += isinstance(error, budget.counted)
        left = since + (budget.full_seconds if isinstance(error, PoolFull) else budget.silent_seconds) - now
        if left <= 0 or (budget.counted and self._counted >= budget.max_counted):
            return None
        wait = backoff(self._attempts, self._chance()) + _least_wait(error)
        self._attempts += 1
        if isinstance(error, PoolFull) and now - self._freed_at < GOING_SECONDS:
            wait = min(wait, SOON_SECONDS)
        return min(wait, left)

    def note_room(self, room: Room, now: float) -> Room:
        """Take note of what was done against a full pool; return what was done since the first try that failed."""
        if room.freed:
            self._freed += room.freed
            self._freed_at = now
        return replace(room, freed=self._freed)

    def _since(self, error: RemoteKernelError, now: float) -> float:
        """Return since when it has been like this."""
        if isinstance(error, PoolFull):
            self._silent_since = None  # the pool has answered
            self._full_since = now if self._full_since is None else self._full_since
            return self._full_since
        self._silent_since = now if self._silent_since is None else self._silent_since
        return self._silent_since


def backoff(attempt: int, chance: float) -> float:
    """Return how many seconds to wait after the failed try number `attempt`, the first being 0."""
    longest = min(MIN_BACKOFF_SECONDS * 2.0 ** min(attempt, 16), MAX_BACKOFF_SECONDS)
    return longest * (0.5 + chance / 2)


def _least_wait(error: RemoteKernelError) -> float:
    """Return the `Retry-After` of a full pool, which nobody comes back before."""
    return (error.retry_after_seconds or 0.0) if isinstance(error, PoolFull) else 0.0


def is_passing(error: RemoteKernelError) -> bool:
    """Return whether trying again may help."""
    if isinstance(error, PoolRefused):
        return error.status in {408, 500, 502, 503, 504} and error.code != wire.AGENT_FAILED
    return isinstance(error, PoolUnreachable | PoolFull)


@dataclass(frozen=True, slots=True)
class Wait:
    """Words of the waiting line: some before the time, perhaps some after it, perhaps sentences."""

    reason: str
    detail: str = ""
    more: str = ""


def describe_wait(error: RemoteKernelError, room: Room | None = None) -> Wait:
    """Return what to say while a passing error lasts; `room` was looked for in a full pool."""
    if not isinstance(error, PoolFull):
        return Wait("waiting for the session pool")
    room = room or Room()
    given_back = f"Gave back {count_of(room.freed, 'session')} that ended programs had left." if room.freed else ""
    detail = f"{error.usage} in use" if error.usage else ""
    return Wait("waiting for a free session", detail, " ".join(filter(None, (given_back, room.hint))))


def when_given_up(error: RemoteKernelError, wait_seconds: float) -> RemoteKernelError:
    """Return what to tell of an error that has lasted for longer than anybody wants to wait."""
    if not isinstance(error, PoolFull):
        return error
    return PoolFull(
        f"No session of the pool became free within {wait_seconds:g} s. Shut down a notebook that you no longer need, "
        "which frees its session at once, or set REMOTE_KERNEL_WAIT_SECONDS to wait longer; then run the cell again.",
        usage=error.usage,
    )
