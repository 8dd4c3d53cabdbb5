"""A pool's memory of the last hour, at moments that the test chooses."""

from remote_kernel.pool.history import (
    MAX_EVENTS,
    MAX_REFUSAL_SPANS,
    MAX_SAMPLES,
    Event,
    EventKind,
    History,
    RefusalSpan,
    Sample,
)


def test_newest_event_comes_first() -> None:
    history = History(0)
    history.note(EventKind.ALLOCATED, "aaaa", 1)
    history.note(EventKind.COOLED_DOWN, "aaaa", 301)
    assert history.events(0) == [
        Event(at=301, kind=EventKind.COOLED_DOWN, label="aaaa"),
        Event(at=1, kind=EventKind.ALLOCATED, label="aaaa"),
    ]


def test_refusals_in_a_row_are_one_event_and_are_all_counted() -> None:
    history = History(0)
    for now in (1, 2, 30):
        history.note_refusal(now)
    assert history.events(0) == [Event(at=30, kind=EventKind.REFUSED, count=3)]
    assert history.refused == 3


def test_an_event_between_two_refusals_parts_them() -> None:
    history = History(0)
    history.note_refusal(1)
    history.note(EventKind.STOPPED, "aaaa", 2)
    history.note_refusal(3)
    assert [event.kind for event in history.events(0)] == [EventKind.REFUSED, EventKind.STOPPED, EventKind.REFUSED]
    assert history.refused == 2


def test_refusals_are_counted_by_spans_of_ten_seconds() -> None:
    history = History(0)
    for now in (1, 10.9, 11, 40):
        history.note_refusal(now)
    assert history.refusals(0) == [
        RefusalSpan(at=1, count=2),
        RefusalSpan(at=11, count=1),
        RefusalSpan(at=40, count=1),
    ]


def test_counts_that_do_not_change_are_one_sample() -> None:
    history = History(0)
    history.note_counts(0, 1, 0)
    history.note_counts(0, 1, 5)
    history.note_counts(1, 0, 6)
    assert history.samples(0) == [Sample(at=0, sessions=0, ready=1), Sample(at=6, sessions=1, ready=0)]


def test_first_sample_says_what_held_at_the_moment_that_is_asked_for() -> None:
    history = History(0)
    history.note_counts(0, 1, 0)
    history.note_counts(1, 1, 10)
    history.note_counts(2, 1, 3000)
    assert history.samples(100) == [Sample(at=100, sessions=1, ready=1), Sample(at=3000, sessions=2, ready=1)]
    assert history.samples(3000) == [Sample(at=3000, sessions=2, ready=1)]
    assert history.samples(9000) == [Sample(at=9000, sessions=2, ready=1)]


def test_what_is_older_is_not_told() -> None:
    history = History(0)
    history.note(EventKind.ALLOCATED, "aaaa", 1)
    history.note_refusal(2)
    assert (history.events(3), history.refusals(3), history.refused) == ([], [], 1)


def test_memory_is_bounded() -> None:
    history = History(0)
    for index in range(2 * MAX_SAMPLES):
        history.note(EventKind.ALLOCATED, "aaaa", index)
        history.note_counts(index, 0, index)
        history.note_refusal(index * 100)
    assert len(history.events(0)) == MAX_EVENTS
    assert len(history.samples(0)) == MAX_SAMPLES
    assert len(history.refusals(0)) == MAX_REFUSAL_SPANS
