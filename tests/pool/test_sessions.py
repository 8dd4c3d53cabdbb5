"""Allocation as a table of decisions: examples, then a state machine."""

import math

import pytest
from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from remote_kernel.core.identity import Identifier
from remote_kernel.pool.sessions import Allocated, Changes, Full, Limits, PodNumber, Sessions

A, B, C = (Identifier(name) for name in ("aaaa", "bbbb", "cccc"))


def make_sessions(*, max_sessions: int = 2, ready: int = 0) -> Sessions:
    return Sessions(Limits(max_sessions=max_sessions, cooldown_seconds=10, ready=ready), now=0.0)


def call_ready(sessions: Sessions, identifier: Identifier, now: float) -> PodNumber:
    """Call, and let the pod be ready at once."""
    decision = sessions.call(identifier, now)
    assert isinstance(decision, Allocated)
    for pod in decision.changes.start:
        sessions.pod_ready(pod, now)
    return decision.pod


def test_same_identifier_gets_same_pod() -> None:
    sessions = make_sessions()
    assert call_ready(sessions, A, now=0) == call_ready(sessions, A, now=9.9)


def test_other_identifier_gets_other_pod() -> None:
    sessions = make_sessions()
    assert call_ready(sessions, A, now=0) != call_ready(sessions, B, now=0)


def test_calls_that_passed_the_pool_by_keep_a_session() -> None:
    sessions = make_sessions()
    pod = call_ready(sessions, A, now=0)
    (session,) = sessions
    sessions.note_activity(session, called_at=8, calls=5, now=9)
    assert sessions.next_expiry() == 18
    assert session.calls == 5
    assert call_ready(sessions, A, now=17) == pod


@pytest.mark.parametrize("called_at", [-1.0, 3.0, 9.5, 1e300, math.inf, -math.inf, math.nan])
def test_calls_that_cannot_be_count_for_nothing(called_at: float) -> None:
    sessions = make_sessions()
    call_ready(sessions, A, now=4)
    (session,) = sessions
    sessions.note_activity(session, called_at=called_at, calls=0, now=9)
    assert (sessions.next_expiry(), session.calls) == (14, 1)


def test_second_call_during_the_start_starts_nothing() -> None:
    sessions = make_sessions()
    first, second = sessions.call(A, now=0), sessions.call(A, now=0)
    assert isinstance(first, Allocated)
    assert second == Allocated(pod=first.pod, changes=Changes())


def test_new_identifier_in_a_full_pool_is_told_when_to_come_back() -> None:
    sessions = make_sessions()
    call_ready(sessions, A, now=0)
    call_ready(sessions, B, now=4)
    assert sessions.call(C, now=7) == Full(retry_after_seconds=3)


def test_full_pool_goes_on_serving_its_sessions() -> None:
    sessions = make_sessions()
    pods = [call_ready(sessions, identifier, now=0) for identifier in (A, B)]
    assert isinstance(sessions.call(C, now=1), Full)
    assert [call_ready(sessions, identifier, now=2) for identifier in (A, B)] == pods


def test_pool_full_of_starting_pods_says_the_cooldown() -> None:
    sessions = make_sessions(max_sessions=1)
    sessions.call(A, now=0)
    assert sessions.call(B, now=3) == Full(retry_after_seconds=10)


def test_session_expires_a_cooldown_after_its_last_call() -> None:
    sessions = make_sessions()
    pod = call_ready(sessions, A, now=0)
    call_ready(sessions, A, now=5)
    assert sessions.next_expiry() == 15
    assert sessions.expire(now=14.9) == Changes()
    assert sessions.expire(now=15) == Changes(stop=(pod,))
    assert sessions.next_expiry() is None


def test_slow_start_costs_no_idle_time() -> None:
    sessions = make_sessions()
    decision = sessions.call(A, now=0)
    assert isinstance(decision, Allocated)
    assert sessions.expire(now=100) == Changes()
    sessions.pod_ready(decision.pod, now=100)
    assert sessions.next_expiry() == 110


