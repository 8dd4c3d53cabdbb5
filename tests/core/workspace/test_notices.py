"""Notices of a file system: what events make it necessary to look at."""

from remote_kernel.core.workspace.notices import (
    ATTRIB,
    CLOSE_NOWRITE,
    CLOSE_WRITE,
    CREATE,
    DELETE,
    DELETE_SELF,
    IGNORED,
    IS_FOLDER,
    MAX_CLOSED,
    MAX_OPEN,
    MODIFY,
    MOVED_FROM,
    MOVED_TO,
    OPEN,
    OVERFLOW,
    UNMOUNT,
    Event,
    Notices,
)

ROOT, D, E = 1, 2, 3


def notices() -> Notices:
    made = Notices()
    made.begin_round()
    for watch, folder in ((ROOT, ""), (D, "d"), (E, "d/e")):
        made.enter(watch, folder)
    assert made.end_round() == []
    return made


def told(made: Notices, *events: Event) -> set[str]:
    made.take(events)
    paths = made.paths
    made.settle()
    return paths


def test_events_name_what_is_to_be_looked_at() -> None:
    for mask in (MODIFY, ATTRIB, CREATE, DELETE, MOVED_FROM, MOVED_TO, ATTRIB | IS_FOLDER, CREATE | IS_FOLDER):
        made = notices()
        assert told(made, Event(ROOT, mask, "a"), Event(E, mask, "b")) == {"a", "d/e/b"}
        assert not made.is_lost


def test_reading_a_folder_changes_nothing() -> None:
    events = [Event(ROOT, mask | IS_FOLDER, name) for mask in (OPEN, CLOSE_NOWRITE) for name in ("", "d")]
    assert told(notices(), *events) == set()


def test_what_is_open_or_was_closed_just_now_is_looked_at_each_time() -> None:
    made = notices()
    assert told(made, Event(D, OPEN, "a")) == {"d/a"}
    assert told(made) == {"d/a"}
    made.take(Event(ROOT, mask, f"{number}") for number in range(100) for mask in (OPEN, CLOSE_NOWRITE))
    assert len(told(made)) == MAX_CLOSED + 1
    made.take([Event(D, OPEN, "a"), Event(D, CLOSE_NOWRITE, "a")])
    assert "d/a" in told(made), "somebody has it open still"
    made.take([Event(D, CLOSE_WRITE, "a")])
    made.take(Event(ROOT, mask, f"{number}") for number in range(100) for mask in (OPEN, CLOSE_NOWRITE))
    assert "d/a" in told(made), "it was written"
    assert "d/a" not in told(made)


def test_an_open_file_that_is_renamed_stays_open() -> None:
    made = notices()
    assert told(made, Event(D, OPEN, "a"), Event(D, MOVED_FROM, "a", 7), Event(ROOT, MOVED_TO, "b", 7)) == {"d/a", "b"}
    assert told(made) == {"b"}
    made.take([Event(ROOT, MOVED_FROM | IS_FOLDER, "d", 8), Event(ROOT, MOVED_TO | IS_FOLDER, "f", 8)])
    assert told(made, Event(E, MODIFY, "c")) >= {"d", "f", "f/e/c"}


def test_a_file_that_takes_another_s_place_is_not_open_because_that_was() -> None:
    made = notices()
    made.take([Event(ROOT, OPEN, "a"), Event(ROOT, MOVED_FROM, "b", 1), Event(ROOT, MOVED_TO, "a", 1)])
    made.take(Event(ROOT, mask, f"{number}") for number in range(100) for mask in (OPEN, CLOSE_NOWRITE))
    made.settle()
    assert "a" not in told(made)
    assert told(made, Event(ROOT, OPEN, "c"), Event(ROOT, DELETE, "c")) >= {"c"}
    assert "c" not in told(made)


def test_what_names_cannot_tell_takes_another_round() -> None:
    for event in (Event(-1, OVERFLOW), Event(D, UNMOUNT), Event(ROOT, DELETE_SELF), Event(ROOT, ATTRIB | IS_FOLDER)):
        made = notices()
        made.take([event])
        assert made.is_lost
    made = notices()
    made.take([Event(D, DELETE_SELF), Event(D, IGNORED), Event(D, MODIFY, "a")])
    assert not made.is_lost, "the folder above has told of it"
    assert made.paths == set()


def test_a_round_gives_up_the_watches_of_what_it_has_not_met() -> None:
    made = notices()
    made.begin_round()
    made.enter(ROOT, "")
    made.enter(D, "other")
    assert made.end_round() == [E]
    assert told(made, Event(D, MODIFY, "a")) == {"other/a"}


def test_a_round_that_has_not_ended_is_none_and_its_watches_are_given_up_by_the_next() -> None:
    made = notices()
    made.begin_round()
    made.enter(ROOT, "")
    made.enter(4, "new")
    assert made.is_lost
    made.begin_round()
    made.enter(ROOT, "")
    assert sorted(made.end_round()) == [D, E, 4]
    assert not made.is_lost


def test_a_folder_that_is_met_twice_or_a_root_that_is_not_is_not_known() -> None:
    made = notices()
    made.begin_round()
    made.enter(D, "d")
    made.enter(D, "other")
    made.end_round()
    assert made.is_lost
    made.begin_round()
    made.enter(D, "d")
    made.end_round()
    assert made.is_lost


def test_too_much_that_is_open_is_no_use() -> None:
    made = notices()
    made.take(Event(ROOT, OPEN, f"{number}") for number in range(MAX_OPEN))
    assert not made.is_overrun
    made.take([Event(D, OPEN, "a")])
    assert made.is_overrun
    made.begin_round()
    assert not made.is_overrun, "two closings in a row are told as one, so that it seemed to be more"


def test_what_was_open_when_events_were_lost_is_not_open_for_ever() -> None:
    made = notices()
    made.take([Event(ROOT, OPEN, "a"), Event(-1, OVERFLOW)])
    made.begin_round()
    made.enter(ROOT, "")
    made.end_round()
    assert told(made) == set()
    assert told(made, Event(ROOT, CLOSE_WRITE, "a")) == {"a"}
