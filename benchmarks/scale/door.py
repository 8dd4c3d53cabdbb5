"""The pool's side of a simulated day: `remote_kernel.pool.sessions`, its timer, and those who wait at the door."""

import math
import random

from benchmarks.scale.clock import Clock, Queue
from benchmarks.scale.people import HOUR
from remote_kernel.client.retry import MAX_BACKOFF_SECONDS
from remote_kernel.core.identity import Identifier
from remote_kernel.pool.front_door.refusals import MAX_RETRY_AFTER_SECONDS
from remote_kernel.pool.sessions import Changes, Full, Limits, PodNumber, Sessions

# A pod that is not among the ready ones: the image is there, the interpreter has to start.
POD_START_SECONDS = 12.0

# The time between a kernel's requests to a full pool: `client.retry.backoff` at its longest, on average.
POLL_SECONDS = MAX_RETRY_AFTER_SECONDS + 0.75 * MAX_BACKOFF_SECONDS


class Door:
    """Allocates sessions, and holds the pool to its promises.

    Who is refused comes back after `POLL_SECONDS` on average. The requests among these that can only be refused again
    are left out: when a session is free, one of those who wait finds it, as soon as the first of so many would.

    Attributes:
        queue: who waits for a session.
        pods_started: how many pods there have been.
        session_seconds: how many sessions there were, times how long.
        begun_hours: the same in hours, where each session counts for every hour that it has begun.
        peak: the most sessions at one time.
    """

    def __init__(self, clock: Clock, limits: Limits, chance: random.Random) -> None:
        self.queue = Queue()
        self.pods_started = 0
        self.session_seconds = 0.0
        self.begun_hours = 0
        self.peak = 0
        self.sessions = Sessions(limits, clock.now)
        self._clock = clock
        self._chance = chance
        self._pods: dict[Identifier, PodNumber] = {}
        self._ready_at: dict[PodNumber, float] = {}
        self._allocated_at: dict[PodNumber, float] = {}
        self._offers = 0
        self._has_timer = False
        self._counted_at = clock.now
        self._act(self.sessions.refill())

    def call(self, identifier: Identifier) -> PodNumber | None:
        """Return the identifier's pod; `None` when every session is taken."""
        self._count()
        decision = self.sessions.call(identifier, self._clock.now)
        if isinstance(decision, Full):
            assert identifier not in self._pods or self._pods[identifier] not in self._alive(), "a session was lost"
            return None
        if decision.is_new:
            self._allocated_at[decision.pod] = self._clock.now
        else:
            assert self._pods[identifier] == decision.pod, "an identifier has changed its pod"
        self._pods[identifier] = decision.pod
        self._act(decision.changes)
        return decision.pod

    def seconds_to_ready(self, pod: PodNumber) -> float:
        """Return how long a pod still takes to accept requests."""
        return max(0.0, self._ready_at[pod] - self._clock.now)

    def stop(self, identifier: Identifier) -> None:
        """Give a session back."""
        self._count()
        changes = self.sessions.stop(identifier, self._clock.now)
        if changes is not None:
            self._act(changes)

    def _alive(self) -> set[PodNumber]:
        return {session.pod for session in self.sessions}

    def _act(self, changes: Changes) -> None:
        limits = self.sessions.limits
        assert len(self.sessions) <= limits.max_sessions, "more sessions than the ceiling allows"
        self.pods_started += len(changes.start)
        for pod in changes.start:
            self._ready_at[pod] = self._clock.now + POD_START_SECONDS
            self._clock.call_later(POD_START_SECONDS, lambda pod=pod: self._ready(pod))  # type: ignore[misc]
        for pod in changes.stop:
            self.begun_hours += math.ceil((self._clock.now - self._allocated_at.pop(pod)) / HOUR)
        self.peak = max(self.peak, len(self.sessions))
        self._set_timer()
        self._offer()

    def _ready(self, pod: PodNumber) -> None:
        self._act(self.sessions.pod_ready(pod, self._clock.now))

    def _set_timer(self) -> None:
        """Wake when a session may expire, as the pool itself does."""
        due = self.sessions.next_expiry() if not self._has_timer else None
        if due is not None:
            self._has_timer = True
            self._clock.call_later(max(1.0, due - self._clock.now), self._expire)

    def _expire(self) -> None:
        self._has_timer = False
        self._count()
        self._act(self.sessions.expire(self._clock.now))

    def _offer(self) -> None:
        """Let as many of those who wait come back as there are free sessions."""
        free = self.sessions.limits.max_sessions - len(self.sessions)
        waiting = len(self.queue.waiting)
        while self._offers < min(free, waiting):
            self._offers += 1
            self._clock.call_later(POLL_SECONDS / (waiting + 1), self._take_offer)

    def _take_offer(self) -> None:
        self._offers -= 1
        waiting = self.queue.waiting
        if waiting:
            # They come back in no order: a pool keeps no list of those whom it has refused.
            self._clock.wake(waiting.pop(self._chance.randrange(len(waiting))))
        self._offer()

    def _count(self) -> None:
        now = self._clock.now
        self.session_seconds += len(self.sessions) * (now - self._counted_at)
        self._counted_at = now
