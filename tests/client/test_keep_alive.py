"""How long a pod is kept warm, and how often it is called for that."""

import time

import pytest

from remote_kernel.client.link.keep_alive import KeepAlive


def test_a_pod_that_nobody_uses_is_not_kept() -> None:
    keep_alive = KeepAlive(keepalive_seconds=0.0)
    assert not keep_alive.is_wanted
    assert keep_alive.seconds() == 0.0


def test_a_pod_is_kept_while_it_runs_something() -> None:
    keep_alive = KeepAlive(keepalive_seconds=0.0)
    keep_alive.is_busy = True
    assert keep_alive.is_wanted


def test_the_later_of_two_ends_holds() -> None:
    keep_alive = KeepAlive(keepalive_seconds=600.0)
    keep_alive.note_use()
    assert keep_alive.seconds() == pytest.approx(600.0, abs=60.0)
    keep_alive.keep_until = time.time() + 6000.0
    assert keep_alive.seconds() == pytest.approx(6000.0, abs=60.0)


def test_calls_come_three_times_as_often_as_a_pod_cools_down() -> None:
    keep_alive = KeepAlive(keepalive_seconds=0.0)
    keep_alive.cooldown_seconds = 1800.0
    keep_alive.note_call()
    assert keep_alive.seconds_to_call() == pytest.approx(600.0, abs=60.0)
    keep_alive.called_at -= 601.0
    assert keep_alive.seconds_to_call() < 0
