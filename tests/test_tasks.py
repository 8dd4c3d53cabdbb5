"""Tasks that end are noticed: by return, by error, and by the cancellation of something that they awaited."""

import asyncio
import logging
from collections.abc import Callable, Coroutine

import pytest

from remote_kernel.io.tasks import EndedByItself, go_on, start

pytestmark = pytest.mark.anyio


async def finish() -> None:
    await asyncio.sleep(0)


async def fail() -> None:
    await asyncio.sleep(0)
    raise ZeroDivisionError


async def await_cancelled() -> None:
    cancelled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    cancelled.cancel()
    await cancelled


@pytest.mark.parametrize(
    ("work", "expected"),
    [(finish, EndedByItself), (await_cancelled, EndedByItself), (fail, ZeroDivisionError)],
)
async def test_work_without_end_that_ends_is_an_error(
    work: Callable[[], Coroutine[None, None, None]], expected: type[Exception]
) -> None:
    async def do_both() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(go_on(work()))
            tasks.create_task(asyncio.sleep(60))

    with pytest.raises(ExceptionGroup) as caught:
        await do_both()
    assert [type(error) for error in caught.value.exceptions] == [expected]


async def test_work_that_is_cancelled_is_cancelled() -> None:
    task = asyncio.create_task(go_on(asyncio.sleep(60)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_failure_of_a_task_is_in_the_log_and_told(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Exception] = []
    task = start(fail(), "what fails", on_failure=told.append)
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert [type(error) for error in told] == [ZeroDivisionError]
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "what fails" in str(record.msg)


async def test_task_that_ends_well_or_is_cancelled_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Exception] = []
    ended, cancelled = (start(work, "fine", on_failure=told.append) for work in (finish(), asyncio.sleep(60)))
    await ended
    cancelled.cancel()
    await asyncio.wait([cancelled])
    await asyncio.sleep(0)
    assert (told, caplog.records) == ([], [])
