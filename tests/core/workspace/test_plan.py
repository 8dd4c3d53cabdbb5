"""The table that decides about each file."""

import itertools

import pytest

from remote_kernel.core.workspace.plan import Action, Change, decide

# Ways in which nothing that is here may be changed.
HARMLESS = {Action.NOTHING, Action.SEND, Action.KEEP_BOTH, Action.KEEP_HERE}


def test_what_changed_on_one_side_goes_to_the_other() -> None:
    assert decide(Change.CHANGED, Change.SAME) is Action.SEND
    assert decide(Change.SAME, Change.CHANGED) is Action.FETCH
    assert decide(Change.CHANGED, Change.NEVER) is Action.SEND
    assert decide(Change.NEVER, Change.CHANGED) is Action.FETCH


def test_what_changed_here_is_never_replaced() -> None:
    assert {decide(Change.CHANGED, there) for there in Change} <= HARMLESS


def test_what_was_removed_there_stays_here() -> None:
    assert decide(Change.SAME, Change.GONE) is Action.KEEP_HERE
    assert decide(Change.CHANGED, Change.GONE) is Action.SEND


def test_what_was_removed_here_goes_there_only_if_it_has_not_changed() -> None:
    assert decide(Change.GONE, Change.SAME) is Action.REMOVE_THERE
    assert decide(Change.GONE, Change.CHANGED) is Action.FETCH_AGAIN
    assert [pair for pair in itertools.product(Change, Change) if is_removal(*pair)] == [(Change.GONE, Change.SAME)]


def is_removal(here: Change, there: Change) -> bool:
    try:
        return decide(here, there) is Action.REMOVE_THERE
    except KeyError:
        return False


def test_a_file_is_in_the_base_for_both_sides_or_for_none() -> None:
    with pytest.raises(KeyError):
        decide(Change.NEVER, Change.SAME)
