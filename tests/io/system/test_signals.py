"""Signals in a loop with handlers for them, and in one without, such as Windows'."""

import asyncio
import os
import signal
import sys
import threading
from asyncio.selector_events import BaseSelectorEventLoop
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from remote_kernel.io.system.event_loop import run_in_loop
from remote_kernel.io.system.signals import STOPPING, handling, waking_up, wanted
from tests.unit import IS_WINDOWS

LOOPS = [asyncio.SelectorEventLoop, BaseSelectorEventLoop]


def run(loop_factory: Callable[[], asyncio.AbstractEventLoop], main: Callable[[], object]) -> None:
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())  # type: ignore[arg-type]


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_a_signal_wakes_a_loop_that_has_nothing_to_do(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def main() -> None:
        came = asyncio.Event()
        with handling({signal.SIGTERM: came.set}):
            # In another thread, so that it interrupts no wait of the loop; os.kill would end a process on Windows.
            idle = threading.Timer(0.0, signal.raise_signal, (signal.SIGTERM,))
            idle.start()
            await came.wait()
            idle.join()

    run(loop_factory, main)


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_afterwards_signals_do_what_they_did_before(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    heard: list[int] = []

    def earlier(number: int, _frame: object) -> None:
        heard.append(number)

    async def main() -> None:
        came = asyncio.Event()
        with handling({signal.SIGTERM: came.set}):
            signal.raise_signal(signal.SIGTERM)
            await came.wait()
        signal.raise_signal(signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, earlier)
    try:
        run(loop_factory, main)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]


@contextmanager
def arriving_elsewhere() -> Iterator[Callable[[], None]]:
    """Have SIGINT arrive in a thread of its own, as on Windows, where no wait of the main thread ends by it; give what
    sends it, once the loop has nothing else to do."""
    is_wanted, is_over = threading.Event(), threading.Event()

    def take() -> None:
        is_wanted.wait()
        os.kill(os.getpid(), signal.SIGINT)
        is_over.wait()

    taker = threading.Thread(target=take)
    taker.start()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield is_wanted.set
    finally:
        is_wanted.set()
        is_over.set()
        taker.join()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


async def wait_for_ever(send: Callable[[], None], late: list[str]) -> None:
    """Send a signal and wait; note in `late` where something else had to wake up the loop."""
    loop = asyncio.get_running_loop()
    loop.call_soon(send)
    timer = loop.call_later(20, bool)
    try:
        await asyncio.Event().wait()
    finally:
        late += ["woken up by the clock"] if loop.time() >= timer.when() else []


@pytest.mark.unix
def test_ctrl_c_ends_a_wait_that_it_does_not_interrupt() -> None:
    late: list[str] = []
    with (
        arriving_elsewhere() as send,
        asyncio.Runner(loop_factory=BaseSelectorEventLoop) as runner,
        waking_up(runner.get_loop()),
        pytest.raises(KeyboardInterrupt),
    ):
        runner.run(wait_for_ever(send, late))
    assert not late


@pytest.mark.skipif(not IS_WINDOWS or sys.platform == "win32", reason="Windows is played by Linux's own means")
def test_ctrl_c_ends_the_waits_of_all_our_programs_on_windows() -> None:
    late: list[str] = []
    with arriving_elsewhere() as send, pytest.raises(KeyboardInterrupt):
        run_in_loop(wait_for_ever(send, late))
    assert not late


def test_what_is_ignored_is_not_wanted() -> None:
    assert set(wanted()) <= set(STOPPING)
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        assert signal.SIGTERM not in wanted()
    finally:
        signal.signal(signal.SIGTERM, before)
