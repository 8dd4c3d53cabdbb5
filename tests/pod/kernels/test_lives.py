"""States and moves of a kernel's interpreter."""

import pytest

from remote_kernel.pod.kernels.lives import MOVES, EpochMismatch, Event, Lives, State, Step

LOSES = {Event.DIED, Event.RESTART, Event.SHUTDOWN}
ENDS = {State.RUNNING: {Step.END, Step.BURY}, State.STARTING: {Step.GIVE_UP}, State.ABSENT: set()}


@pytest.mark.parametrize(("state", "event"), MOVES, ids=lambda each: each.name)
def test_no_move_leaves_an_interpreter_over_or_begins_one_beside_another(state: State, event: Event) -> None:
    after, steps = MOVES[state, event]
    ended = ENDS[state] & set(steps)
    begins = Step.BEGIN in steps
    goes_on = event in (Event.STARTED, Event.FAILED)
    assert len(ended) == (0 if goes_on or state is State.ABSENT else 1)
    assert begins == (after is State.STARTING)
    assert not begins or all(steps.index(Step.BEGIN) > steps.index(step) for step in ended)


@pytest.mark.parametrize(("state", "event"), MOVES, ids=lambda each: each.name)
def test_epoch_is_another_one_exactly_where_variables_are_lost(state: State, event: Event) -> None:
    assert (Step.NEW_EPOCH in MOVES[state, event][1]) == (event in LOSES)


def test_closed_kernel_stays_closed() -> None:
    lives = Lives()
    lives.move(Event.CLOSE)
    assert [lives.move(event) for event in Event] == [()] * len(Event)
    assert lives.is_closed


def test_what_happens_late_changes_nothing() -> None:
    """An interpreter that was given up starts, or one that was ended dies."""
    lives = Lives()
    lives.move(Event.WANTED)
    lives.move(Event.STARTED)
    epoch = lives.epoch
    assert lives.move(Event.STARTED) == lives.move(Event.FAILED) == lives.move(Event.WANTED) == ()
    assert lives.epoch == epoch


def test_every_epoch_of_a_kernel_is_known_and_one_is_current() -> None:
    lives = Lives()
    lives.move(Event.WANTED)
    epochs = [lives.epoch]
    for event in (Event.STARTED, Event.RESTART, Event.STARTED, Event.DIED, Event.WANTED, Event.SHUTDOWN):
        lives.move(event)
        epochs.append(lives.epoch)
    assert len({*epochs}) == 4
    assert all(map(lives.knows, epochs))
    assert not lives.knows("another")
    lives.check(epochs[-1])
    with pytest.raises(EpochMismatch):
        lives.check(epochs[0])


def test_kernel_has_run_once_an_interpreter_has_started() -> None:
    lives = Lives()
    lives.move(Event.WANTED)
    lives.move(Event.FAILED)
    lives.move(Event.WANTED)
    assert not lives.has_run
    lives.move(Event.STARTED)
    lives.move(Event.DIED)
    assert lives.has_run
