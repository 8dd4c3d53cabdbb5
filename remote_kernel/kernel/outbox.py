"""What is on its way to the front ends on iopub, bounded, so that a slow front end slows the session and not memory."""

import asyncio
from collections import deque
from collections.abc import Sequence

import zmq

from remote_kernel.zmq_socket import ZmqSocket

# Messages that ZeroMQ holds for the slowest subscriber …
MAX_MESSAGES = 2_000
# … of which parts from this size on are counted in bytes, so that no more than 32 MB of small parts escape the count …
COUNTED_PART_BYTES = 16 * 1024
# … and how many counted bytes may be on their way before the next message has to wait.
MAX_BYTES = 32 * 1024 * 1024

# ZeroMQ has no event that says that a publisher may go on.
LOOK_AGAIN_SECONDS = 0.01


class Outbox:
    """Sends to the subscribers of an XPUB socket, in order, nothing dropped.

    Args:
        socket: not bound yet. Until somebody subscribes, what is sent is gone, as with any kernel.
    """

    def __init__(self, socket: ZmqSocket) -> None:
        socket.zmq.sndhwm = MAX_MESSAGES
        socket.zmq.setsockopt(zmq.XPUB_NODROP, 1)
        self._socket = socket
        self._waiting: deque[list[bytes | zmq.Frame]] = deque()
        self._on_the_way: deque[tuple[zmq.MessageTracker, int]] = deque()
        self._bytes = 0
        self._flushing: asyncio.Task[None] | None = None

    def put(self, frames: Sequence[bytes]) -> None:
        """Send one message now, or as soon as there is room; never waits."""
        self._waiting.append([self._count(frame) for frame in frames])
        self._flush()
        if self._waiting and self._flushing is None:
            self._flushing = asyncio.create_task(self._flush_until_empty())

    async def room(self) -> None:
        """Return when another message may come; whoever sends much waits here first."""
        while self._waiting or not self._has_room_for_bytes():  # noqa: ASYNC110 - see LOOK_AGAIN_SECONDS
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    def close(self) -> None:
        """Forget what is waiting."""
        if self._flushing is not None:
            self._flushing.cancel()
        self._waiting.clear()

    def _count(self, frame: bytes) -> bytes | zmq.Frame:
        if len(frame) < COUNTED_PART_BYTES:
            return frame
        counted = zmq.Frame(frame, track=True, copy=False, copy_threshold=COUNTED_PART_BYTES)
        assert counted.tracker is not None
        self._on_the_way.append((counted.tracker, len(frame)))
        self._bytes += len(frame)
        return counted

    def _has_room_for_bytes(self) -> bool:
        while self._on_the_way and self._on_the_way[0][0].done:
            self._bytes -= self._on_the_way.popleft()[1]
        return self._bytes < MAX_BYTES

    def _flush(self) -> None:
        while self._waiting:
            try:
                self._socket.send(self._waiting[0])
            except zmq.Again:
                return
            self._waiting.popleft()

    async def _flush_until_empty(self) -> None:
        while self._waiting:
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
            self._flush()
        self._flushing = None
