"""Many kernels on one pool with light pods: all is measured, and the pods are real to those who call."""

from collections.abc import Iterator

import pytest

from benchmarks.many import front_door, notebooks
from benchmarks.many.places import LightPool, light_pool

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place() -> Iterator[LightPool]:
    with light_pool(sessions=20, ready=2) as running:
        yield running


def test_kernels_run_their_cells_at_once_and_are_left_alone(place: LightPool) -> None:
    found = notebooks.measure(place, kernels=2, cells=3, idle_seconds=0.2)
    assert (len(found.start), len(found.first), len(found.cells)) == (2, 2, 6)
    assert 10 < found.own < found.shared
    assert found.idle_requests == 0
    assert len(notebooks.describe(found)) == 7


def test_every_session_keeps_its_stream_and_every_request_is_answered(place: LightPool) -> None:
    load = front_door.measure(place, sessions=10, rate=100, seconds=0.5)
    assert len(load.times) == 50
    assert load.held == 10
    assert load.spent.keys() == {"pool", "pods", "clients"}
    assert front_door.describe(load)[0] == ("10 sessions: event streams open at the end", "10")


def test_light_pods_start_no_interpreter(place: LightPool) -> None:
    front_door.measure(place, sessions=2, rate=10, seconds=0.2)
    assert place.agents.children(recursive=True) == []
