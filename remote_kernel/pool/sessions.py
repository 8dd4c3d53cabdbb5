"""Sessions of a pool: allocation, ceiling and cooldown as plain decisions.

Nothing here starts or stops anything. Methods change the state and return the `Changes` that the caller has to make
true; `now` is a clock in seconds that the caller chooses. Rules: section "The pool" of Azure's documentation of dynamic
sessions (same identifier, same pod; the idle clock restarts with each call, not with the bytes of an open response).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NewType

from remote_kernel.core.identity import Identifier
from remote_kernel.core.pools.cooldown import DEFAULT_COOLDOWN_SECONDS

PodNumber = NewType("PodNumber", int)

DEFAULT_MAX_SESSIONS = 5
DEFAULT_READY = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of a pool.

    Attributes:
        max_sessions: how many identifiers may have a pod at the same time.
        cooldown_seconds: how long after its last call a session is kept.
        ready: how many pods wait for new identifiers, as long as there is room for them under `max_sessions`.
    """

    max_sessions: int = DEFAULT_MAX_SESSIONS
    cooldown_seconds: float = DEFAULT_COOLDOWN_SECONDS
    ready: int = DEFAULT_READY


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Pods to start and pods to stop. Each number is to be started once and to be stopped at most once."""

    start: tuple[PodNumber, ...] = ()
    stop: tuple[PodNumber, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocated:
    """The call goes to `pod`, which may still be starting; `is_new` says that it is the first of its session."""

    pod: PodNumber
    is_new: bool = False
    changes: Changes = Changes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Full:
    """Every session is taken; the first one to be free is so in `retry_after_seconds` at the earliest."""

    retry_after_seconds: float


@dataclass(slots=True, kw_only=True)
class Session:
    """An identifier and its pod.

    Attributes:
        created_at: when its first call came.
        called_at: when its last call began; `None` while its pod starts, so that a slow start costs no idle time.
        calls: how many calls it has had.
        is_direct: whether somebody has its pod's own socket, so that calls pass the pool by.
    """

    identifier: Identifier = field(repr=False)
    pod: PodNumber
    created_at: float
    called_at: float | None
    calls: int = 0
    is_direct: bool = False


class Sessions:
    """The sessions of one pool, and the pods that wait for a session."""

    def __init__(self, limits: Limits, now: float) -> None:
        self.limits = limits
        self._sessions: dict[Identifier, Session] = {}
        self._waiting: dict[PodNumber, bool] = {}  # pods of nobody, oldest first: whether they are ready
        self._last_number = 0
        self._unused_since = now

    def __iter__(self) -> Iterator[Session]:
        return iter(self._sessions.values())

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def ready_count(self) -> int:
        """Return how many pods wait for a new identifier and accept requests."""
        return sum(self._waiting.values())

    @property
    def unused_since(self) -> float | None:
        """Since when there has been no session; `None` while there is one."""
        return None if self._sessions else self._unused_since

    def call(self, identifier: Identifier, now: float) -> Allocated | Full:
        """Give a call the pod of its identifier, a new one if need be, and restart its idle clock."""
        session = self._sessions.get(identifier)
        if session is not None and not self._is_expired(session, now):
            session.calls += 1
            if session.called_at is not None:
                session.called_at = max(session.called_at, now)
            return Allocated(pod=session.pod)
        stop = self._take_expired(now)
        if len(self._sessions) >= self.limits.max_sessions:
            return Full(retry_after_seconds=self._earliest_free(now))
        session, start = self._new_session(identifier, now)
        return Allocated(pod=session.pod, is_new=True, changes=Changes(start=start + self._refill(), stop=stop))

    def give_socket(self, identifier: Identifier) -> None:
        """Note that calls of a session may pass the pool by from now on."""
        if (session := self._sessions.get(identifier)) is not None:
            session.is_direct = True

    def note_activity(self, session: Session, *, called_at: float, calls: int, now: float) -> None:
        """Take note of what a pod says of its calls; what cannot be is passed over."""
        if session.called_at is not None and session.called_at < called_at <= now:
            session.called_at = called_at
        session.calls = max(session.calls, calls)

    def pod_ready(self, pod: PodNumber, now: float) -> Changes:
        """Note that a started pod accepts requests; the idle clock of its session, if it has one, starts here."""
        if pod in self._waiting:
            self._waiting[pod] = True
        elif (session := self._session_of(pod)) is not None:
            session.called_at = now
        return Changes(start=self._refill())

    def pod_gone(self, pod: PodNumber, now: float) -> bool:
        """Note that a pod has ended or cannot be reached: its slot is free. `False` when that was known.

        Nothing is started in its place before the next call, so that pods which cannot live do not follow one another
        for ever.
        """
        was_waiting = self._waiting.pop(pod, None) is not None
        if (session := self._session_of(pod)) is not None:
            self._forget(session, now)
        return was_waiting or session is not None

    def refill(self) -> Changes:
        """Start the pods that have to wait for new identifiers."""
        return Changes(start=self._refill())

    def expire(self, now: float) -> Changes:
        """Forget the sessions whose cooldown has passed at `now`."""
        stop = self._take_expired(now)
        return Changes(start=self._refill() if stop else (), stop=stop)

    def stop(self, identifier: Identifier, now: float) -> Changes | None:
        """Forget one session; `None` when there is none."""
        session = self._sessions.get(identifier)
        if session is None or self._is_expired(session, now):
            return None
        self._forget(session, now)
        return Changes(start=self._refill(), stop=(session.pod,))

    def stop_all(self, now: float) -> Changes:
        """Forget every session and every pod."""
        pods = tuple(session.pod for session in self) + tuple(self._waiting)
        self._sessions.clear()
        self._waiting.clear()
        self._unused_since = now
        return Changes(stop=pods)

    def next_expiry(self) -> float | None:
        """Return when the next session expires if it is not called again; `None` when none can."""
        return min((self._expires_at(session) for session in self if session.called_at is not None), default=None)

    def _expires_at(self, session: Session) -> float:
        assert session.called_at is not None
        return session.called_at + self.limits.cooldown_seconds

    def _is_expired(self, session: Session, now: float) -> bool:
        return session.called_at is not None and self._expires_at(session) <= now

    def _earliest_free(self, now: float) -> float:
        expiry = self.next_expiry()
        return self.limits.cooldown_seconds if expiry is None else expiry - now

    def _take_expired(self, now: float) -> tuple[PodNumber, ...]:
        expired = [session for session in self if self._is_expired(session, now)]
        for session in expired:
            self._forget(session, now)
        return tuple(session.pod for session in expired)

    def _new_session(self, identifier: Identifier, now: float) -> tuple[Session, tuple[PodNumber, ...]]:
        """Take the waiting pod that is ready, else the one that is nearest to it, else a new one."""
        start: tuple[PodNumber, ...] = ()
        if self._waiting:
            pod = max(self._waiting, key=self._waiting.__getitem__)  # the first of the greatest: True before False
            is_ready = self._waiting.pop(pod)
        else:
            pod, is_ready = self._new_number(), False
            start = (pod,)
        called_at = now if is_ready else None
        session = Session(identifier=identifier, pod=pod, created_at=now, called_at=called_at, calls=1)
        self._sessions[identifier] = session
        return session, start

    def _refill(self) -> tuple[PodNumber, ...]:
        """Start waiting pods while there is room, but not beside a pod that somebody is waiting for."""
        if any(session.called_at is None for session in self):
            return ()
        room = self.limits.max_sessions - len(self._sessions)
        missing = min(self.limits.ready, room) - len(self._waiting)
        start = tuple(self._new_number() for _ in range(missing))
        self._waiting.update(dict.fromkeys(start, False))
        return start

    def _new_number(self) -> PodNumber:
        self._last_number += 1
        return PodNumber(self._last_number)

    def _session_of(self, pod: PodNumber) -> Session | None:
        return next((session for session in self if session.pod == pod), None)

    def _forget(self, session: Session, now: float) -> None:
        del self._sessions[session.identifier]
        self._unused_since = now
