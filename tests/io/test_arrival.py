"""What a task waits for: it goes on where that comes, and never within another task."""

import asyncio
from contextvars import Context, ContextVar, copy_context

import pytest

from remote_kernel.io.arrival import Arrival, Signal, call_behind

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


class Waking:
    """A task that waits for a signal, and one that sets it when something has come; `log` is what was done."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.signal, self.arrival = Signal(), Arrival()
        self.tasks = [asyncio.create_task(self.wait()), asyncio.create_task(self.wake())]

    async def wait(self) -> None:
        while True:
            self.signal.clear()
            await self.signal.wait()
            self.log.append("woken")

    async def wake(self) -> None:
        await self.arrival
        call_behind(lambda: self.log.append("before"))
        call_behind(self.fail)
        self.signal.set()
        self.signal.set()
        self.log.append("set")

    def fail(self) -> None:
        raise ValueError

    def bring(self) -> None:
        self.arrival.arrive()
        self.log.append("brought")

    async def aclose(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_what_a_task_brings_goes_on_behind_it_in_the_same_callback() -> None:
    waking, failed = Waking(), list[dict[str, object]]()
    await asyncio.sleep(0)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: failed.append(context))
    loop.call_soon(waking.bring)
    await asyncio.sleep(0)
    assert waking.log == ["set", "before", "woken", "brought"]
    assert [type(context["exception"]) for context in failed] == [ValueError]
    await waking.aclose()


async def test_a_signal_that_no_arrival_sets_is_heard_in_the_next_turn_and_one_that_is_set_at_once() -> None:
    waking = Waking()
    await asyncio.sleep(0)
    waking.signal.set()
    assert waking.log == []
    await asyncio.sleep(0)
    assert waking.log == ["woken"]
    await waking.aclose()
    waking.signal.set()
    async with asyncio.timeout(10):
        await waking.signal.wait()


async def test_a_wait_for_a_signal_that_was_given_up_is_no_wait() -> None:
    waking = Waking()
    await asyncio.sleep(0)
    waking.tasks[0].cancel()
    waking.signal.set()
    await asyncio.sleep(0)
    assert waking.log == []
    await waking.aclose()
