"""Readers are told at once, or with what follows, or in a moment."""

import asyncio

import pytest

from remote_kernel.pod.readers.wakeups import Wakeups
from tests.driver import TIMEOUT_SECONDS

pytestmark = pytest.mark.anyio


async def test_what_nothing_follows_is_told_in_a_moment() -> None:
    said = Wakeups()
    event = said.next
    said.tell_soon()
    said.tell_soon()
    assert not event.is_told
    async with asyncio.timeout(TIMEOUT_SECONDS):
        await event.wait()
    assert not said.next.is_told


async def test_what_follows_is_told_with_what_has_waited_and_once() -> None:
    said = Wakeups(gather_seconds=0.02)
    said.tell_soon()
    event = said.next
    said.tell()
    assert event.is_told
    later, other = said.next, Wakeups(gather_seconds=0.06)
    other.tell_soon()
    async with asyncio.timeout(TIMEOUT_SECONDS):
        await other.next.wait()
    assert not later.is_told


async def test_what_is_told_at_once_wakes_readers_once_and_in_the_same_turn() -> None:
    said, log = Wakeups(), list[str]()

    async def read(name: str) -> None:
        while True:
            await said.next.wait()
            log.append(name)

    readers = [asyncio.create_task(read(name)) for name in ("one", "two")]
    given_up = asyncio.create_task(said.next.wait())
    await asyncio.sleep(0)
    given_up.cancel()
    done = asyncio.Event()

    def hear() -> None:
        with said:
            for _ in range(3):
                said.tell()
            said.tell_soon()
            log.append("heard")
        log.append("told")
        done.set()

    asyncio.get_running_loop().call_soon(hear)
    await done.wait()
    assert log == ["heard", "one", "two", "told"]
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, given_up, return_exceptions=True)


async def test_where_nothing_is_told_at_once_what_waits_goes_on_waiting() -> None:
    said = Wakeups(gather_seconds=10 * TIMEOUT_SECONDS)
    with said:
        said.tell_soon()
    assert not said.next.is_told
    said.tell()
