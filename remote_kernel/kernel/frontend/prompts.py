"""Prompts on the stdin channel, kept until the front end that they are for is connected to it.

ZeroMQ connects each channel by itself, and tries again after 100 to 200 ms where nobody listens yet: the stdin channel
of a front end that has started a kernel may come that much later than the shell channel, on which it asks for a cell. A
ROUTER drops what is for nobody it knows, so that a cell would wait for an answer to a question that nobody has seen
(https://libzmq.readthedocs.io/en/latest/zmq_setsockopt.html, ZMQ_ROUTER_MANDATORY).
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence

import zmq

from remote_kernel.core.jupyter.parts import copied
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.io.zmq_socket import ZmqSocket

_log = logging.getLogger(__name__)

# Nothing tells a ROUTER's owner that somebody has come.
AGAIN_SECONDS = 0.01

# A cell asks one question at a time, of a few words.
MAX_KEPT = 100
MAX_KEPT_BYTES = 8 * 1024 * 1024


class Prompts:
    """Sender of what a kernel says on the stdin channel.

    Args:
        socket: a ROUTER.
        patience_seconds: how long a prompt is kept.
    """

    def __init__(self, socket: ZmqSocket, patience_seconds: float) -> None:
        socket.zmq.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._socket = socket
        self._patience_seconds = patience_seconds
        self._kept: deque[tuple[float, Sequence[bytes]]] = deque()
        self._has_kept = asyncio.Event()

    def send(self, frames: list[bytes]) -> None:
        """Send a message now, or when the one that its first frame names is there."""
        if not self._was_sent(frames):
            self._kept.append((time.monotonic() + self._patience_seconds, copied(frames)))
            while len(self._kept) > MAX_KEPT or self._kept_bytes > MAX_KEPT_BYTES:
                self._kept.popleft()
                _log_drop()
            self._has_kept.set()

    @property
    def _kept_bytes(self) -> int:
        return sum(len(frame) for _, frames in self._kept for frame in frames)

    async def serve(self) -> None:
        """Send what is kept, until cancelled."""
        while True:
            await self._has_kept.wait()
            await asyncio.sleep(AGAIN_SECONDS)
            for _ in range(len(self._kept)):
                gives_up_at, frames = self._kept.popleft()
                if self._was_sent(frames):
                    continue
                if time.monotonic() < gives_up_at:
                    self._kept.append((gives_up_at, frames))
                else:
                    _log_drop()
            if not self._kept:
                self._has_kept.clear()

    def _was_sent(self, frames: Sequence[bytes]) -> bool:
        try:
            self._socket.send(frames)
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return False
        return True


def _log_drop() -> None:
    _log.warning(LogEvent("prompt dropped", reason="its front end has no stdin channel"))
