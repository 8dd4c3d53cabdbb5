"""Restarts of the interpreter: passed on as this process ends, or by the next one, before its first cell."""

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable

from remote_kernel.client.link.events import Waiting
from remote_kernel.client.link.link import Link
from remote_kernel.client.link.requests import is_gone
from remote_kernel.client.retry import MakeRoom, Retry, describe_wait, first_contact, when_given_up
from remote_kernel.client.routes.route import Route
from remote_kernel.core.errors import PoolError, PoolFull, PoolRefused
from remote_kernel.core.wire.frames import EPOCH_MISMATCH, Channel, Message


async def send_farewell(
    link: Link, message: Message, has_gone: Callable[[], Awaitable[bool]], *, within_seconds: float
) -> str | None:
    """Send the last message; return the epoch after it, "" where it has nobody to go to any more, `None` where it may
    not have arrived in time.

    Args:
        has_gone: returns whether the pool says so.
    """
    try:
        async with asyncio.timeout(within_seconds):
            return "" if await has_gone() else await link.send_now(message)
    except PoolRefused as error:
        return "" if error.code == EPOCH_MISMATCH else None
    except (PoolError, TimeoutError):
        return None


async def catch_up(link: Link, pool: Route, make_room: MakeRoom, *, wait_seconds: float) -> str:
    """Do the restart that the process before us was asked for and could not pass on, however long that takes.

    As patiently as a session is waited for: where the pod is gone, a pool that does not tell by itself needs room for
    another to tell us so.

    Returns the epoch after it, "" where that is not known.
    """
    retry = Retry()
    while True:
        try:
            return await link.send_now(_restart_message())
        except PoolError as failure:
            if isinstance(failure, PoolRefused) and failure.code == EPOCH_MISMATCH:
                return ""
            error = retry.recognise(failure)
            if isinstance(error, PoolFull) and await is_gone(pool):
                return ""
            room = retry.note_room(await make_room(), time.monotonic()) if isinstance(error, PoolFull) else None
            wait = retry.next_wait(error, time.monotonic(), first_contact(wait_seconds))
            if wait is None:
                raise when_given_up(error, wait_seconds) from None
            await link.on_event(Waiting(describe_wait(error, room)))
            await asyncio.sleep(wait)


def _restart_message() -> Message:
    header = {"msg_id": os.urandom(16).hex(), "msg_type": "shutdown_request"}
    parts = tuple(json.dumps(part).encode() for part in (header, {}, {}, {"restart": True}))
    return Message(channel=Channel.CONTROL, parts=parts)