def test_expired_session_makes_room_before_anybody_looked() -> None:
    sessions = make_sessions(max_sessions=1)
    pod = call_ready(sessions, A, now=0)
    decision = sessions.call(B, now=10)
    assert isinstance(decision, Allocated)
    assert decision.changes.stop == (pod,)


def test_expired_identifier_gets_a_new_pod() -> None:
    sessions = make_sessions()
    pod = call_ready(sessions, A, now=0)
    assert call_ready(sessions, A, now=10) != pod


def test_clock_that_goes_back_shortens_nothing() -> None:
    sessions = make_sessions()
    call_ready(sessions, A, now=5)
    call_ready(sessions, A, now=1)
    assert sessions.next_expiry() == 15


def test_dead_pod_frees_its_slot() -> None:
    sessions = make_sessions(max_sessions=1)
    pod = call_ready(sessions, A, now=0)
    assert sessions.pod_gone(pod, now=1)
    assert not sessions.pod_gone(pod, now=1)
    assert call_ready(sessions, B, now=1) != pod


def test_dead_pod_is_not_followed_by_another_one_before_the_next_call() -> None:
    sessions = make_sessions(ready=1)
    (pod,) = sessions.refill().start
    sessions.pod_gone(pod, now=1)
    assert sessions.expire(now=100) == Changes()
    assert isinstance(sessions.call(A, now=100), Allocated)


def test_stopped_session_is_gone() -> None:
    sessions = make_sessions()
    pod = call_ready(sessions, A, now=0)
    assert sessions.stop(A, now=1) == Changes(stop=(pod,))
    assert sessions.stop(A, now=1) is None


def test_ready_pod_is_taken_and_replaced() -> None:
    sessions = make_sessions(ready=1)
    (pod,) = sessions.refill().start
    sessions.pod_ready(pod, now=0)
    assert sessions.ready_count == 1
    decision = sessions.call(A, now=1)
    assert isinstance(decision, Allocated)
    assert decision.pod == pod
    assert len(decision.changes.start) == 1


def test_pod_that_somebody_waits_for_starts_alone() -> None:
    sessions = make_sessions(ready=1)
    (pod,) = sessions.refill().start
    decision = sessions.call(A, now=0)
    assert decision == Allocated(pod=pod, is_new=True, changes=Changes())
    assert len(sessions.pod_ready(pod, now=1).start) == 1


def test_ready_pod_is_preferred_to_one_that_starts() -> None:
    sessions = make_sessions(max_sessions=3, ready=2)
    _, second = sessions.refill().start
    sessions.pod_ready(second, now=0)
    decision = sessions.call(A, now=0)
    assert isinstance(decision, Allocated)
    assert decision.pod == second


def test_last_slot_has_no_ready_pod_beside_it() -> None:
    sessions = make_sessions(max_sessions=1, ready=1)
    (pod,) = sessions.refill().start
    sessions.pod_ready(pod, now=0)
    decision = sessions.call(A, now=0)
    assert decision == Allocated(pod=pod, is_new=True, changes=Changes())


def test_unused_since_the_last_session_went() -> None:
    sessions = make_sessions()
    assert sessions.unused_since == 0
    call_ready(sessions, A, now=1)
    assert sessions.unused_since is None
    sessions.stop(A, now=7)
    assert sessions.unused_since == 7


def test_stop_all_names_every_pod_once() -> None:
    sessions = make_sessions(max_sessions=3, ready=1)
    (waiting,) = sessions.refill().start
    sessions.pod_ready(waiting, now=0)
    decision = sessions.call(A, now=0)
    assert isinstance(decision, Allocated)
    assert set(sessions.stop_all(now=1).stop) == {waiting, *decision.changes.start}
    assert sessions.stop_all(now=1) == Changes()


