"""Recent history of a pool, in bounded memory. `now` is a clock in seconds that the caller chooses.

Sessions are named by their labels; identifiers never come here.
"""

from collections import deque
from dataclasses import dataclass, replace
from enum import StrEnum

# How far back a reader can look at least, unless a client in a loop has filled the memory earlier.
HISTORY_SECONDS = 3600.0
# Clients that were refused come back every few seconds; each of these spans has one count.
REFUSAL_SPAN_SECONDS = 10.0

# Far more than an hour of work makes; then the oldest are forgotten.
MAX_EVENTS = 200
MAX_SAMPLES = 1_000
MAX_REFUSAL_SPANS = int(HISTORY_SECONDS / REFUSAL_SPAN_SECONDS)


class EventKind(StrEnum):
    """Kind of an event in a session's life.

    ALLOCATED is its begin. It ends when it COOLED_DOWN, was STOPPED, when its pod ENDED by itself or FAILED to start.
    REFUSED is one that never was, because every session was taken.
    """

    ALLOCATED = "allocated"
    COOLED_DOWN = "cooled down"
    STOPPED = "stopped"
    ENDED = "ended"
    FAILED = "failed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened.

    Attributes:
        at: when it happened; the last time, if it happened `count` times with nothing else between.
        label: the session's; "" for a pod that nobody had yet, and for a refusal.
    """

    at: float
    kind: EventKind
    label: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Sample of a pool's use: sessions with a pod, and ready pods, from `at` until the next sample."""

    at: float
    sessions: int
    ready: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalSpan:
    """Count of refused new sessions from `at` on, for `REFUSAL_SPAN_SECONDS`."""

    at: float
    count: int


class History:
    """History of a pool's sessions, at least of the last hour.

    Attributes:
        started_at: when the pool was started.
        refused: how many new sessions were refused since then.
    """

    def __init__(self, now: float) -> None:
        self.started_at = now
        self.refused = 0
        self._events: deque[Event] = deque(maxlen=MAX_EVENTS)
        self._samples: deque[Sample] = deque(maxlen=MAX_SAMPLES)
        self._refusals: deque[RefusalSpan] = deque(maxlen=MAX_REFUSAL_SPANS)

    def note(self, kind: EventKind, label: str, now: float) -> None:
        """Remember what happened to a session."""
        self._events.append(Event(at=now, kind=kind, label=label))

    def note_refusal(self, now: float) -> None:
        """Count a refusal. One after another they are one event, so that they push nothing else out."""
        self.refused += 1
        last = self._events[-1] if self._events else None
        if last is not None and last.kind is EventKind.REFUSED:
            self._events[-1] = replace(last, at=now, count=last.count + 1)
        else:
            self.note(EventKind.REFUSED, "", now)
        span = self._refusals[-1] if self._refusals else None
        if span is not None and now - span.at < REFUSAL_SPAN_SECONDS:
            self._refusals[-1] = replace(span, count=span.count + 1)
        else:
            self._refusals.append(RefusalSpan(at=now, count=1))

    def note_counts(self, sessions: int, ready: int, now: float) -> None:
        """Remember how many sessions and waiting pods there are, if that has changed."""
        sample = Sample(at=now, sessions=sessions, ready=ready)
        if not self._samples or replace(self._samples[-1], at=now) != sample:
            self._samples.append(sample)

    def events(self, since: float) -> list[Event]:
        """Return what has happened since then, newest first."""
        return [event for event in reversed(self._events) if event.at >= since]

    def refusals(self, since: float) -> list[RefusalSpan]:
        """Return the spans of refusals that began since then, oldest first."""
        return [span for span in self._refusals if span.at >= since]

    def samples(self, since: float) -> list[Sample]:
        """Return the counts since then, oldest first; the first of them says what held at that moment."""
        later = [sample for sample in self._samples if sample.at > since]
        earlier = next((sample for sample in reversed(self._samples) if sample.at <= since), None)
        return later if earlier is None else [replace(earlier, at=since), *later]
