"""End of a kernel: each part has what is left of the time for all of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_kernel.kernel.ending import END_SECONDS, SAVE_SECONDS, Ending
from remote_kernel.kernel.session.session import FAREWELL_SECONDS

# What jupyter_client gives a kernel before it terminates it.
PATIENCE_SECONDS = 2.5


def ending(*, is_asked: bool = True, is_restart: bool = False) -> Ending:
    return Ending(began_at=100.0, is_asked=is_asked, is_restart=is_restart)


@given(st.booleans(), st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_all_parts_together_end_in_time(is_restart: bool, shares: list[float]) -> None:
    """However much of its time each takes. Saving and fetching are done at once."""
    end, now = ending(is_restart=is_restart), 100.0
    now += shares[0] * end.stopping_seconds(now)
    now += max(shares[1] * end.saving_seconds(now), shares[2] * end.fetching_seconds(now))
    left = end.farewell_seconds(now)
    assert left >= END_SECONDS - SAVE_SECONDS - 1e-9
    assert now + shares[3] * left <= 100.0 + END_SECONDS + 1e-9 < 100.0 + PATIENCE_SECONDS


@pytest.mark.parametrize(
    ("is_asked", "is_restart", "seconds"), [(True, False, SAVE_SECONDS), (True, True, 0.0), (False, False, END_SECONDS)]
)
def test_a_shutdown_and_a_signal_save_and_a_restart_does_not(is_asked: bool, is_restart: bool, seconds: float) -> None:
    end = ending(is_asked=is_asked, is_restart=is_restart)
    assert end.saving_seconds(100.0) == pytest.approx(seconds)
    assert end.saving_seconds(103.0) == 0.0


def test_what_took_longer_than_it_might_costs_what_comes_behind_it() -> None:
    end = ending()
    assert end.farewell_seconds(100.0) == FAREWELL_SECONDS
    assert end.farewell_seconds(101.75) == pytest.approx(0.25)
    assert (end.stopping_seconds(105.0), end.fetching_seconds(105.0), end.farewell_seconds(105.0)) == (0.0, 0.0, 0.0)
