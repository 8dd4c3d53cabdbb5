"""Tasks that somebody answers for: none of them ends in silence.

Who awaits a task hears what it ended with; of one that runs by itself nobody would, and what waits for its work would
wait for ever. So such a task is started here, or in an `asyncio.TaskGroup`; a test looks for others.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, NoReturn, TypeVar

from remote_kernel.core.text.log_lines import LogEvent

_log = logging.getLogger(__name__)

T = TypeVar("T")


class EndedByItself(Exception):
    """A task has ended that was to go on until it is cancelled."""


def is_cancelled() -> bool:
    """Return whether the current task is to end: a `CancelledError` may also come of something that it awaits."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def go_on(work: Coroutine[Any, Any, None]) -> NoReturn:
    """Do work that has no end, until the current task is cancelled.

    Raises:
        EndedByItself: the work has returned, or something that it awaited was cancelled, of which a task group would
            say nothing.
    """
    try:
        await work
    except asyncio.CancelledError:
        if is_cancelled():
            raise
    raise EndedByItself(getattr(work, "__qualname__", ""))


def start(
    work: Coroutine[Any, Any, T], name: str, *, on_failure: Callable[[Exception], None] | None = None
) -> "asyncio.Task[T]":
    """Start a task; an exception that it ends with is in the log under `name`, and given to `on_failure`."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(partial(_note_end, on_failure))
    return task


def _note_end(on_failure: Callable[[Exception], None] | None, task: "asyncio.Task[Any]") -> None:
    error = None if task.cancelled() else task.exception()
    if isinstance(error, Exception):
        _log.error(LogEvent("failed inside", task=task.get_name()), exc_info=first_of(error))
        if on_failure is not None:
            on_failure(error)


def first_of(error: Exception) -> Exception:
    """Return the exception itself, or, where several tasks have failed, the first one's."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
