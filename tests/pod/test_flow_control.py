"""Who is held for a reader that is behind, and for how long."""

import pytest

from remote_kernel.pod.kernels.flow_control import GO_BYTES, HOLD_BYTES, PATIENCE_SECONDS, FlowControl

pytestmark = pytest.mark.anyio


@pytest.fixture
def held() -> list[bool]:
    return []


@pytest.fixture
def flow_control(held: list[bool]) -> FlowControl:
    return FlowControl(held.append)


async def test_a_kernel_that_outruns_a_reader_is_held_until_the_reader_has_caught_up(
    flow_control: FlowControl, held: list[bool]
) -> None:
    with flow_control.reading() as reader:
        flow_control.said(HOLD_BYTES)
        assert held == []
        flow_control.said(1)
        assert held == [True]
        flow_control.took(reader, HOLD_BYTES - GO_BYTES)
        assert held == [True]
        flow_control.took(reader, 1)
        assert held == [True, False]


async def test_a_kernel_is_not_held_for_a_reader_that_takes_nothing(
    flow_control: FlowControl, held: list[bool]
) -> None:
    with flow_control.reading() as reader:
        reader.took_at -= PATIENCE_SECONDS
        flow_control.said(2 * HOLD_BYTES)
    assert held == []


async def test_a_kernel_goes_on_when_its_reader_has_gone(flow_control: FlowControl, held: list[bool]) -> None:
    with flow_control.reading():
        flow_control.said(2 * HOLD_BYTES)
    assert held == [True, False]


async def test_a_kernel_that_was_interrupted_is_not_held_again_at_once(
    flow_control: FlowControl, held: list[bool]
) -> None:
    with flow_control.reading():
        flow_control.said(2 * HOLD_BYTES)
        flow_control.free()
        flow_control.said(HOLD_BYTES)
    assert held == [True, False]
