"""jupyter_client's client for an event loop, whose replies are noticed whatever is sent meanwhile, and whatever else
comes."""

import asyncio
from queue import Empty
from time import monotonic
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.channels import AsyncZMQSocketChannel
from traitlets import Type

# ZeroMQ tells an event loop of news once, and jupyter_client sends past the loop: what nbclient sends for a widget can
# take away the news of a reply that arrives at that moment, and nothing would ever tell of it.
LOOK_AGAIN_SECONDS = 0.1

# What jupyter_client makes of a message that is not as the messaging protocol has it.
_MALFORMED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


class ForgivingChannel(AsyncZMQSocketChannel):
    """A channel that passes over messages that are none: by the pod, or by a program in it."""

    async def get_msg(self, timeout: float | None = None) -> dict[str, Any]:  # type: ignore[override]  # noqa: ASYNC109
        """Return the next message; raises `queue.Empty` after `timeout` seconds without any."""
        while True:
            try:
                message = await super().get_msg(timeout)
            except _MALFORMED:
                await asyncio.sleep(0)  # others have a turn, however many of these come
                continue
            if isinstance(message["parent_header"], dict):
                return message


class PatientChannel(ForgivingChannel):
    """A channel that looks again whether there is a message."""

    async def get_msg(self, timeout: float | None = None) -> dict[str, Any]:  # type: ignore[override]  # noqa: ASYNC109
        """Return the next message; raises `queue.Empty` after `timeout` seconds."""
        ends_at = float("inf") if timeout is None else monotonic() + timeout
        while True:
            left = max(0.0, ends_at - monotonic())
            try:
                return await super().get_msg(min(left, LOOK_AGAIN_SECONDS))
            except Empty:
                if left <= LOOK_AGAIN_SECONDS:
                    raise


class PatientClient(AsyncKernelClient):
    """A client with such channels, patient ones where replies come."""

    shell_channel_class = Type(PatientChannel)
    control_channel_class = Type(PatientChannel)
    iopub_channel_class = Type(ForgivingChannel)
