"""Tokens are asked for once, renewed before they end, and not waited for without need."""

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from remote_kernel.client.auth.tokens import Token, Tokens
from remote_kernel.core.errors import PoolUnreachable, Unauthorized

pytestmark = pytest.mark.anyio

# Nobody is waited for so long; it ends a test that has failed.
PATIENCE_SECONDS = 20.0


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Door:
    """A login that gives a numbered token for each time it is opened."""

    def __init__(self, clock: Clock, lifetime_seconds: float = 3600) -> None:
        self.patience_seconds = PATIENCE_SECONDS
        self.is_silent = True
        self.lifetime_seconds = lifetime_seconds
        self.is_broken = False
        self.asked = 0
        self.opened = threading.Semaphore(0)
        self._clock = clock

    def get_token(self) -> Token:
        self.asked += 1
        self.opened.acquire(timeout=PATIENCE_SECONDS)
        if self.is_broken:
            raise Unauthorized("no")
        return Token(f"token-{self.asked}", self._clock.now + self.lifetime_seconds)

    def open(self, times: int = 1) -> None:
        self.opened.release(times)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def door(clock: Clock) -> Iterator[Door]:
    door = Door(clock)
    yield door
    door.open(100)


@pytest.fixture
def tokens(door: Door, clock: Clock) -> Tokens:
    return Tokens(door, clock)


async def login_ended() -> None:
    """Return when the login that was let in has been heard."""
    for thread in threading.enumerate():
        if thread.name == "azure-login":
            thread.join(PATIENCE_SECONDS)
    for _ in range(2):  # the result is posted to the loop, and what waits for it runs after that
        await asyncio.sleep(0)


async def test_many_who_wait_at_once_ask_once(tokens: Tokens, door: Door) -> None:
    waiting = [asyncio.create_task(tokens.get()) for _ in range(100)]
    await asyncio.sleep(0)
    door.open(100)
    assert set(await asyncio.gather(*waiting)) == {"token-1"}
    assert door.asked == 1


async def test_a_token_is_renewed_ahead_of_its_end_and_nobody_waits_for_that(
    tokens: Tokens, door: Door, clock: Clock
) -> None:
    door.open()
    assert await tokens.get() == "token-1"
    clock.now += 3600 - 301
    assert await tokens.get() == "token-1"
    assert door.asked == 1
    clock.now += 2
    assert await tokens.get() == "token-1"  # the login is not open yet
    door.open()
    await login_ended()
    assert await tokens.get() == "token-2"
    assert door.asked == 2


async def test_a_token_that_is_about_to_end_is_not_used(tokens: Tokens, door: Door, clock: Clock) -> None:
    door.open(2)
    assert await tokens.get() == "token-1"
    clock.now += 3600 - 29
    assert await tokens.get() == "token-2"


@pytest.mark.parametrize("lifetime_seconds", [4.0, 120.0])
async def test_tokens_with_short_lives_are_used_for_most_of_them(
    tokens: Tokens, door: Door, clock: Clock, lifetime_seconds: float
) -> None:
    door.lifetime_seconds = lifetime_seconds
    door.open()
    await tokens.get()
    clock.now += lifetime_seconds * 0.7
    assert await tokens.get() == "token-1"
    assert door.asked == 1


async def test_a_renewal_that_fails_leaves_the_old_token_and_is_tried_again_after_a_pause(
    tokens: Tokens, door: Door, clock: Clock
) -> None:
    door.open()
    await tokens.get()
    door.is_broken = True
    door.open(2)
    clock.now += 3600 - 200
    assert await tokens.get() == "token-1"
    await login_ended()
    assert await tokens.get() == "token-1"
    assert door.asked == 2
    door.is_broken = False
    clock.now += 31
    assert await tokens.get() == "token-1"
    await login_ended()
    assert await tokens.get() == "token-3"


async def test_who_has_no_token_is_told_why_and_may_try_again(tokens: Tokens, door: Door) -> None:
    door.is_broken = True
    door.open(2)
    with pytest.raises(Unauthorized):
        await tokens.get()
    door.is_broken = False
    assert await tokens.get() == "token-2"


async def test_an_interrupted_cell_leaves_the_request_to_the_others(tokens: Tokens, door: Door) -> None:
    first, second = asyncio.create_task(tokens.get()), asyncio.create_task(tokens.get())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    assert first.cancelled()
    door.open()
    assert await second == "token-1"
    assert door.asked == 1


async def test_a_refused_token_is_forgotten_once_however_many_were_refused(tokens: Tokens, door: Door) -> None:
    door.open(3)
    for _ in range(2):
        await tokens.get()
        tokens.forget("token-1")
    assert await tokens.get() == "token-2"
    tokens.forget("token-1")  # a late answer to a request with the first one
    assert await tokens.get() == "token-2"
    assert door.asked == 2


async def test_a_login_that_does_not_answer_is_given_up_and_its_late_token_is_used(tokens: Tokens, door: Door) -> None:
    door.patience_seconds = 0.01
    with pytest.raises(PoolUnreachable, match=r"within 0\.01 s"):
        await tokens.get()
    door.open()
    door.patience_seconds = PATIENCE_SECONDS
    assert await tokens.get() == "token-1"
    assert door.asked == 1


def test_a_login_that_hangs_does_not_hold_up_the_end(clock: Clock) -> None:
    door = Door(clock)
    door.patience_seconds = 0.01
    began = time.monotonic()

    async def give_up() -> None:
        with pytest.raises(PoolUnreachable):
            await Tokens(door, clock).get()

    asyncio.run(give_up())  # waits for the threads of the loop's executor
    assert time.monotonic() - began < PATIENCE_SECONDS / 2
    door.open()
