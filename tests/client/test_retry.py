"""How long is tried in vain: in a queue, without an answer, and with both in turn."""

import pytest
from hypothesis import given, strategies

from remote_kernel.client.retry import (
    MAX_BACKOFF_SECONDS,
    SOON_SECONDS,
    TOKEN_SECONDS,
    Budget,
    Retry,
    Room,
    backoff,
    describe_wait,
    first_contact,
    when_given_up,
    without_word,
)
from remote_kernel.core.errors import (
    Forbidden,
    NoAnswer,
    PoolFull,
    PoolNotReady,
    PoolRefused,
    PoolUnreachable,
    RemoteKernelError,
    SessionLost,
)
from remote_kernel.core.wire.frames import AGENT_FAILED

FULL, SILENT, FAULT = PoolFull("full"), PoolUnreachable("silent"), PoolRefused("a fault", status=500)
BUDGET = first_contact(300)


def test_a_moment_without_an_answer_does_not_end_the_wait_in_a_queue() -> None:
    retry = Retry()
    assert retry.next_wait(FULL, 0, BUDGET)
    assert retry.next_wait(SILENT, 100, BUDGET)
    assert retry.next_wait(FULL, 109, BUDGET)
    assert retry.next_wait(SILENT, 118, BUDGET)
    assert retry.next_wait(FULL, 300, BUDGET) is None, "300 s in the queue, in spite of the two moments"


def test_the_wait_in_a_queue_begins_with_it_however_long_there_was_no_answer() -> None:
    retry, budget = Retry(), Budget(full_seconds=300)
    assert retry.next_wait(SILENT, 0, budget)
    assert retry.next_wait(FULL, 36_000, budget)
    assert retry.next_wait(FULL, 36_299, budget)
    assert retry.next_wait(FULL, 36_300, budget) is None


def test_no_answer_for_too_long_ends_the_wait() -> None:
    retry = Retry()
    assert retry.next_wait(SILENT, 0, BUDGET)
    assert retry.next_wait(SILENT, 10, BUDGET) is None
    assert retry.has_begun
    retry.succeed(for_good=False)
    assert not retry.has_begun


def test_waits_grow_with_each_failure_until_one_try_is_good() -> None:
    retry = Retry(chance=lambda: 1.0)
    assert [retry.next_wait(SILENT, 0) for _ in range(7)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, MAX_BACKOFF_SECONDS]
    retry.succeed(for_good=False)
    assert retry.next_wait(SILENT, 0) == MAX_BACKOFF_SECONDS
    retry.succeed()
    assert retry.next_wait(SILENT, 0) == 0.1


def test_a_session_that_was_given_back_is_asked_for_soon() -> None:
    retry, full = Retry(), PoolFull("full", retry_after_seconds=60)
    assert retry.note_room(Room(freed=1), 0).freed == 1
    assert retry.note_room(Room(freed=2), 0).freed == 3
    assert retry.next_wait(full, 1) == SOON_SECONDS
    assert retry.note_room(Room(hint="others"), 6) == Room(freed=3, hint="others")
    assert (retry.next_wait(full, 6) or 0) > 60


def test_errors_that_count_end_it_when_there_are_too_many() -> None:
    retry, budget = Retry(), Budget(max_counted=2, counted=(NoAnswer,))
    assert retry.next_wait(NoAnswer(), 0, budget)
    assert retry.next_wait(SILENT, 0, budget)
    assert retry.next_wait(NoAnswer(), 0, budget) is None


def test_status_500_three_times_in_a_row_is_a_full_pool() -> None:
    retry, fault = Retry(), PoolRefused("a fault", status=500)
    assert [type(retry.recognise(fault)) for _ in range(4)] == [PoolRefused, PoolRefused, PoolFull, PoolFull]
    assert retry.recognise(SILENT) is SILENT
    assert retry.recognise(fault) is fault, "they are counted in a row"
    agent = PoolRefused("inside", status=500, code=AGENT_FAILED)
    assert [retry.recognise(agent) for _ in range(4)] == [agent] * 4
    retry.recognise(fault)
    retry.succeed()
    assert retry.recognise(fault) is fault


