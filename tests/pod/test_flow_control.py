"""Who is held for a reader that is behind, and for how long."""

import pytest

from remote_kernel.pod.readers.flow_control import GO_BYTES, HOLD_BYTES, PATIENCE_SECONDS, FlowControl


@pytest.fixture
def flow_control() -> FlowControl:
    return FlowControl()


def test_a_kernel_that_outruns_a_reader_is_held_until_the_reader_has_caught_up(flow_control: FlowControl) -> None:
    stream = flow_control.open(0.0)
    flow_control.said(HOLD_BYTES, 1.0)
    assert not flow_control.is_held
    flow_control.said(1, 1.0)
    assert flow_control.is_held
    flow_control.took(stream, HOLD_BYTES - GO_BYTES, 2.0)
    assert flow_control.is_held
    flow_control.took(stream, 1, 2.0)
    assert not flow_control.is_held


def test_a_kernel_is_not_held_for_a_reader_that_takes_nothing(flow_control: FlowControl) -> None:
    flow_control.open(0.0)
    flow_control.said(2 * HOLD_BYTES, PATIENCE_SECONDS)
    assert not flow_control.is_held


def test_a_kernel_is_held_no_longer_for_a_reader_that_has_stopped_taking(flow_control: FlowControl) -> None:
    stream = flow_control.open(0.0)
    flow_control.said(2 * HOLD_BYTES, 1.0)
    flow_control.took(stream, 1, 2.0)
    flow_control.look(2.0 + PATIENCE_SECONDS - 0.1)
    assert flow_control.is_held
    flow_control.look(2.0 + PATIENCE_SECONDS)
    assert not flow_control.is_held


def test_a_kernel_goes_on_when_its_reader_has_gone(flow_control: FlowControl) -> None:
    stream = flow_control.open(0.0)
    flow_control.said(2 * HOLD_BYTES, 1.0)
    assert flow_control.is_held
    flow_control.close(stream, 1.0)
    assert not flow_control.is_held


def test_a_kernel_that_was_interrupted_is_not_held_again_at_once(flow_control: FlowControl) -> None:
    flow_control.open(0.0)
    flow_control.said(2 * HOLD_BYTES, 1.0)
    flow_control.free(1.0)
    flow_control.said(HOLD_BYTES, 2.0)
    assert not flow_control.is_held
