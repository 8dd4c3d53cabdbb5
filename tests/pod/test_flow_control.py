"""Who is held for a reader that is behind, and for how long."""

import pytest

from remote_kernel.pod.kernels.flow_control import GO_BYTES, HOLD_BYTES, PATIENCE_SECONDS, Pace

pytestmark = pytest.mark.anyio


@pytest.fixture
def held() -> list[bool]:
    return []


@pytest.fixture
def pace(held: list[bool]) -> Pace:
    return Pace(held.append)


async def test_a_kernel_that_outruns_a_reader_is_held_until_the_reader_has_caught_up(
    pace: Pace, held: list[bool]
) -> None:
    with pace.reading() as reader:
        pace.said(HOLD_BYTES)
        assert held == []
        pace.said(1)
        assert held == [True]
        pace.took(reader, HOLD_BYTES - GO_BYTES)
        assert held == [True]
        pace.took(reader, 1)
        assert held == [True, False]


async def test_a_kernel_is_not_held_for_a_reader_that_takes_nothing(pace: Pace, held: list[bool]) -> None:
    with pace.reading() as reader:
        reader.took_at -= PATIENCE_SECONDS
        pace.said(2 * HOLD_BYTES)
    assert held == []


async def test_a_kernel_goes_on_when_its_reader_has_gone(pace: Pace, held: list[bool]) -> None:
    with pace.reading():
        pace.said(2 * HOLD_BYTES)
    assert held == [True, False]


async def test_a_kernel_that_was_interrupted_is_not_held_again_at_once(pace: Pace, held: list[bool]) -> None:
    with pace.reading():
        pace.said(2 * HOLD_BYTES)
        pace.free()
        pace.said(HOLD_BYTES)
    assert held == [True, False]