def test_a_full_pool_that_says_500_is_told_as_a_guess() -> None:
    guess = PoolFull("a fault", is_guess=True)
    assert describe_wait(guess).detail == "the pool answers with status 500, as full ones do"
    assert "status 500 throughout" in str(when_given_up(guess, 300))
    assert "500" not in str(when_given_up(FULL, 300))


def test_a_pool_may_have_sessions_none_of_which_becomes_ready() -> None:
    assert "PoolReadyPodCount" in describe_wait(FULL, may_be_broken=True).more
    assert "AppEnvSessionConsoleLogs" in str(when_given_up(FULL, 300, may_be_broken=True))
    counted = PoolFull("full", usage="5 of 5")
    assert describe_wait(counted, may_be_broken=True).more == "", "who counts them has some"
    assert describe_wait(FULL).more == ""


@pytest.mark.parametrize("error", [Forbidden("no role"), PoolNotReady("in the making")])
def test_a_role_and_a_new_pool_have_their_minutes(error: RemoteKernelError) -> None:
    retry, budget = Retry(), first_contact(300, 120)
    assert (retry.next_wait(error, 0, budget) or 0) >= TOKEN_SECONDS, "each try makes a token"
    assert retry.next_wait(SILENT, 60, budget)
    assert retry.next_wait(error, 119, budget)
    assert retry.next_wait(error, 120, budget) is None
    assert first_contact(5, 120).access_seconds == 5, "who does not wait for a pool does not wait for this"
    assert str(error) in describe_wait(error).more
    assert when_given_up(error, 300) is error


def test_a_pool_that_is_not_ready_is_waited_for_as_one_that_is_silent() -> None:
    """Who has a session, or moves a file, was let in before: it is an update, which passes."""
    error = PoolNotReady("in the making")
    assert Retry().next_wait(error, 0)
    assert Retry().next_wait(error, 0, Budget(max_counted=3, counted=(NoAnswer,)))
    retry, budget = Retry(), Budget(full_seconds=60, silent_seconds=60)
    assert retry.next_wait(error, 0, budget)
    assert retry.next_wait(error, 59, budget)
    assert retry.next_wait(error, 60, budget) is None


def test_a_pool_that_has_a_fault_and_no_word_of_the_session_has_its_time() -> None:
    retry, budget = Retry(), Budget(fault_seconds=300)
    assert retry.next_wait(SILENT, 0, budget), "no network is to blame for this"
    assert retry.next_wait(FAULT, 36_000, budget)
    assert retry.next_wait(FAULT, 36_299, budget)
    assert retry.next_wait(FAULT, 36_300, budget) is None
    assert retry.next_wait(SILENT, 36_300, budget), "a network that is away may be so for any time"
    assert retry.next_wait(FAULT, 40_000, budget), "the fault of before may have passed meanwhile"
    assert "status 500 for 5 min" in str(without_word(FAULT, 300))
    assert without_word(FULL, 300) is FULL


def test_a_fault_is_told_while_it_lasts() -> None:
    assert describe_wait(FAULT).detail == "it answers with status 500"
    assert describe_wait(PoolRefused("busy", status=503)).detail == ""


@pytest.mark.parametrize("error", [Forbidden(), SessionLost(), PoolRefused("no", status=400)])
def test_what_does_not_pass_is_not_tried_again(error: RemoteKernelError) -> None:
    assert Retry().next_wait(error, 0) is None


@given(strategies.integers(0, 10_000), strategies.floats(0, 1))
def test_no_wait_is_none_or_longer_than_the_longest(attempt: int, chance: float) -> None:
    assert 0.05 <= backoff(attempt, chance) <= MAX_BACKOFF_SECONDS
