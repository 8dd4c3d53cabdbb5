"""The sessions of this machine: makes true what `sessions` decides, with pods as processes."""

import asyncio
import contextlib
import functools
import hashlib
import hmac
import logging
import secrets
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from remote_kernel.core.errors import PoolFull
from remote_kernel.core.identity import Identifier, session_label
from remote_kernel.core.pools.cooldown import COOLDOWN_VARIABLE
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.io.http1 import Client
from remote_kernel.io.tasks import start
from remote_kernel.pool.history import EventKind, History
from remote_kernel.pool.processes.pod_forks import PodForks
from remote_kernel.pool.processes.pod_process import start_program
from remote_kernel.pool.processes.pods import Pod, PodCommand, PodFailed
from remote_kernel.pool.sessions import Changes, Full, Limits, PodNumber, Session, Sessions
from remote_kernel.pool.timings import DEFAULT_TIMINGS, Timings

_log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class _Life:
    """A pod from its start to its end; cancelling the task stops the pod.

    Attributes:
        failure: why it did not start.
    """

    task: asyncio.Task[None]
    ready: asyncio.Future[Pod]
    failure: str = "it was stopped meanwhile"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStatus:
    """Status of a session, without secrets.

    Attributes:
        label: tells sessions of one pool apart; the identifier cannot be found from it.
        pid: the pod's process; `None` while it starts.
        age_seconds: since its first call.
        expires_in_seconds: until it is stopped if nobody calls; `None` while its pod starts.
    """

    label: str
    pid: int | None
    calls: int
    age_seconds: float
    idle_seconds: float
    expires_in_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStatus:
    """Status of a pool; `ready` pods wait for a new identifier."""

    sessions: list[SessionStatus]
    ready: int
    max_sessions: int
    cooldown_seconds: float

    def to_json(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionDetails:
    """Details of a session for the holder of the pool's token; `etag` names its pod."""

    identifier: Identifier = field(repr=False)
    etag: str
    status: SessionStatus


class SessionPool:
    """Gives out pods by identifier, and stops those that nobody calls.

    Args:
        environment: what pods see, before the pool adds its cooldown.
        command: how to start a pod.
        forks: what starts pods as copies of one process; `None` for programs of their own.
        clock: seconds, monotonic. One that stands still while the machine sleeps keeps sessions over a sleep.

    Attributes:
        history: what has happened, in seconds of `clock`.
        label_key: what makes labels of identifiers, for those who hold it; at random where nobody does.
    """

    def __init__(
        self,
        limits: Limits,
        environment: Mapping[str, str],
        command: PodCommand,
        clock: Callable[[], float] = time.monotonic,
        *,
        label_key: bytes = b"",
        timings: Timings = DEFAULT_TIMINGS,
        forks: PodForks | None = None,
    ) -> None:
        self._timings = timings
        self._forks = forks
        self._start_pod = start_program if forks is None else forks.start
        self.history = History(clock())
        self._sessions = Sessions(limits, clock())
        self._environment = {**environment, COOLDOWN_VARIABLE: f"{limits.cooldown_seconds:g}"}
        self._command = command
        self._clock = clock
        self._lives: dict[PodNumber, _Life] = {}
        # A pod that is stopped has seconds for its exit handlers; what takes its place starts when it has ended.
        self._places = asyncio.Semaphore(limits.max_sessions)
        self._labels: dict[PodNumber, str] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._label_key = label_key or secrets.token_bytes(16)
        self._is_known_full = False
        self._is_closed = False

    def start(self) -> None:
        """Start the pods that wait for new identifiers."""
        self._act(self._sessions.refill())

    async def acquire(self, identifier: Identifier) -> Pod:
        """Begin a call: return the identifier's pod when it accepts requests.

        Giving up the wait, by cancellation, leaves the session to its other callers and to the cooldown.

        Raises:
            PoolFull: every session is taken.
            PodFailed: the pod did not start, or was stopped meanwhile; the session is gone.
        """
        if self._is_closed:
            raise PodFailed("the pool is stopping")
        self._hear_pods()
        decision = self._sessions.call(identifier, self._clock())
        if isinstance(decision, Full):
            self.history.note_refusal(self._clock())
            count = self._sessions.limits.max_sessions
            if not self._is_known_full:  # those who wait come back every few seconds
                _log.info(LogEvent("pool full", max_sessions=count))
            self._is_known_full = True
            raise PoolFull(
                f"All {count} sessions of this pool are in use. Stop one, or wait until the cooldown has freed one.",
                retry_after_seconds=decision.retry_after_seconds,
                usage=f"{len(self._sessions)} of {count}",
            )
        self._act(decision.changes)
        if decision.is_new:
            self._is_known_full = False
            self._labels[decision.pod] = session_label(self._label_key, identifier)
            self._note(EventKind.ALLOCATED, decision.pod)
        life = self._lives[decision.pod]
        if not life.ready.done():
            either: set[asyncio.Future[Any]] = {life.ready, life.task}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not life.ready.done():
            raise PodFailed(life.failure)
        return life.ready.result()

    def give_socket(self, identifier: Identifier, pod: Pod) -> Path | None:
        """Return the socket of the pod that was just acquired, for calls that this pool does not see; `None` where the
        pod would not say when they came."""
        if pod.read_activity() is None:
            return None
        self._sessions.give_socket(identifier)
        return pod.socket

    def discard(self, pod: Pod) -> None:
        """Stop a pod that cannot be reached, and forget its session."""
        for number, life in self._lives.items():
            is_it = life.ready.done() and life.ready.result() is pod
            # Once only: a second cancellation would interrupt the cleaning up.
            if is_it and self._lose(number, EventKind.ENDED):
                life.task.cancel()

    def stop_session(self, identifier: Identifier) -> bool:
        """Stop a session's pod; `False` when there is no such session."""
        self._hear_pods()
        changes = self._sessions.stop(identifier, self._clock())
        if changes is None:
            return False
        self._act(changes, EventKind.STOPPED)
        return True

    def transports(self) -> dict[str, Client]:
        """Return, by the labels of their sessions, the ways to the pods that accept requests. They are not calls."""
        lives = {self._labels[session.pod]: self._lives[session.pod] for session in self._sessions}
        return {label: life.ready.result().http for label, life in lives.items() if life.ready.done()}

    def status(self) -> PoolStatus:
        """Describe the pool as it is now."""
        self._hear_pods()
        limits = self._sessions.limits
        return PoolStatus(
            sessions=[self._describe(session) for session in self._sessions],
            ready=self._sessions.ready_count,
            max_sessions=limits.max_sessions,
            cooldown_seconds=limits.cooldown_seconds,
        )

    def sessions(self) -> list[SessionDetails]:
        """Return the sessions with their identifiers, which are secrets."""
        self._hear_pods()
        return [
            SessionDetails(
                identifier=session.identifier, etag=self._make_etag(session.pod), status=self._describe(session)
            )
            for session in self._sessions
        ]

    async def wait_unused(self, seconds: float) -> None:
        """Return when there has been no session for so long."""
        while True:
            since = self._sessions.unused_since
            left = seconds if since is None else since + seconds - self._clock()
            if left <= 0:
                return
            await asyncio.sleep(left)

    async def aclose(self) -> None:
        """Stop every pod and wait until they are gone."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        tasks = [life.task for life in self._lives.values()]  # also those that are already stopping
        self._act(self._sessions.stop_all(self._clock()), EventKind.STOPPED)
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._forks is not None:
            await self._forks.aclose()

    def _hear_pods(self) -> None:
        """Take note of the calls that have passed the pool by, before anything is decided or told about them."""
        for session in self._sessions:
            life = self._lives[session.pod]
            if session.is_direct and life.ready.done():
                activity, now = life.ready.result().read_activity(), self._clock()
                # A pod that cannot say when it was called may be in use.
                called_at, calls = (activity.called_at, activity.calls) if activity else (now, 0)
                self._sessions.note_activity(session, called_at=called_at, calls=calls, now=now)

    def _act(self, changes: Changes, ended_by: EventKind = EventKind.COOLED_DOWN) -> None:
        for number in changes.stop:
            self._note(ended_by, number)
            self._lives[number].task.cancel()
        for number in changes.start:
            ready: asyncio.Future[Pod] = asyncio.get_running_loop().create_future()
            task = start(self._keep(number, ready), "pod")
            task.add_done_callback(functools.partial(self._bury, number))
            self._lives[number] = _Life(task=task, ready=ready)
        self._note_counts()
        self._set_timer()

    def _note(self, kind: EventKind, number: PodNumber) -> None:
        label = self._labels.get(number, "")
        if label:
            _log.info(LogEvent(f"session {kind}", session=label, pod=number))
        self.history.note(kind, label, self._clock())

    def _note_counts(self) -> None:
        self.history.note_counts(len(self._sessions), self._sessions.ready_count, self._clock())

    def _bury(self, number: PodNumber, _task: asyncio.Task[None]) -> None:
        del self._lives[number]
        self._labels.pop(number, None)

    async def _keep(self, number: PodNumber, ready: asyncio.Future[Pod]) -> None:
        """Keep one pod from its start to its end."""
        async with self._places:
            await self._run(number, ready)

    async def _run(self, number: PodNumber, ready: asyncio.Future[Pod]) -> None:
        # A task of its own, which is never cancelled: half a process could not be cleaned up.
        spawning = asyncio.create_task(Pod.spawn(self._command, self._environment, self._start_pod))
        try:
            pod = await asyncio.shield(spawning)
            await pod.wait_ready()
            _log.info(LogEvent("pod ready", pod=number, process=pod.pid))
            ready.set_result(pod)
            self._act(self._sessions.pod_ready(number, self._clock()))
            await pod.wait_ended()
            _log.warning(LogEvent("pod ended by itself", pod=number, exit_status=pod.exit_status))
        except PodFailed as error:
            self._lives[number].failure = str(error)
            _log.error(LogEvent("pod did not start", pod=number, reason=str(error)))
        finally:
            self._lose(number, EventKind.ENDED if ready.done() else EventKind.FAILED)
            with contextlib.suppress(PodFailed):
                await (await spawning).stop(self._timings.stop_grace_seconds)
            _log.info(LogEvent("pod gone", pod=number))

    def _lose(self, number: PodNumber, kind: EventKind) -> bool:
        """Forget a pod that is no more; `False` when that was done."""
        if not self._sessions.pod_gone(number, self._clock()):
            return False
        self._note(kind, number)
        self._note_counts()
        return True

    def _set_timer(self) -> None:
        """Wake when the next session may expire; a call in the meantime only makes that later."""
        due = self._sessions.next_expiry()
        if self._timer is None and due is not None:
            self._timer = asyncio.get_running_loop().call_later(due - self._clock(), self._expire)

    def _expire(self) -> None:
        self._timer = None
        try:
            self._hear_pods()
            self._act(self._sessions.expire(self._clock()))
        except Exception:
            _log.exception(LogEvent("failed inside", task="expiry"))
            if self._timer is None:  # without one, no session would ever be stopped again
                again = self._timings.expire_again_seconds
                self._timer = asyncio.get_running_loop().call_later(again, self._expire)

    def _make_etag(self, pod: PodNumber) -> str:
        """Return a name for a pod, of no use elsewhere, in the form that Azure's have."""
        digest = hmac.new(self._label_key, f"pod {pod}".encode(), hashlib.sha256).digest()
        return str(uuid.UUID(bytes=digest[:16], version=4))

    def _describe(self, session: Session) -> SessionStatus:
        now = self._clock()
        idle = 0.0 if session.called_at is None else now - session.called_at
        life = self._lives[session.pod]
        return SessionStatus(
            label=self._labels[session.pod],
            pid=life.ready.result().pid if life.ready.done() else None,
            calls=session.calls,
            age_seconds=now - session.created_at,
            idle_seconds=idle,
            expires_in_seconds=(
                None if session.called_at is None else max(0.0, self._sessions.limits.cooldown_seconds - idle)
            ),
        )
