"""View of the page: the pool's numbers as the words that stand on the page.

The same view is written into the page by the server and sent to it as JSON afterwards.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum

from remote_kernel.pool.history import HISTORY_SECONDS, Event, EventKind, History
from remote_kernel.pool.page.pulse import Pulse
from remote_kernel.pool.session_pool import PoolStatus, SessionStatus

# A session whose end is as near as this is shown as one that expires; with a short cooldown, its last fifth.
EXPIRING_SECONDS = 60.0
EXPIRING_SHARE = 0.2

# How much time the plot may show: the least that has room for the pool's whole life, or its last hour.
WINDOWS = (120.0, 300.0, 900.0, 1800.0, HISTORY_SECONDS)

MAX_EVENTS_SHOWN = 12

_TEXTS = {
    EventKind.ALLOCATED: "has a pod",
    EventKind.COOLED_DOWN: "cooled down",
    EventKind.STOPPED: "was stopped",
    EventKind.ENDED: "ended: its pod went away by itself",
    EventKind.FAILED: "ended: its pod did not start",
}
_TEXTS_OF_NOBODY = {
    EventKind.REFUSED: "A new session was refused: the pool was full",
    EventKind.STOPPED: "A waiting pod was stopped",
    EventKind.ENDED: "A waiting pod went away by itself",
    EventKind.FAILED: "A pod did not start",
}


class State(StrEnum):
    """State of a session, as the page shows it."""

    STARTING = "starting"
    BUSY = "busy"
    IDLE = "idle"
    EXPIRING = "expiring"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionView:
    """One session. `left_percent` of the cooldown is left; `since` and `until` say what that means."""

    label: str
    state: State
    since: str
    until: str
    left_percent: float
    kernels: str
    calls: str
    age: str
    process: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventView:
    """One line of what happened; `who` is a label, or "" where `what` says it."""

    when: str
    who: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartView:
    """Data of the plot. Times are seconds before now.

    Attributes:
        seconds: how much time the plot shows.
        samples: age, sessions and waiting pods, oldest first; each holds until the next one.
        refusals: age and count.
        summary: the plot as a sentence.
    """

    seconds: float
    max_sessions: int
    samples: list[tuple[float, int, int]]
    refusals: list[tuple[float, int]]
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PageView:
    """The whole page."""

    figures: dict[str, str]
    sessions: list[SessionView]
    chart: ChartView
    events: list[EventView]
    log: str

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def make_view(status: PoolStatus, pulses: Mapping[str, Pulse], history: History, log: str, now: float) -> PageView:
    """Return the page for the pool as it is at `now`; `pulses` are by the label of the session."""
    return PageView(
        figures={
            "in_use": str(len(status.sessions)),
            "max_sessions": str(status.max_sessions),
            "ready": str(status.ready),
            "refused": str(history.refused),
            "cooldown": clock_text(status.cooldown_seconds),
            "uptime": clock_text(now - history.started_at),
        },
        sessions=[
            _session_view(session, pulses.get(session.label), status.cooldown_seconds) for session in status.sessions
        ],
        chart=_chart_view(status, history, now),
        events=[_event_view(event, now) for event in history.events(now - HISTORY_SECONDS)[:MAX_EVENTS_SHOWN]],
        log=log,
    )


def clock_text(seconds: float) -> str:
    """Return a time as "0:07", "12:34" or "1:02:03"."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def state_of(session: SessionStatus, pulse: Pulse | None, cooldown_seconds: float) -> State:
    """Return what a session is doing. That it is about to go is said first, even of one that computes."""
    left = session.expires_in_seconds
    if session.pid is None or left is None:
        return State.STARTING
    if left < min(EXPIRING_SECONDS, EXPIRING_SHARE * cooldown_seconds):
        return State.EXPIRING
    return State.BUSY if pulse is not None and pulse.is_busy else State.IDLE


def _session_view(session: SessionStatus, pulse: Pulse | None, cooldown_seconds: float) -> SessionView:
    left = session.expires_in_seconds
    share = 1.0 if left is None else left / cooldown_seconds
    return SessionView(
        label=session.label,
        state=state_of(session, pulse, cooldown_seconds),
        since="its pod starts" if left is None else f"last call {clock_text(session.idle_seconds)} ago",
        until="" if left is None else f"stops in {clock_text(left)}",
        left_percent=round(100 * share, 1),
        kernels="–" if pulse is None else str(pulse.kernels),
        calls=str(session.calls),
        age=clock_text(session.age_seconds),
        process="–" if session.pid is None else str(session.pid),
    )


def _event_view(event: Event, now: float) -> EventView:
    texts = _TEXTS if event.label else _TEXTS_OF_NOBODY
    times = f", {event.count} times" if event.count > 1 else ""
    return EventView(when=clock_text(now - event.at), who=event.label, what=texts[event.kind] + times)


def _chart_view(status: PoolStatus, history: History, now: float) -> ChartView:
    seconds = next((window for window in WINDOWS if now - history.started_at <= window), WINDOWS[-1])
    samples = history.samples(now - seconds)
    refusals = history.refusals(now - seconds)
    most = max((sample.sessions for sample in samples), default=0)
    return ChartView(
        seconds=seconds,
        max_sessions=status.max_sessions,
        samples=[(round(now - sample.at, 1), sample.sessions, sample.ready) for sample in samples],
        refusals=[(round(now - span.at, 1), span.count) for span in refusals],
        summary=_summarise(seconds, most, status, sum(span.count for span in refusals)),
    )


def _summarise(seconds: float, most: int, status: PoolStatus, refused: int) -> str:
    refusals = "none refused" if refused == 0 else f"{refused} refused"
    return (
        f"The last {seconds / 60:.0f} minutes: {len(status.sessions)} in use now, "
        f"{most} at most, of {status.max_sessions}; {refusals}."
    )
