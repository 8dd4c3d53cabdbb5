"""A ZeroMQ socket in the event loop, without a future for every message.

`zmq.asyncio` makes a future, a timer and a turn of the loop of each message that is sent or received, which is a third
of what a cell costs here. Sockets in this package have no limit that a sender could hit, or handle it themselves; so
sending is a plain call, and receiving waits only where there is nothing. Frame by frame, that takes half of the time of
`send_multipart` and two thirds of that of `recv_multipart`.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import zmq

# Numbers, as "and" and "or" of an enumeration take as long as a small message.
_POLLIN = int(zmq.POLLIN)
_POLLOUT = int(zmq.POLLOUT)
_NOBLOCK = int(zmq.NOBLOCK)
_MORE = _NOBLOCK | int(zmq.SNDMORE)


class ZmqSocket:
    """Wraps a socket; make it where the event loop runs.

    Attributes:
        zmq: the socket itself, for its options; use only the methods here to send and receive.
    """

    def __init__(self, socket: "zmq.Socket[Any]") -> None:
        self.zmq = socket
        self._loop = asyncio.get_running_loop()
        self._arrival: asyncio.Future[None] | None = None
        self._connection: asyncio.Future[None] | None = None
        # The descriptor tells of news once, and any call may take the news away: `_look` after each of them that does
        # not end with nothing being there.
        self._descriptor = int(socket.get(zmq.FD))
        self._loop.add_reader(self._descriptor, self._look)

    def _look(self) -> None:
        events = int(self.zmq.get(zmq.EVENTS))  # and the descriptor is quiet again
        if events & _POLLIN and self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)
        if events & _POLLOUT and self._connection is not None and not self._connection.done():
            self._connection.set_result(None)

    async def wait_connected(self) -> None:
        """Return when a socket with the option `IMMEDIATE` has a connection."""
        if not int(self.zmq.get(zmq.EVENTS)) & _POLLOUT:
            self._connection = self._loop.create_future()
            await self._connection

    def take(self) -> list[bytes] | None:
        """Return the frames of the next message if it is there already."""
        receive = self.zmq.recv
        try:
            frame = receive(_NOBLOCK, copy=False)
        except zmq.Again:
            return None
        frames = [frame.bytes]
        while frame.more:
            frame = receive(_NOBLOCK, copy=False)
            frames.append(frame.bytes)
        return frames

    def take_frame(self) -> bytes | None:
        """Return the next frame if it is there already, whether more of its message follow or not."""
        try:
            return bytes(self.zmq.recv(_NOBLOCK))
        except zmq.Again:
            return None

    async def receive(self) -> list[bytes]:
        """Return the frames of the next message; one task at a time may wait."""
        while (frames := self.take()) is None:
            await self.wait_arrival()
        return frames

    async def wait_arrival(self) -> None:
        """Return when something may have come since there was nothing to take; one task at a time may wait."""
        self._arrival = self._loop.create_future()
        await self._arrival

    def send(self, frames: "Sequence[bytes | zmq.Frame]") -> None:
        """Send one message; raises `zmq.Again` where the socket has a limit and it is reached."""
        send = self.zmq.send
        *before, last = frames
        try:
            for frame in before:  # with the first of them, ZeroMQ takes all, or none
                send(frame, _MORE, copy=False)
            send(last, _NOBLOCK, copy=False)
        finally:
            self._look()

    def close(self) -> None:
        """Close the socket; what was sent goes out for as long as its `linger` allows."""
        self._loop.remove_reader(self._descriptor)
        self.zmq.close()
