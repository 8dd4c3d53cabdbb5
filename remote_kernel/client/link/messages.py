"""Messages to a kernel in a pod, sent in one request."""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from remote_kernel.client.routes.route import Route
from remote_kernel.core.errors import PoolUnreachable, WireError
from remote_kernel.core.numbers import EPOCH
from remote_kernel.core.wire import frames as wire
from remote_kernel.core.wire.compression import INLINE_BYTES


async def post(
    pool: Route, target: Mapping[str, str], batch: Sequence[wire.Message], *, sender: str, epoch: str,
    compresses: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Send messages, numbered by `sender`, to the kernel and kernelspec `target`; return what the pod answers.

    Args:
        compresses: whether to compress them, which the pod must understand.

    Raises:
        PoolError: they did not arrive, or the interpreter there is not `epoch` (see `wire.EPOCH_MISMATCH`).
        PoolUnreachable: also where somebody else has answered, as the proxies of hotels do, with a page and status 200.
    """
    params = {**target, "epoch": epoch, "sender": sender}
    content = wire.encode_all(batch)
    if compresses:
        is_large = len(content) > INLINE_BYTES
        content = await asyncio.to_thread(_compress, content) if is_large else _compress(content)
    answer = await pool.request("POST", wire.MESSAGES_PATH, params=params, content=content)
    if type(answer.get("accepted")) is not int:
        raise PoolUnreachable(
            "Something on the way to the session answers in its place: is there a page to sign in at?"
        )
    return answer


def _compress(frames: bytes) -> bytes:
    return b"".join(wire.compressed(frames))


async def post_once(pool: Route, target: Mapping[str, str], message: wire.Message, epoch: str) -> str:
    """Send one message, once; return the epoch after it, "" where the pod does not tell. Raises `PoolError`, as `post`
    does."""
    answer = await post(pool, target, [replace(message, sequence=1)], sender=secrets.token_hex(8), epoch=epoch)
    try:
        return EPOCH.check(answer.get("epoch"), "an epoch")
    except WireError:
        return ""
