"""One day of people and their kernels, as processes in simulated time."""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.scale.clock import Clock, Process
from benchmarks.scale.door import Door
from benchmarks.scale.people import MINUTE, Person, Sitting
from remote_kernel.core.identity import Identifier, Scope
from remote_kernel.pool.sessions import Limits, PodNumber

SAMPLE_SECONDS = 2 * MINUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What can be set: who shares a session, and how long its pod is kept warm after a notebook's last cell."""

    title: str
    scope: Scope
    keepalive_seconds: float


@dataclass(slots=True, kw_only=True)
class Record:
    """What happened.

    Attributes:
        cells: how many cells ran.
        returns: sittings in a notebook whose kernel had been left running.
        losses: those of them that found its variables gone.
        peak: the most sessions at one time.
        pods: how many pods there were.
        ended_at: when the last of them had run; seconds.
        session_seconds: sessions times how long they were held.
        begun_hours: the same in hours, every hour that a session has begun.
        used_seconds: of these, while somebody worked in them.
        waits: seconds from a sitting's first request to its session, for each sitting.
        samples: seconds, sessions, people who wait; every `SAMPLE_SECONDS` until `ended_at`.
        notebooks: how many notebooks were used.
    """

    cells: int = 0
    returns: int = 0
    losses: int = 0
    peak: int = 0
    pods: int = 0
    ended_at: float = 0.0
    session_seconds: float = 0.0
    begun_hours: int = 0
    used_seconds: float = 0.0
    waits: list[float] = field(default_factory=list)
    samples: list[tuple[float, int, int]] = field(default_factory=list)
    notebooks: int = 0


@dataclass(slots=True, kw_only=True)
class _Notebook:
    """A notebook: its session, the pod that has its variables, and until when its kernel keeps that warm."""

    identifier: Identifier
    pod: PodNumber | None = None
    warm_until: float = 0.0
    has_keeper: bool = False


class Day:
    """Runs a day."""

    def __init__(self, people: Sequence[Person], policy: Policy, limits: Limits, seed: int = 0) -> None:
        self._people = people
        self._policy = policy
        self._clock = Clock()
        self._door = Door(self._clock, limits, random.Random(seed))
        self._notebooks: dict[str, _Notebook] = {}
        self._in_session: defaultdict[Identifier, list[_Notebook]] = defaultdict(list)
        self._record = Record()
        self._at_work = len(people)

    def run(self) -> Record:
        """Return when everybody has done what they wanted to do and the pool is empty."""
        for person in self._people:
            self._clock.start(self._live(person), person.arrives_at)
        self._clock.start(self._sample())
        self._clock.run()
        record, door = self._record, self._door
        assert self._at_work == 0, "somebody was never served"
        assert len(door.sessions) == 0, "a session was never given back"
        record.peak, record.pods, record.session_seconds = door.peak, door.pods_started, door.session_seconds
        record.begun_hours, record.notebooks = door.begun_hours, len(self._notebooks)
        return record

    def _live(self, person: Person) -> Process:
        for sitting in person.sittings:
            yield sitting.pause_seconds
            yield from self._sit(person, sitting)
        self._at_work -= 1
        self._record.ended_at = self._clock.now

    def _sit(self, person: Person, sitting: Sitting) -> Process:
        notebook = self._open(person, sitting)
        began, record = self._clock.now, self._record
        record.returns += notebook.pod is not None
        yield from self._reach(notebook)
        record.waits.append(self._clock.now - began)
        for cell in sitting.cells:
            yield from self._reach(notebook)
            ended = self._clock.now + cell.run_seconds
            notebook.warm_until = ended + self._policy.keepalive_seconds
            record.cells += 1
            record.used_seconds += cell.run_seconds + cell.think_seconds
            yield cell.run_seconds
            yield cell.think_seconds
        if sitting.is_closed:
            self._close(notebook)

    def _open(self, person: Person, sitting: Sitting) -> _Notebook:
        name = f"{person.name}/notebook-{sitting.notebook}"
        if name not in self._notebooks:
            identifier = Identifier(name if self._policy.scope is Scope.NOTEBOOK else person.name)
            self._notebooks[name] = _Notebook(identifier=identifier)
            self._in_session[identifier].append(self._notebooks[name])
        return self._notebooks[name]

    def _reach(self, notebook: _Notebook) -> Process:
        """Call the notebook's session until there is a pod for it that is ready."""
        while (pod := self._door.call(notebook.identifier)) is None:
            yield self._door.queue
        self._record.losses += notebook.pod not in {None, pod}
        notebook.pod = pod
        if not notebook.has_keeper:
            notebook.has_keeper = True
            self._clock.start(self._keep_warm(notebook))
        yield self._door.seconds_to_ready(pod)

    def _keep_warm(self, notebook: _Notebook) -> Process:
        """Call three times in a cooldown while the kernel has a reason to (`client.link.link`)."""
        while True:
            yield self._door.sessions.limits.cooldown_seconds / 3
            if notebook.pod is None or self._clock.now >= notebook.warm_until:
                break
            assert self._door.call(notebook.identifier) == notebook.pod, "a session was lost while it was kept warm"
        notebook.has_keeper = False

    def _close(self, notebook: _Notebook) -> None:
        """Shut the kernel down; the last one of a session gives it back."""
        notebook.pod = None
        if all(other.pod is None for other in self._in_session[notebook.identifier]):
            self._door.stop(notebook.identifier)

    def _sample(self) -> Process:
        while self._at_work:
            waiting = len(self._door.queue.waiting)
            self._record.samples.append((self._clock.now, len(self._door.sessions), waiting))
            yield SAMPLE_SECONDS
