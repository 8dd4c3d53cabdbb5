"""The event loop that our programs run in."""

import asyncio
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


@contextmanager
def open_runner() -> Iterator[asyncio.Runner]:
    """Give a runner with a loop that ZeroMQ's sockets and `io.http1` can work with; must be used in the main thread.

    Windows' own default is none. There, this one knows neither processes nor signals: see `io.system.signals`.
    """
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        if sys.platform == "win32":
            from remote_kernel.io.system.signals import waking_up

            with waking_up(runner.get_loop()):
                yield runner
        else:
            yield runner


def run_in_loop(main: Coroutine[Any, Any, T]) -> T:
    """Do as `asyncio.run`, in such a loop."""
    with open_runner() as runner:
        return runner.run(main)
