"""A ZeroMQ socket in the event loop, without a future for every message.

`zmq.asyncio` makes a future, a timer and a turn of the loop of each message that is sent or received, which is a third
of what a cell costs here. Sockets in this package have no limit that a sender could hit, or handle it themselves; so
sending is a plain call, and receiving waits only where there is nothing.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import zmq

_POLLIN = int(zmq.POLLIN)  # an enumeration's "and" takes as long as a small message


class ZmqSocket:
    """Wraps a socket; make it where the event loop runs.

    Attributes:
        zmq: the socket itself, for its options; use only the methods here to send and receive.
    """

    def __init__(self, socket: "zmq.Socket[Any]") -> None:
        self.zmq = socket
        self._loop = asyncio.get_running_loop()
        self._arrival: asyncio.Future[None] | None = None
        # The descriptor tells of news once, and any call may take the news away: `_look` after each of them that does
        # not end with nothing being there.
        self._descriptor = int(socket.get(zmq.FD))
        self._loop.add_reader(self._descriptor, self._look)

    def _look(self) -> None:
        events = int(self.zmq.get(zmq.EVENTS))  # and the descriptor is quiet again
        if events & _POLLIN and self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    def take(self) -> list[bytes] | None:
        """Return the frames of the next message if it is there already."""
        try:
            return self.zmq.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return None

    async def receive(self) -> list[bytes]:
        """Return the frames of the next message; one task at a time may wait."""
        while (frames := self.take()) is None:
            self._arrival = self._loop.create_future()
            await self._arrival
        return frames

    def send(self, frames: "Sequence[bytes | zmq.Frame]") -> None:
        """Send one message; raises `zmq.Again` where the socket has a limit and it is reached."""
        try:
            self.zmq.send_multipart(frames, zmq.NOBLOCK, copy=False)
        finally:
            self._look()

    def close(self) -> None:
        """Close the socket; what was sent goes out for as long as its `linger` allows."""
        self._loop.remove_reader(self._descriptor)
        self.zmq.close()
