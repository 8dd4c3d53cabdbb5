"""The event loop that our programs run in."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def open_runner() -> asyncio.Runner:
    """Return a runner with a loop that ZeroMQ's sockets and `io.http1` can work with: Windows' own default is none.

    There, this one knows neither processes nor signals: see `io.system.signals`.
    """
    return asyncio.Runner(loop_factory=asyncio.SelectorEventLoop)


def run_in_loop(main: Coroutine[Any, Any, T]) -> T:
    """Do as `asyncio.run`, in such a loop."""
    with open_runner() as runner:
        return runner.run(main)
