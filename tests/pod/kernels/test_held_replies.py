"""Replies that are held: each is handed on once, when its time has come."""

import pytest

from remote_kernel.pod.kernels.held_replies import LOOK_SECONDS, MOST_LOOKS, QUIET_LOOKS, HeldReplies, Parts
from tests.pod.passing_time import PassingTime

pytestmark = pytest.mark.anyio


class Kernel:
    """What is known of a kernel, and the replies that are handed on."""

    def __init__(self) -> None:
        self.heard = 0
        self.is_stopped = False
        self.told: list[tuple[Parts, bool]] = []
        self.held = HeldReplies(
            lambda reply, is_followed: self.told.append((reply, is_followed)),
            heard=lambda: self.heard, is_stopped=lambda: self.is_stopped,
        )  # fmt: skip


async def test_each_is_handed_on_with_its_idle_or_without_and_once() -> None:
    kernel = Kernel()
    kernel.held.hold("a", (b"1",))
    kernel.held.hold("b", (b"2",))
    assert [kernel.held.note_idle(name) for name in ("b", "b", "unknown")] == [True, False, False]
    assert (kernel.told, bool(kernel.held)) == ([((b"2",), True)], True)
    kernel.held.release_all()
    assert (kernel.told, bool(kernel.held)) == ([((b"2",), True), ((b"1",), False)], False)
    kernel.held.clear()


async def test_of_two_with_one_message_id_none_is_lost() -> None:
    kernel = Kernel()
    kernel.held.hold("a", (b"1",))
    kernel.held.hold("a", (b"2",))
    kernel.held.note_idle("a")
    assert kernel.told == [((b"1",), False), ((b"2",), True)]
    kernel.held.clear()


async def test_what_nobody_releases_is_handed_on_when_nothing_has_come_for_a_while_and_what_is_forgotten_is_not() -> (
    None
):
    kernel = Kernel()
    with PassingTime.stop() as time:
        kernel.held.hold("a", (b"1",))
        kernel.held.clear()
        kernel.held.hold("b", (b"2",))
        for _ in range(QUIET_LOOKS):
            await time.wait(LOOK_SECONDS)
        assert not kernel.told
        await time.wait(LOOK_SECONDS)
    assert (kernel.told, bool(kernel.held)) == ([((b"2",), False)], False)


async def test_reply_waits_while_anything_comes_and_while_its_kernel_is_held() -> None:
    """A cell that ends with hundreds of megabytes has them on their way for long, or is stopped until they are read."""
    kernel = Kernel()
    with PassingTime.stop() as time:
        kernel.held.hold("a", (b"1",))
        for _ in range(MOST_LOOKS - 1):
            kernel.heard += 1
            await time.wait(LOOK_SECONDS)
        kernel.is_stopped = True
        for _ in range(MOST_LOOKS):
            await time.wait(LOOK_SECONDS)
        assert not kernel.told
        kernel.held.note_idle("a")
        assert kernel.told == [((b"1",), True)]
        kernel.held.clear()


async def test_reply_of_a_kernel_that_is_never_quiet_is_handed_on_in_the_end() -> None:
    kernel = Kernel()
    with PassingTime.stop() as time:
        kernel.held.hold("a", (b"1",))
        for _ in range(MOST_LOOKS):
            kernel.heard += 1
            await time.wait(LOOK_SECONDS)
    assert kernel.told == [((b"1",), False)]


async def test_reply_is_not_handed_on_by_an_agent_that_wakes_up_late() -> None:
    """Its timer is due before it has read anything."""
    kernel = Kernel()
    with PassingTime.stop() as time:
        kernel.held.hold("a", (b"1",))
        await time.wait(LOOK_SECONDS)
        await time.wait(1_000 * LOOK_SECONDS)
        assert not kernel.told
        kernel.held.clear()
