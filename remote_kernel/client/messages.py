"""Sending messages to a kernel in a pod, in one request."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from remote_kernel.client.way import Way
from remote_kernel.core import wire


async def post(
    pool: Way, target: Mapping[str, str], batch: Sequence[wire.Message], *, sender: str, epoch: str
) -> dict[str, Any]:
    """Send messages, numbered by `sender`, to the kernel and kernelspec `target`; return what the pod answers.

    Raises:
        PoolError: they did not arrive, or the interpreter there is not `epoch` (see `wire.EPOCH_MISMATCH`).
    """
    params = {**target, "epoch": epoch, "sender": sender}
    return await pool.request("POST", wire.MESSAGES_PATH, params=params, content=wire.encode_all(batch))


async def post_once(pool: Way, target: Mapping[str, str], message: wire.Message, epoch: str) -> int:
    """Send one message, once; return how many kernels the pod has after it. Raises `PoolError`, as `post` does."""
    answer = await post(pool, target, [replace(message, sequence=1)], sender=secrets.token_hex(8), epoch=epoch)
    kernels = answer.get("kernels")
    return kernels if isinstance(kernels, int) else 1
