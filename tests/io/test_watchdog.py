"""A timer that is put off: it goes off when it should, and only then."""

import asyncio
import time

import pytest

from remote_kernel.io.watchdog import Watchdog, watched
from tests.driver import TIMEOUT_SECONDS

pytestmark = pytest.mark.anyio

SOON = 0.02


@pytest.fixture
def barked() -> asyncio.Event:
    return asyncio.Event()


async def wait(event: asyncio.Event) -> None:
    async with asyncio.timeout(TIMEOUT_SECONDS):
        await event.wait()


async def test_it_barks_once_when_it_is_not_fed_in_time(barked: asyncio.Event) -> None:
    watchdog = Watchdog(barked.set)
    began = asyncio.get_running_loop().time()
    watchdog.feed(SOON)
    await wait(barked)
    assert asyncio.get_running_loop().time() >= began + SOON
    barked.clear()
    other = asyncio.Event()
    Watchdog(other.set).feed(3 * SOON)
    await wait(other)
    assert not barked.is_set()


async def test_a_later_meal_puts_it_off_and_a_rest_for_ever(barked: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    watchdog, resting = Watchdog(barked.set), Watchdog(lambda: pytest.fail("it was at rest"))
    resting.feed(SOON)
    resting.rest()
    watchdog.feed(SOON)
    fed_at = loop.time()
    watchdog.feed(4 * SOON)
    await wait(barked)
    assert loop.time() >= fed_at + 4 * SOON


async def test_a_shorter_time_counts_at_once(barked: asyncio.Event) -> None:
    watchdog = Watchdog(barked.set)
    watchdog.feed(10 * TIMEOUT_SECONDS)
    watchdog.feed(SOON)
    await wait(barked)


async def test_it_leaves_nothing_in_the_event_loop_and_may_be_fed_for_ever(barked: asyncio.Event) -> None:
    watchdog = Watchdog(barked.set)
    watchdog.feed(float("inf"))
    watchdog.feed(SOON)
    watchdog.close()
    other = asyncio.Event()
    Watchdog(other.set).feed(3 * SOON)
    await wait(other)
    assert not barked.is_set()


async def test_who_waits_for_too_long_is_told_and_who_does_not_is_not() -> None:
    has_fed = False

    async def wait_in_vain() -> None:
        nonlocal has_fed
        async with watched() as watchdog:
            for _ in range(3):
                watchdog.feed(10 * TIMEOUT_SECONDS)
                await asyncio.sleep(0)
                watchdog.rest()
            has_fed = True
            watchdog.feed(SOON)
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await wait_in_vain()
    assert has_fed
    async with watched() as watchdog:
        watchdog.feed(SOON)
    other = asyncio.Event()
    Watchdog(other.set).feed(3 * SOON)  # what was left behind would end this
    await wait(other)


async def test_what_comes_in_the_turn_in_which_the_time_is_up_is_not_interrupted() -> None:
    loop = asyncio.get_running_loop()
    arrival = loop.create_future()
    steps = 0
    async with watched() as watchdog:
        loop.call_later(0.0, arrival.set_result, None)  # due before the watchdog, and found together with it
        watchdog.feed(SOON)
        time.sleep(2 * SOON)  # noqa: ASYNC251 - as a process that was stopped
        await arrival
        watchdog.rest()
        for steps in range(1, 10):  # noqa: B007 - what came is dealt with
            await asyncio.sleep(0)
    assert steps == 9
