"""Retry rules: which errors pass, how long to wait for each and when to give up, and the waiting line's words.

Every loop that tries again asks `Retry.next_wait`, which decides and does nothing: the error, the time and the budget
go in, a number of seconds comes out.
"""

import random
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from remote_kernel.core.errors import (
    Forbidden,
    PoolFull,
    PoolNotReady,
    PoolRefused,
    PoolUnreachable,
    RemoteKernelError,
)
from remote_kernel.core.pools.front_door import NEVER_READY
from remote_kernel.core.text.human_numbers import count_of, format_seconds
from remote_kernel.core.wire import frames as wire

MIN_BACKOFF_SECONDS = 0.1
MAX_BACKOFF_SECONDS = 5.0

# A typing error in the endpoint should not take minutes to show, a pool that restarts should not matter.
FIRST_CONTACT_SECONDS = 10.0

# A pod that was given back goes within a few seconds; meanwhile it is worth asking often.
GOING_SECONDS = 6.0
SOON_SECONDS = 0.5


# A fault of the front door passes, or is told in the body. One that has no session answers so each time, after 0.3 s:
# three times take a second with the waits between them.
FULL_AFTER = 3

# Each try with another token has whoever gives it, such as `az`, at work for seconds.
TOKEN_SECONDS = 5.0

# By then somebody has shut a notebook down in a pool that is merely full, or a slow image has started.
NEVER_READY_SECONDS = 30.0


class Budget(NamedTuple):
    """Bounds on how long to go on trying.

    Waiting in a queue and not getting through are two things, with a time each: who has been cut off for hours has not
    queued yet, and a moment without a connection is no reason to leave the queue.

    Attributes:
        full_seconds: while the pool is full.
        silent_seconds: while nothing gets through, or nothing but other passing errors.
        access_seconds: while the login has no right to use the pool, or the pool is not ready: what was done against
            that takes minutes to work. For a pool that is not ready, no less than `silent_seconds`: it may be updated
            while a cell runs.
        fault_seconds: while the pool answers with status 500 and does not say why: no network is to blame for that.
        max_counted: how many errors of the types `counted` are one too many.
    """

    full_seconds: float = float("inf")
    silent_seconds: float = float("inf")
    access_seconds: float = 0.0
    fault_seconds: float = float("inf")
    max_counted: int = 0
    counted: tuple[type[RemoteKernelError], ...] = ()


FOR_EVER = Budget()


def first_contact(wait_seconds: float, access_seconds: float = 0.0) -> Budget:
    """Return the budget for a session that need not be there, given how long anybody waits for a free one, and for a
    pool that lets nobody in so far."""
    return Budget(
        full_seconds=wait_seconds,
        silent_seconds=min(FIRST_CONTACT_SECONDS, wait_seconds),
        access_seconds=min(access_seconds, wait_seconds),
    )


class Room(NamedTuple):
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
        self._shut_out_since: float | None = None
        self._faulty_since: float | None = None
        self._unexplained = 0
        self._counted = 0
        self._freed = 0
        self._freed_at = float("-inf")

    @property
    def has_begun(self) -> bool:
        """Return whether a try has failed since the last that did not."""
        since = (self._full_since, self._silent_since, self._shut_out_since, self._faulty_since)
        return since != (None, None, None, None)

    def succeed(self, *, for_good: bool = True) -> None:
        """Note that a try has not failed; unless that was `for_good`, the waits go on growing from where they are."""
        self._begin()
        if for_good:
            self._attempts = 0

    def recognise(self, error: RemoteKernelError) -> RemoteKernelError:
        """Return what an error of asking for a session is to be taken for: `PoolFull` for one answer with status 500
        too many in a row, which real pools give when they are full."""
        self._unexplained = self._unexplained + 1 if is_fault(error) else 0
        return PoolFull(str(error), is_guess=True) if self.seems_full else error

    @property
    def seems_full(self) -> bool:
        """Return whether the last errors that were to be recognised are those of a full pool that does not say so."""
        return self._unexplained >= FULL_AFTER

    def seconds_full(self, now: float) -> float:
        """Return for how long the pool has been full."""
        return 0.0 if self._full_since is None else now - self._full_since

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
        left = since + _bound_on(error, budget) - now
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
        return room._replace(freed=self._freed)

    def _since(self, error: RemoteKernelError, now: float) -> float:
        """Return since when it has been like this."""
        if isinstance(error, PoolFull):
            self._silent_since = self._shut_out_since = None  # the pool has answered
            self._full_since = now if self._full_since is None else self._full_since
            return self._full_since
        if isinstance(error, Forbidden | PoolNotReady):
            self._silent_since = None
            self._shut_out_since = now if self._shut_out_since is None else self._shut_out_since
            return self._shut_out_since
        if is_fault(error):
            self._silent_since = None
            self._faulty_since = now if self._faulty_since is None else self._faulty_since
            return self._faulty_since
        self._faulty_since = None  # for so long it is a fault that is answered with
        self._silent_since = now if self._silent_since is None else self._silent_since
        return self._silent_since


