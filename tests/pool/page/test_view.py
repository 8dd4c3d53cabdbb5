"""What stands on the page, for pools that the test describes."""

import pytest

from remote_kernel.pool.history import HISTORY_SECONDS, EventKind, History
from remote_kernel.pool.page.pulse import Pulse, parse_pulse
from remote_kernel.pool.page.view import MAX_EVENTS_SHOWN, EventView, PageView, State, clock_text, make_view, state_of
from remote_kernel.pool.session_pool import PoolStatus, SessionStatus

BUSY, QUIET = Pulse(kernels=2, is_busy=True), Pulse(kernels=1, is_busy=False)


def a_session(*, left: float | None = 200.0, pid: int | None = 41) -> SessionStatus:
    idle = 0.0 if left is None else 300 - left
    return SessionStatus(
        label="aaaa0000", pid=pid, calls=3, age_seconds=3661, idle_seconds=idle, expires_in_seconds=left
    )


def view_of(
    *sessions: SessionStatus, history: History | None = None, pulses: dict[str, Pulse] | None = None, now: float = 0
) -> PageView:
    status = PoolStatus(sessions=list(sessions), ready=1, max_sessions=5, cooldown_seconds=300)
    return make_view(status, pulses or {}, history or History(0), "a line", now)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (7.9, "0:07"), (754, "12:34"), (3600, "1:00:00"), (90_061, "25:01:01")]
)
def test_times_are_written_as_on_a_clock(seconds: float, text: str) -> None:
    assert clock_text(seconds) == text


@pytest.mark.parametrize(
    ("session", "pulse", "state"),
    [
        (a_session(left=None, pid=None), None, State.STARTING),
        (a_session(), None, State.IDLE),
        (a_session(), QUIET, State.IDLE),
        (a_session(), BUSY, State.BUSY),
        (a_session(left=60), QUIET, State.IDLE),
        (a_session(left=59.9), QUIET, State.EXPIRING),
        (a_session(left=59.9), BUSY, State.EXPIRING),
    ],
)
def test_state_of_a_session(session: SessionStatus, pulse: Pulse | None, state: State) -> None:
    assert state_of(session, pulse, cooldown_seconds=300) == state


def test_session_expires_in_the_last_fifth_of_a_short_cooldown() -> None:
    assert state_of(a_session(left=2.1), None, cooldown_seconds=10) == State.IDLE
    assert state_of(a_session(left=1.9), None, cooldown_seconds=10) == State.EXPIRING


def test_session_is_described() -> None:
    (session,) = view_of(a_session(left=225), pulses={"aaaa0000": BUSY}).sessions
    assert (session.label, session.state, session.left_percent) == ("aaaa0000", State.BUSY, 75.0)
    assert (session.since, session.until) == ("last call 1:15 ago", "stops in 3:45")
    assert (session.kernels, session.calls, session.age, session.process) == ("2", "3", "1:01:01", "41")


def test_session_whose_pod_starts_is_described() -> None:
    (session,) = view_of(a_session(left=None, pid=None)).sessions
    assert (session.since, session.until, session.left_percent) == ("its pod starts", "", 100.0)
    assert (session.kernels, session.process) == ("–", "–")


def test_figures_are_those_of_the_pool() -> None:
    history = History(100)
    history.note_refusal(110)
    view = view_of(a_session(), history=history, now=165)
    assert view.figures == {
        "in_use": "1",
        "max_sessions": "5",
        "ready": "1",
        "refused": "1",
        "cooldown": "5:00",
        "uptime": "1:05",
    }
    assert view.log == "a line"


def test_events_are_told_newest_first() -> None:
    history = History(0)
    history.note(EventKind.ALLOCATED, "aaaa", 0)
    history.note_refusal(1)
    history.note_refusal(2)
    history.note(EventKind.FAILED, "", 3)
    history.note(EventKind.COOLED_DOWN, "aaaa", 9)
    assert view_of(history=history, now=10).events == [
        EventView(when="0:01", who="aaaa", what="cooled down"),
        EventView(when="0:07", who="", what="A pod did not start"),
        EventView(when="0:08", who="", what="A new session was refused: the pool was full, 2 times"),
        EventView(when="0:10", who="aaaa", what="has a pod"),
    ]


@pytest.mark.parametrize(
    ("kind", "label"),
    [(kind, "aaaa") for kind in EventKind if kind is not EventKind.REFUSED]
    # A pod that waits for a session is given to one before it can cool down.
    + [(kind, "") for kind in EventKind if kind not in {EventKind.ALLOCATED, EventKind.COOLED_DOWN}],
)
def test_every_event_has_words(kind: EventKind, label: str) -> None:
    history = History(0)
    history.note(kind, label, 0)
    (event,) = view_of(history=history).events
    assert event.what


def test_only_the_newest_events_are_told() -> None:
    history = History(0)
    for index in range(2 * MAX_EVENTS_SHOWN):
        history.note(EventKind.STOPPED, f"{index}", index)
    events = view_of(history=history, now=99).events
    assert (len(events), events[0].who) == (MAX_EVENTS_SHOWN, f"{2 * MAX_EVENTS_SHOWN - 1}")


@pytest.mark.parametrize(("now", "seconds"), [(1, 120), (121, 300), (1000, 1800), (9999, HISTORY_SECONDS)])
def test_plot_has_room_for_the_pool_s_life_up_to_an_hour(now: float, seconds: float) -> None:
    assert view_of(now=now).chart.seconds == seconds


def test_plot_and_its_sentence_say_the_same() -> None:
    history = History(0)
    for now, sessions in ((0, 0), (10, 4), (20, 1)):
        history.note_counts(sessions, 1, now)
    history.note_refusal(15)
    chart = view_of(a_session(), history=history, now=30).chart
    assert chart.samples == [(30, 0, 1), (20, 4, 1), (10, 1, 1)]
    assert chart.refusals == [(15, 1)]
    assert chart.summary == "The last 2 minutes: 1 in use now, 4 at most, of 5; 1 refused."


@pytest.mark.parametrize(
    "answer", [b"", b"[]", b"{}", b"null", b'{"kernels": 3}', b'{"kernels": [1]}', b'{"kernels": [{}]}', b"\xff"]
)
def test_answer_of_a_pod_that_knows_no_kernels_is_no_pulse(answer: bytes) -> None:
    assert parse_pulse(answer) is None


def test_pod_is_busy_when_one_of_its_kernels_is() -> None:
    assert parse_pulse(b'{"kernels": [{"is_busy": false}, {"is_busy": true}]}') == Pulse(kernels=2, is_busy=True)
    assert parse_pulse(b'{"kernels": []}') == Pulse(kernels=0, is_busy=False)
