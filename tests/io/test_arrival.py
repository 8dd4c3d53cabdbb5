"""What a task waits for: it goes on where that comes, and never within another task."""

import asyncio
from contextvars import Context, ContextVar, copy_context

import pytest

from remote_kernel.io.arrival import Arrival

pytestmark = pytest.mark.anyio


class Waiting:
    """A task that waits for an arrival, and what has happened in order."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.arrival = Arrival()
        self.task = asyncio.create_task(self.wait())

    async def wait(self) -> None:
        try:
            await self.arrival
        except asyncio.CancelledError:
            self.log.append("cancelled")
            raise
        self.log.append("went on")

    def bring(self) -> None:
        self.arrival.arrive()
        self.log.append("brought")


async def test_a_task_goes_on_in_the_callback_that_brings_what_it_waits_for() -> None:
    waiting = Waiting()
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(waiting.bring)
    await waiting.task
    assert waiting.log == ["went on", "brought"]


async def test_a_task_that_brings_it_is_not_interrupted() -> None:
    waiting = Waiting()
    await asyncio.sleep(0)
    waiting.bring()
    await waiting.task
    assert waiting.log == ["brought", "went on"]


async def test_what_has_come_is_not_waited_for() -> None:
    waiting = Waiting()
    waiting.bring()
    await waiting.task
    assert waiting.log == ["brought", "went on"]


async def test_who_waits_can_be_cancelled_and_has_time_limits() -> None:
    waiting = Waiting()
    await asyncio.sleep(0)
    waiting.task.cancel()
    await asyncio.wait([waiting.task])
    assert (waiting.log, waiting.task.cancelled()) == (["cancelled"], True)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await Arrival()


async def test_a_task_goes_on_in_its_own_context() -> None:
    name: ContextVar[str] = ContextVar("name", default="nobody's")
    seen: list[str] = []

    async def wait(arrival: Arrival) -> None:
        await arrival
        seen.append(name.get())

    for context in (Context(), copy_context()):
        arrival = Arrival()
        task = asyncio.create_task(wait(arrival), context=context)
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(arrival.arrive, context=_with(name, "the caller's"))
        await task
    assert seen == ["nobody's", "nobody's"]


def _with(name: "ContextVar[str]", value: str) -> Context:
    context = copy_context()
    context.run(name.set, value)
    return context
