"""Work that blocks, in threads of its own, which keep no process from ending.

The event loop's own threads (`asyncio.to_thread`) are waited for when it ends: a login that waits for somebody to sign
in, or a network drive that hangs, would have a kernel outlive its shutdown, until it is killed.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def call_in_thread(name: str, work: Callable[[], T]) -> "asyncio.Future[T]":
    """Begin to do work in a thread, and return what comes of it; who cancels that lets the thread go on alone.

    Args:
        name: of the thread.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        settle: Callable[[], None]
        try:
            result = work()
        except BaseException as error:  # whoever awaits it is told
            settle = partial(_fail, future, error)
        else:
            settle = partial(_succeed, future, result)
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


async def in_own_thread(work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Do as `asyncio.to_thread`, in such a thread."""
    return await call_in_thread("work", lambda: work(*arguments, **named))


def _succeed(future: "asyncio.Future[T]", result: T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: "asyncio.Future[T]", error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