def backoff(attempt: int, chance: float) -> float:
    """Return how many seconds to wait after the failed try number `attempt`, the first being 0."""
    longest = min(MIN_BACKOFF_SECONDS * 2.0 ** min(attempt, 16), MAX_BACKOFF_SECONDS)
    return longest * (0.5 + chance / 2)


def _bound_on(error: RemoteKernelError, budget: Budget) -> float:
    match error:
        case PoolFull():
            return budget.full_seconds
        case Forbidden():
            return budget.access_seconds
        case PoolNotReady():
            return max(budget.access_seconds, budget.silent_seconds)
    return min(budget.silent_seconds, budget.fault_seconds) if is_fault(error) else budget.silent_seconds


def _least_wait(error: RemoteKernelError) -> float:
    """Return how long nobody comes back: the `Retry-After` of a full pool, or until another token is worth making."""
    match error:
        case PoolFull():
            return error.retry_after_seconds or 0.0
        case Forbidden() | PoolNotReady():
            return TOKEN_SECONDS
    return 0.0


def is_fault(error: RemoteKernelError) -> bool:
    """Return whether it is the front door's status 500 without a reason, as of a fault, or of a full pool."""
    return isinstance(error, PoolRefused) and error.status == 500 and error.code != wire.AGENT_FAILED


def is_passing(error: RemoteKernelError) -> bool:
    """Return whether trying again may help."""
    if isinstance(error, PoolRefused):
        return error.status in {408, 500, 502, 503, 504} and error.code != wire.AGENT_FAILED
    return isinstance(error, PoolUnreachable | PoolFull | Forbidden | PoolNotReady)


class Wait(NamedTuple):
    """Words of the waiting line: some before the time, perhaps some after it, perhaps sentences."""

    reason: str
    detail: str = ""
    more: str = ""


def describe_wait(error: RemoteKernelError, room: Room | None = None, *, may_be_broken: bool = False) -> Wait:
    """Return what to say while a passing error lasts.

    Args:
        room: was looked for in a full pool.
        may_be_broken: whether none of the pool's sessions may ever become ready, as far as is known here.
    """
    match error:
        case PoolFull():
            return _describe_full(error, room or Room(), may_be_broken)
        case Forbidden():
            return Wait("waiting for the right to use the session pool", more=str(error))
        case PoolNotReady():
            return Wait("waiting until the session pool is ready", more=str(error))
    return Wait("waiting for the session pool", "it answers with status 500" if is_fault(error) else "")


def _describe_full(error: PoolFull, room: Room, may_be_broken: bool) -> Wait:
    given_back = f"Gave back {count_of(room.freed, 'session')} that ended programs had left." if room.freed else ""
    detail = f"{error.usage} in use" if error.usage else ""
    detail = "the pool answers with status 500, as full ones do" if error.is_guess else detail
    broken = NEVER_READY if may_be_broken and not error.usage else ""  # who counts sessions has some
    return Wait("waiting for a free session", detail, " ".join(filter(None, (given_back, room.hint, broken))))


def without_word(error: RemoteKernelError, seconds: float) -> RemoteKernelError:
    """Return what to tell who has a session of a pool that has had a fault for so long, which says nothing of it."""
    if not is_fault(error):
        return error
    return PoolRefused(
        f"The session pool has answered with status 500 for {format_seconds(seconds)}, and does not say whether the "
        "session is still there. Run the cell again to look for it once more, which tells if it is lost, or take "
        "another session with '%session reset'.",
        status=500,
    )


def when_given_up(error: RemoteKernelError, wait_seconds: float, *, may_be_broken: bool = False) -> RemoteKernelError:
    """Return what to tell of an error that has lasted for longer than anybody wants to wait."""
    if not isinstance(error, PoolFull):
        return error
    guess = "It answered with status 500 throughout, as full pools do, and faulty ones. " if error.is_guess else ""
    broken = f" {NEVER_READY}" if may_be_broken and not error.usage else ""
    return PoolFull(
        f"No session of the pool became free within {wait_seconds:g} s. {guess}Shut down a notebook that you no longer "
        "need, which frees its session at once, or set REMOTE_KERNEL_WAIT_SECONDS to wait longer; then run the cell "
        f"again.{broken}",
        usage=error.usage,
        is_guess=error.is_guess,
    )
