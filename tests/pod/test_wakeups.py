"""Readers are told at once, or with what follows, or in a moment."""

import asyncio

import pytest

from remote_kernel.pod.readers.wakeups import Wakeups
from tests.driver import TIMEOUT_SECONDS

pytestmark = pytest.mark.anyio


async def test_what_nothing_follows_is_told_in_a_moment() -> None:
    said = Wakeups()
    event = said.event
    said.tell_soon()
    said.tell_soon()
    assert not event.is_set()
    async with asyncio.timeout(TIMEOUT_SECONDS):
        await event.wait()
    assert not said.event.is_set()


async def test_what_follows_is_told_with_what_has_waited_and_once() -> None:
    said = Wakeups(gather_seconds=0.02)
    said.tell_soon()
    event = said.event
    said.tell()
    assert event.is_set()
    later, other = said.event, Wakeups(gather_seconds=0.06)
    other.tell_soon()
    async with asyncio.timeout(TIMEOUT_SECONDS):
        await other.event.wait()
    assert not later.is_set()
