"""How long a link tries in vain: in a queue, without an answer, and with both in turn."""

import pytest

from remote_kernel.client.link import retry_schedule as outage_module
from remote_kernel.client.link.retry_schedule import RetrySchedule
from remote_kernel.core.errors import PoolFull, PoolUnreachable

FULL, SILENT = PoolFull("full"), PoolUnreachable("silent")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(outage_module, "time", clock)
    return clock


def test_a_moment_without_an_answer_does_not_end_the_wait_in_a_queue(clock: Clock) -> None:
    schedule = RetrySchedule()
    assert schedule.pause(FULL, 300) > 0
    clock.now += 100
    assert schedule.pause(SILENT, 10) > 0
    clock.now += 9
    assert schedule.pause(FULL, 300) > 0
    clock.now += 9
    assert schedule.pause(SILENT, 10) > 0
    clock.now += 182
    assert schedule.pause(FULL, 300) == 0, "the wait in the queue has taken its 300 s, in spite of the two moments"


def test_the_wait_in_a_queue_begins_with_it_however_long_there_was_no_answer(clock: Clock) -> None:
    schedule = RetrySchedule()
    assert schedule.pause(SILENT, float("inf")) > 0
    clock.now += 36_000
    assert schedule.pause(FULL, 300) > 0
    clock.now += 299
    assert schedule.pause(FULL, 300) > 0
    clock.now += 1
    assert schedule.pause(FULL, 300) == 0


def test_no_answer_for_too_long_ends_the_wait(clock: Clock) -> None:
    schedule = RetrySchedule()
    assert schedule.pause(SILENT, 10) > 0
    clock.now += 10
    assert schedule.pause(SILENT, 10) == 0
    schedule.end(for_good=False)
    assert not schedule.has_begun
