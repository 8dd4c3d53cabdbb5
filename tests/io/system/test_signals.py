"""Signals in a loop with handlers for them, and in one without, such as Windows'."""

import asyncio
import os
import signal
import threading
from asyncio.selector_events import BaseSelectorEventLoop
from collections.abc import Callable

import pytest

from remote_kernel.io.system.signals import STOPPING, handling, wanted

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
            idle = threading.Timer(0.0, os.kill, (os.getpid(), signal.SIGTERM))
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


def test_what_is_ignored_is_not_wanted() -> None:
    assert set(wanted()) <= set(STOPPING)
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        assert signal.SIGTERM not in wanted()
    finally:
        signal.signal(signal.SIGTERM, before)
