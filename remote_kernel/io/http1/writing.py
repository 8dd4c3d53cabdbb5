"""Writing of what is large as it lies in memory: several buffers in one call of the system, none of them copied.

asyncio puts pieces together before it writes them, and copies what the system does not take at once. So it is given no
more than it needs to tell when the system takes more.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable

Buffer = bytes | bytearray | memoryview

# To join what is larger with what goes before or behind it costs more than a write.
MAX_JOINED_BYTES = 64 * 1024

# More than a transport keeps before whoever writes has to wait.
_HELD_BYTES = 64 * 1024 + 1


async def write_all(transport: asyncio.Transport, parts: list[Buffer], drain: Callable[[], Awaitable[None]]) -> None:
    """Write some buffers one behind the other, in order with what the transport was given before.

    Args:
        parts: a few.
        drain: returns when the transport is ready for more, or its connection is lost.
    """
    left = [memoryview(part) for part in parts if part]
    while left and not transport.is_closing():
        if not transport.get_write_buffer_size():
            left = _behind(left, _write_now(transport, left))
        if left:
            held = left[0][:_HELD_BYTES]
            transport.write(held)
            left = _behind(left, len(held))
            await drain()


def _write_now(transport: asyncio.Transport, parts: list[memoryview]) -> int:
    """Return how many bytes the system takes at once; a fault of the connection is left to the transport to find."""
    if sys.platform == "win32":
        return 0
    try:
        return os.writev(transport.get_extra_info("socket").fileno(), parts)
    except OSError:
        return 0


def _behind(parts: list[memoryview], size: int) -> list[memoryview]:
    """Return what is behind the first `size` bytes of some buffers."""
    for index, part in enumerate(parts):
        if size < len(part):
            return [part[size:], *parts[index + 1 :]]
        size -= len(part)
    return []
