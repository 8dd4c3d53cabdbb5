"""How long a pod is kept warm, and how often it is called for that."""

import time

import pytest

from remote_kernel.client.link.keep_alive import Warmth


def test_a_pod_that_nobody_uses_is_not_kept() -> None:
    warmth = Warmth(keepalive_seconds=0.0)
    assert not warmth.is_wanted
    assert warmth.seconds() == 0.0


def test_a_pod_is_kept_while_it_runs_something() -> None:
    warmth = Warmth(keepalive_seconds=0.0)
    warmth.is_busy = True
    assert warmth.is_wanted


def test_the_later_of_two_ends_holds() -> None:
    warmth = Warmth(keepalive_seconds=600.0)
    warmth.note_use()
    assert warmth.seconds() == pytest.approx(600.0, abs=60.0)
    warmth.keep_until = time.time() + 6000.0
    assert warmth.seconds() == pytest.approx(6000.0, abs=60.0)


def test_calls_come_three_times_as_often_as_a_pod_cools_down() -> None:
    warmth = Warmth(keepalive_seconds=0.0)
    warmth.cooldown_seconds = 1800.0
    warmth.note_call()
    assert warmth.seconds_to_call() == pytest.approx(600.0, abs=60.0)
    warmth.called_at -= 601.0
    assert warmth.seconds_to_call() < 0