class PoolMachine(RuleBasedStateMachine):
    """Any order of calls, starts, deaths and times, the clock going back included."""

    limits = Limits(max_sessions=3, cooldown_seconds=10, ready=2)
    identifiers = strategies.sampled_from([Identifier(f"session-{number}") for number in range(5)])

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.sessions = Sessions(self.limits, self.now)
        self.alive: dict[PodNumber, bool] = {}  # whether it is ready
        self.owners: dict[Identifier, PodNumber] = {}
        self.used_numbers: set[PodNumber] = set()
        self.act(self.sessions.refill())

    def act(self, changes: Changes) -> None:
        for pod in changes.stop:
            del self.alive[pod]  # a pod that is not alive, or a second time, is a KeyError
            self.owners = {owner: owned for owner, owned in self.owners.items() if owned != pod}
        assert self.used_numbers.isdisjoint(changes.start)
        self.used_numbers.update(changes.start)
        self.alive.update(dict.fromkeys(changes.start, False))

    @rule(seconds=strategies.one_of(strategies.integers(0, 12), strategies.integers(-5, 1000)))
    def pass_time(self, seconds: int) -> None:
        self.now += seconds

    @rule(identifier=identifiers)
    def call(self, identifier: Identifier) -> None:
        had = self.owners.get(identifier)
        decision = self.sessions.call(identifier, self.now)
        if isinstance(decision, Full):
            assert had is None
            assert len(self.owners) == self.limits.max_sessions
            assert decision.retry_after_seconds > 0
            return
        self.act(decision.changes)
        assert decision.pod in self.alive
        if had in self.alive:
            assert decision.pod == had
        assert decision.pod not in {pod for owner, pod in self.owners.items() if owner != identifier}
        self.owners[identifier] = decision.pod

    @precondition(lambda self: not all(self.alive.values()))
    @rule(data=strategies.data())
    def become_ready(self, data: strategies.DataObject) -> None:
        pod = data.draw(strategies.sampled_from([pod for pod, is_ready in self.alive.items() if not is_ready]))
        self.alive[pod] = True
        self.act(self.sessions.pod_ready(pod, self.now))

    @precondition(lambda self: bool(self.alive))
    @rule(data=strategies.data())
    def die(self, data: strategies.DataObject) -> None:
        pod = data.draw(strategies.sampled_from(list(self.alive)))
        del self.alive[pod]
        self.owners = {owner: owned for owner, owned in self.owners.items() if owned != pod}
        self.sessions.pod_gone(pod, self.now)

    @rule()
    def expire(self) -> None:
        self.act(self.sessions.expire(self.now))
        expiry = self.sessions.next_expiry()
        assert expiry is None or expiry > self.now

    @rule(identifier=identifiers)
    def stop(self, identifier: Identifier) -> None:
        changes = self.sessions.stop(identifier, self.now)
        if changes is not None:
            assert changes.stop == (self.owners[identifier],)
            self.act(changes)

    @invariant()
    def ceiling_holds(self) -> None:
        assert len(self.alive) <= self.limits.max_sessions
        assert len(self.alive) - len(self.owners) <= self.limits.ready

    @invariant()
    def both_know_the_same_sessions(self) -> None:
        assert {session.identifier: session.pod for session in self.sessions} == self.owners
        assert set(self.owners.values()) <= set(self.alive)


PoolMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=40)
TestAnyHistory = PoolMachine.TestCase


def test_thousands_of_notebooks_share_a_pool_in_turn() -> None:
    sessions = make_sessions(max_sessions=5)
    now = 0.0
    for number in range(3000):
        identifier = Identifier(f"notebook-{number}")
        while isinstance(decision := sessions.call(identifier, now), Full):
            now += decision.retry_after_seconds
        for pod in decision.changes.start:
            sessions.pod_ready(pod, now)
        assert len(sessions) <= 5
