"""The simulated day: what must hold whatever people do, on a small pool."""

from collections.abc import Sequence

import pytest

from benchmarks.scale.__main__ import POLICIES
from benchmarks.scale.clock import Clock, Process
from benchmarks.scale.day import Day, Policy, Record
from benchmarks.scale.people import HOUR, Person, draw_batch, draw_people
from benchmarks.scale.report import busiest_hour, percentile, share_above
from remote_kernel.core.identity import Scope
from remote_kernel.pool.sessions import Limits

PEOPLE = draw_people(10, 8, seed=7)
LIMITS = Limits(max_sessions=12, ready=2)
WARM, COLD, SHARED = POLICIES


def simulate(policy: Policy, people: Sequence[Person] = PEOPLE, limits: Limits = LIMITS) -> Record:
    """Run a day; promises that the pool does not keep end it with an assertion (`benchmarks.scale.door`)."""
    return Day(people, policy, limits, seed=7).run()


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.title)
@pytest.mark.parametrize("max_sessions", [1, 3, 12])
def test_everybody_is_served_and_the_ceiling_holds(policy: Policy, max_sessions: int) -> None:
    record = simulate(policy, limits=Limits(max_sessions=max_sessions, ready=1))
    assert record.cells == sum(len(sitting.cells) for person in PEOPLE for sitting in person.sittings)
    assert len(record.waits) == sum(len(person.sittings) for person in PEOPLE)
    assert 0 < record.peak <= max_sessions


def test_the_same_seed_is_the_same_day_and_another_is_another() -> None:
    assert draw_people(10, 8, seed=7) == PEOPLE
    assert simulate(WARM) == simulate(WARM)
    assert simulate(WARM, draw_people(10, 8, seed=8)) != simulate(WARM)


def test_what_a_project_s_notebooks_share_is_not_waited_for() -> None:
    alone, shared = simulate(WARM), simulate(SHARED)
    assert share_above(alone.waits, 60) > 0.1
    assert share_above(shared.waits, 60) == 0
    assert shared.peak <= len(PEOPLE)
    assert shared.losses < alone.losses
    assert shared.pods < alone.pods


def test_sessions_that_are_not_kept_warm_are_fewer_and_lost_more_often() -> None:
    roomy = Limits(max_sessions=100, ready=2)
    warm, cold = simulate(WARM, limits=roomy), simulate(COLD, limits=roomy)
    assert cold.session_seconds < warm.session_seconds
    assert cold.losses > warm.losses


def test_a_batch_fills_the_pool_until_it_is_done() -> None:
    record = simulate(COLD, draw_batch(200, seed=7))
    assert record.peak == LIMITS.max_sessions
    assert record.notebooks == 200
    assert record.begun_hours >= 200
    assert record.used_seconds <= record.session_seconds


def test_scopes_of_the_simulation_are_those_of_the_kernel() -> None:
    assert {policy.scope for policy in POLICIES} == {Scope.NOTEBOOK, Scope.PROJECT}


def test_processes_wake_in_the_order_of_their_times() -> None:
    clock, woken = Clock(), []

    def sleep(name: str, seconds: float) -> Process:
        yield seconds
        woken.append((name, clock.now))

    for name, seconds in (("c", 3.0), ("a", 1.0), ("b", 1.0)):
        clock.start(sleep(name, seconds))
    clock.run()
    assert woken == [("a", 1.0), ("b", 1.0), ("c", 3.0)]


def test_numbers_of_the_report() -> None:
    assert percentile([3.0, 1.0, 2.0, 4.0], 0.5) == 3.0
    assert percentile([], 0.5) == 0.0
    assert share_above([1.0, 2.0], 1.0) == 0.5
    assert busiest_hour([(hour * HOUR / 30, 6 if hour < 30 else 1, 0) for hour in range(60)]) == 6
