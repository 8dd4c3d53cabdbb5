"""A notebook is saved by itself, whatever happens in whatever order: never while a cell runs, and never not at all."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from remote_kernel.kernel.saves.autosave import Autosave, Pace

PACE = Pace()
FAR = 1e9


def autosave() -> Autosave:
    made = Autosave()
    made.is_on = True
    return made


def run_cell(made: Autosave, begins: float, ends: float) -> None:
    made.note_busy(True, begins)
    made.note_busy(False, ends)


def test_a_notebook_that_has_run_nothing_is_not_saved() -> None:
    made = autosave()
    assert made.due_at(FAR) is None
    assert not made.is_due_before_end


def test_a_cell_is_saved_when_the_notebook_has_been_idle_for_a_while() -> None:
    made = autosave()
    made.note_busy(True, 10)
    assert made.due_at(FAR) is None
    made.note_busy(False, 20)
    assert made.due_at(FAR) == 20 + PACE.idle_seconds
    run_cell(made, 30, 31)
    assert made.due_at(FAR) == 31 + PACE.idle_seconds


def test_a_notebook_that_did_not_ask_for_it_is_not_saved() -> None:
    made = Autosave()
    run_cell(made, 0, 1)
    assert made.due_at(FAR) is None
    made.is_on = True  # what has run before counts
    assert made.due_at(FAR) == 1 + PACE.idle_seconds


def test_nothing_is_saved_twice() -> None:
    made = autosave()
    run_cell(made, 0, 1)
    made.begin(16)
    assert made.due_at(FAR) is None
    assert made.is_due_before_end  # it is not whole so far
    made.saved(17)
    assert made.due_at(FAR) is None
    assert not made.is_due_before_end


@pytest.mark.parametrize(("took", "rest"), [(1, PACE.rest_seconds), (30, 300)])
def test_a_save_that_took_long_is_followed_by_a_long_rest(took: float, rest: float) -> None:
    made = autosave()
    run_cell(made, 0, 1)
    made.begin(100)
    made.saved(100 + took)
    run_cell(made, 100 + took, 101 + took)
    assert made.due_at(FAR) == 100 + took + rest


def test_the_end_of_the_keep_alive_cuts_a_rest_short_and_leaves_time_for_the_save() -> None:
    made = autosave()
    run_cell(made, 0, 1)
    made.begin(100)
    made.saved(130)
    run_cell(made, 131, 132)
    assert made.due_at(330) == 330 - 3 * 30
    assert made.due_at(200) == 132 + PACE.idle_seconds  # as soon as may be
    assert made.due_at(FAR) == 430


def test_a_save_that_fails_is_tried_again_ever_more_rarely() -> None:
    made = autosave()
    run_cell(made, 0, 1)
    waits = []
    now = 16.0
    for _ in range(8):
        made.begin(now)
        made.failed(now)
        due = made.due_at(0)  # not even the end of the keep-alive makes a failing one hurry
        assert due is not None
        waits.append(due - now)
        now = due
    assert waits[:3] == [120, 240, 480]
    assert waits[-1] == PACE.max_retry_seconds
    made.begin(now)
    made.saved(now)
    run_cell(made, now, now)
    made.begin(now)
    made.failed(now)
    assert made.due_at(0) == now + 120


def test_a_cell_that_comes_meanwhile_ends_a_save_that_holds_it_up() -> None:
    made = autosave()
    run_cell(made, 0, 1)
    made.begin(16)
    assert not made.must_drop
    made.note_busy(True, 17)
    assert made.must_drop
    made.dropped()
    made.note_busy(False, 18)
    assert made.due_at(FAR) == 18 + PACE.idle_seconds


def test_a_cell_that_comes_meanwhile_leaves_a_snapshot_alone_and_is_saved_later() -> None:
    made = autosave()
    run_cell(made, 0, 1)
    made.begin(16)
    made.note_snapshot()
    run_cell(made, 17, 18)
    assert not made.must_drop
    made.saved(20)
    assert made.due_at(FAR) == 20 + PACE.rest_seconds


def test_of_a_session_that_is_gone_there_is_nothing_to_save() -> None:
    made = autosave()
    run_cell(made, 0, 1)
    made.note_gone()
    assert made.due_at(FAR) is None


class AnyNotebook(RuleBasedStateMachine):
    """A notebook whose cells have numbers, and what a save of it would hold."""

    def __init__(self) -> None:
        super().__init__()
        self.autosave = autosave()
        self.now = 0.0
        self.kept_until = 0.0
        self.ran = self.held = self.to_hold = 0
        self.is_running = self.has_snapshot = False
        self.idle_since = 0.0

    @rule(seconds=st.floats(0, 1000))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(seconds=st.floats(-100, 5000))
    def keep(self, seconds: float) -> None:
        self.kept_until = self.now + seconds

    @precondition(lambda self: not self.is_running)
    @rule()
    def begin_cell(self) -> None:
        self.ran, self.is_running = self.ran + 1, True
        self.autosave.note_busy(True, self.now)
        if self.autosave.must_drop:
            self.autosave.dropped()

    @precondition(lambda self: self.is_running)
    @rule()
    def end_cell(self) -> None:
        self.is_running, self.idle_since = False, self.now
        self.autosave.note_busy(False, self.now)

    @rule()
    def wait_until_due(self) -> None:
        due = self.autosave.due_at(self.kept_until)
        if due is not None:
            self.now = max(self.now, due)
            self.save()

    @precondition(lambda self: not (self.is_running or self.autosave.is_saving))
    @rule()
    def save(self) -> None:
        self.autosave.begin(self.now)
        self.to_hold, self.has_snapshot = self.ran, False

    @precondition(lambda self: self.autosave.is_saving)
    @rule()
    def fork(self) -> None:
        self.autosave.note_snapshot()
        self.has_snapshot = True

    @precondition(lambda self: self.autosave.is_saving)
    @rule(is_whole=st.booleans())
    def end_save(self, is_whole: bool) -> None:
        if is_whole:
            self.autosave.saved(self.now)
            self.held = self.to_hold
        else:
            self.autosave.failed(self.now)

    @rule()
    def lose(self) -> None:
        self.autosave.note_gone()
        self.is_running, self.idle_since = False, self.now
        self.autosave.note_busy(False, self.now)
        self.held = self.to_hold = self.ran

    @invariant()
    def a_save_holds_up_no_cell(self) -> None:
        assert not (self.autosave.is_saving and self.is_running) or self.has_snapshot

    @invariant()
    def what_is_not_in_a_save_is_known(self) -> None:
        if not self.autosave.is_saving:
            assert self.autosave.has_changed == (self.ran > self.held)

    @invariant()
    def one_is_due_when_and_only_when_it_may_be(self) -> None:
        due = self.autosave.due_at(self.kept_until)
        may_be = not (self.is_running or self.autosave.is_saving) and self.ran > self.held
        assert (due is not None) == may_be
        if due is not None:
            assert due >= self.idle_since + PACE.idle_seconds
            assert due <= max(self.now + PACE.max_retry_seconds, self.now + 10 * self.now + PACE.idle_seconds + 60)


TestAnyNotebook = AnyNotebook.TestCase
TestAnyNotebook.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
