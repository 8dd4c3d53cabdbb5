"""How long a pod is kept warm, and how often it is called for that."""

from remote_kernel.client.clock import Clock
from remote_kernel.client.link.keep_alive import KeepAlive


class Time:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept = 1e9
        self.clock = Clock(monotonic=lambda: self.now, wall=lambda: self.now + self.slept)


def test_a_pod_that_nobody_uses_is_not_kept() -> None:
    keep_alive = KeepAlive(0.0, Time().clock)
    assert not keep_alive.is_wanted
    assert keep_alive.seconds() == 0.0


def test_a_pod_is_kept_while_it_runs_something() -> None:
    keep_alive = KeepAlive(0.0, Time().clock)
    keep_alive.is_busy = True
    assert keep_alive.is_wanted


def test_the_later_of_two_ends_holds() -> None:
    time = Time()
    keep_alive = KeepAlive(600.0, time.clock)
    time.now += 100.0
    assert keep_alive.seconds() == 500.0
    keep_alive.note_use()
    assert keep_alive.seconds() == 600.0
    keep_alive.keep_until = time.clock.wall() + 6000.0
    assert keep_alive.seconds() == 6000.0


def test_calls_come_three_times_as_often_as_a_pod_cools_down() -> None:
    time = Time()
    keep_alive = KeepAlive(0.0, time.clock)
    keep_alive.cooldown_seconds = 1800.0
    keep_alive.note_call()
    assert keep_alive.seconds_to_call() == 600.0
    time.now += 601.0
    assert keep_alive.seconds_to_call() < 0
    assert not keep_alive.has_cooled_down
    time.now += 1200.0
    assert keep_alive.has_cooled_down


def test_a_pod_cools_down_while_the_machine_sleeps() -> None:
    time = Time()
    keep_alive = KeepAlive(1800.0, time.clock)
    keep_alive.note_call()
    time.slept += 7200.0
    assert keep_alive.is_wanted
    assert keep_alive.has_cooled_down
    keep_alive.note_call()
    assert not keep_alive.has_cooled_down


def test_a_clock_that_is_set_back_keeps_no_pod_warm() -> None:
    time = Time()
    keep_alive = KeepAlive(0.0, time.clock)
    keep_alive.note_call()
    time.slept -= 7200.0
    assert not keep_alive.has_cooled_down
    time.now += 301.0
    assert keep_alive.has_cooled_down
