"""Replies that are held: each is handed on once, when its time has come."""

import asyncio

import pytest

from remote_kernel.pod.kernels.held_replies import HeldReplies
from tests.driver import TIMEOUT_SECONDS

pytestmark = pytest.mark.anyio

Parts = tuple[bytes, ...]


async def test_each_is_handed_on_with_its_idle_or_without_and_once() -> None:
    told = list[tuple[Parts, bool]]()
    held = HeldReplies(lambda reply, is_followed: told.append((reply, is_followed)))
    held.hold("a", (b"1",))
    held.hold("b", (b"2",))
    held.note_idle("b")
    held.note_idle("b")
    held.note_idle("unknown")
    assert (told, bool(held)) == ([((b"2",), True)], True)
    held.release_all()
    assert (told, bool(held)) == ([((b"2",), True), ((b"1",), False)], False)


async def test_of_two_with_one_message_id_none_is_lost() -> None:
    told = list[Parts]()
    held = HeldReplies(lambda reply, _is_followed: told.append(reply))
    held.hold("a", (b"1",))
    held.hold("a", (b"2",))
    held.note_idle("a")
    assert told == [(b"1",), (b"2",)]


async def test_what_nobody_releases_is_handed_on_in_a_moment_and_what_is_forgotten_is_not() -> None:
    told, is_told = list[Parts](), asyncio.Event()

    def take(reply: Parts, is_followed: bool) -> None:
        assert not is_followed
        told.append(reply)
        is_told.set()

    held = HeldReplies(take)
    held.hold("a", (b"1",))
    held.clear()
    held.hold("b", (b"2",))
    async with asyncio.timeout(TIMEOUT_SECONDS):
        await is_told.wait()
    assert (told, bool(held)) == ([(b"2",)], False)
