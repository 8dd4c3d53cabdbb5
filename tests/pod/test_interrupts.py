"""Interrupts on their way to cells that have not begun, and what they hit, and when."""

import asyncio

import pytest

from remote_kernel.core.jupyter.interrupt_aim import Aim
from remote_kernel.core.jupyter.messages import Author, parse_header
from remote_kernel.core.wire.frames import Channel, Message
from remote_kernel.pod.clock import utc_now
from remote_kernel.pod.kernels.interrupts import CELL_BEGINS_SECONDS, CODE_BEGINS_SECONDS, HITS_APART_SECONDS
from tests.pod.idle_interpreter import Idle, make_idle_kernel
from tests.pod.passing_time import PassingTime

pytestmark = pytest.mark.anyio

AUTHOR = Author("front end")


def execute(sequence: int) -> Message:
    parts = AUTHOR.write("execute_request", {"code": ""}, date=utc_now())
    return Message(channel=Channel.SHELL, parts=parts, sequence=sequence)


def aimed(cell: Message, sequence: int) -> Message:
    """Return an interrupt as a front end sends it that has a cell without a reply."""
    aim = Aim(cells=frozenset({parse_header(cell.parts[0]).msg_id}))
    parts = AUTHOR.write("interrupt_request", {}, date=utc_now())
    return Message(channel=Channel.CONTROL, parts=(*parts[:3], aim.to_content(), *parts[4:]), sequence=sequence)


def say_busy(interpreter: Idle, cell: Message) -> None:
    status = AUTHOR.write("status", {"execution_state": "busy"}, parent=cell.parts[0], date=utc_now())
    interpreter.say(Channel.IOPUB, status)


async def test_interrupt_right_behind_its_cell_hits_once_its_code_runs_and_once_only() -> None:
    """IPython's kernel ignores a signal before that."""
    kernel, interpreters = make_idle_kernel()
    cell = execute(1)
    with PassingTime.stop() as time:
        await kernel.accept([cell], sender="shell", epoch=kernel.epoch)
        await kernel.accept([aimed(cell, 1)], sender="control", epoch=kernel.epoch)
        await kernel.accept([aimed(cell, 2)], sender="control", epoch=kernel.epoch)
        assert interpreters[0].interrupts == 0
        say_busy(interpreters[0], cell)
        await time.wait(CODE_BEGINS_SECONDS / 2)
        assert interpreters[0].interrupts == 0
        await time.wait(CODE_BEGINS_SECONDS)
        assert interpreters[0].interrupts == 1
        await time.wait(2 * CELL_BEGINS_SECONDS)
        assert interpreters[0].interrupts == 1
        kernel.close()


async def test_interrupt_of_a_cell_that_has_just_begun_waits_until_its_code_runs() -> None:
    kernel, interpreters = make_idle_kernel()
    cell = execute(1)
    with PassingTime.stop() as time:
        await kernel.accept([cell], sender="shell", epoch=kernel.epoch)
        say_busy(interpreters[0], cell)
        interrupting = asyncio.create_task(kernel.accept([aimed(cell, 1)], sender="control", epoch=kernel.epoch))
        await time.wait()
        assert interpreters[0].interrupts == 0
        await time.wait(CODE_BEGINS_SECONDS)
        assert (await interrupting, interpreters[0].interrupts) == (1, 1)
        kernel.close()


async def test_interrupts_in_a_row_do_not_hit_the_end_of_a_cell_and_hit_one_that_goes_on() -> None:
    """What IPython's kernel does with the first one would be hit by the second, and the cell have no reply."""
    kernel, interpreters = make_idle_kernel()
    cell = execute(1)
    with PassingTime.stop() as time:
        await kernel.accept([cell], sender="shell", epoch=kernel.epoch)
        say_busy(interpreters[0], cell)
        await time.wait(2 * CODE_BEGINS_SECONDS)
        for sequence in range(1, 5):
            await kernel.accept([aimed(cell, sequence)], sender="control", epoch=kernel.epoch)
        assert interpreters[0].interrupts == 1
        await time.wait(HITS_APART_SECONDS)
        assert interpreters[0].interrupts == 2, "which the cell has overlooked, and goes on"
        await kernel.accept([aimed(cell, 5)], sender="control", epoch=kernel.epoch)
        interpreters[0].say(Channel.SHELL, AUTHOR.write("execute_reply", {}, parent=cell.parts[0], date=utc_now()))
        await time.wait(2 * HITS_APART_SECONDS)
        assert interpreters[0].interrupts == 2, "its end"
        kernel.close()


async def test_interrupt_ahead_of_its_cell_refuses_it() -> None:
    """They come in two requests: that of the cell may be behind one with an upload."""
    kernel, interpreters = make_idle_kernel()
    cell, behind = execute(1), execute(2)
    await kernel.lifecycle.interpreter()
    await kernel.accept([aimed(cell, 1)], sender="control", epoch=kernel.epoch)
    await kernel.accept([cell, behind], sender="shell", epoch=kernel.epoch)
    assert interpreters[0].got == [(parse_header(behind.parts[0]).msg_id, kernel.epoch)]
    kernel.close()


async def test_interrupt_of_a_cell_that_waits_for_a_start_hits_when_it_begins() -> None:
    kernel, interpreters = make_idle_kernel(starts_at_once=False)
    cell = execute(1)
    with PassingTime.stop() as time:
        accepting = [
            asyncio.create_task(kernel.accept([message], sender=sender, epoch=kernel.epoch))
            for sender, message in (("shell", cell), ("control", aimed(cell, 1)))
        ]
        await time.wait()
        interpreters[0].may_start.set_result(None)
        assert await asyncio.gather(*accepting) == [1, 1]
        assert interpreters[0].interrupts == 0
        say_busy(interpreters[0], cell)
        await time.wait(CODE_BEGINS_SECONDS)
        assert interpreters[0].interrupts == 1
        kernel.close()


async def test_interrupt_of_a_cell_that_waits_for_a_widget_hits_both() -> None:
    kernel, interpreters = make_idle_kernel()
    cell = execute(1)
    with PassingTime.stop() as time:
        await kernel.accept([cell], sender="shell", epoch=kernel.epoch)
        await kernel.accept([aimed(cell, 1)], sender="control", epoch=kernel.epoch)
        await time.wait(CELL_BEGINS_SECONDS)
        assert interpreters[0].interrupts == 1, "what a widget's message does"
        say_busy(interpreters[0], cell)
        await time.wait(CODE_BEGINS_SECONDS)
        assert interpreters[0].interrupts == 2
        kernel.close()
