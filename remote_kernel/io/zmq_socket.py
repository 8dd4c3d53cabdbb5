"""A ZeroMQ socket in the event loop, without a future for every message.

`zmq.asyncio` makes a future, a timer and a turn of the loop of each message that is sent or received, which is a third
of what a cell costs here. Sockets in this package have no limit that a sender could hit, or handle it themselves; so
sending is a plain call, and receiving waits only where there is nothing. Frame by frame, that takes a third of the
time of `send_multipart` and two thirds of that of `recv_multipart`.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import zmq
from zmq.backend import Socket as Backend

from remote_kernel.io.arrival import Arrival

# Numbers, as an enumeration's members take as long as a small message, wherever they are used or come back.
_EVENTS = int(zmq.EVENTS)
_POLLIN = int(zmq.POLLIN)
_POLLOUT = int(zmq.POLLOUT)
_NOBLOCK = int(zmq.NOBLOCK)
_MORE = _NOBLOCK | int(zmq.SNDMORE)

# After so many messages that were there, another one is more likely than not.
MANY = 4

# Of a message that is larger, frames are sent as they are that pyzmq finds too large to be copied.
COPIED_BYTES = 64 * 1024


class ZmqSocket:
    """Wraps a socket; make it where the event loop runs.

    Attributes:
        zmq: the socket itself, for its options; use only the methods here to send and receive.
    """

    def __init__(self, socket: "zmq.Socket[Any]") -> None:
        self.zmq = socket
        # pyzmq's C: what `zmq.Socket` adds looks at options of ZeroMQ's drafts with every frame.
        self._send = partial(Backend.send, socket)
        self._get = partial(Backend.get, socket)
        self._loop = asyncio.get_running_loop()
        self._arrival: Arrival | None = None
        self._read: Callable[[], None] | None = None
        self._has_news = False
        self._taken = 0  # since there was nothing
        self._connection: asyncio.Future[None] | None = None
        # The descriptor tells of news once, and any call may take the news away: `_look` after each of them that does
        # not end with nothing being there.
        self._descriptor = int(socket.get(zmq.FD))
        self._loop.add_reader(self._descriptor, self._take_news)

    def watch(self, read: Callable[[], None]) -> None:
        """Have `read` called in the event loop when something may have come, until the socket is closed.

        It calls `take` until there is nothing, or `read_again`; it is called once for all that comes. No task may wait
        for the same.
        """
        self._read = read
        self.read_again()

    def read_again(self) -> None:
        """Have the reader called in the loop's next turn, when others have had theirs."""
        self._loop.call_soon(self._call_reader)

    def _call_reader(self) -> None:
        if self._read is not None:
            self._read()

    def _take_news(self) -> None:
        if self._read is not None and self._connection is None:
            self._has_news = True
            self._read()
        elif self._look():
            self._call_reader()
            if self._arrival is not None and not self._arrival.done():
                self._arrival.arrive()

    def _look_again(self) -> None:
        """Tell whoever waits what there may be to take, behind what the caller is in the midst of."""
        if not self._look():
            return
        if self._read is not None:
            self.read_again()
        elif self._arrival is not None and not self._arrival.done():
            self._arrival.arrive_soon()

    def _look(self) -> bool:
        """Return whether there may be something to take."""
        events = int(self._get(_EVENTS))  # and the descriptor is quiet again
        if events & _POLLOUT and self._connection is not None and not self._connection.done():
            self._connection.set_result(None)
        return bool(events & _POLLIN)

    async def wait_connected(self) -> None:
        """Return when a socket with the option `IMMEDIATE` has a connection."""
        self._connection = self._loop.create_future()
        try:
            self._look_again()
            await self._connection
        finally:
            self._connection = None

    def take(self) -> list[bytes | memoryview] | None:
        """Return the frames of the next message if it is there already; large ones stay where ZeroMQ has them."""
        # Nothing to take is an error, which takes longer than a look; where much comes, a look at each takes longer.
        is_there = self._has_news or self._taken >= MANY or self._look()
        frames = self._take() if is_there else None
        self._has_news = False
        self._taken = self._taken + 1 if frames is not None else 0
        return frames

    def _take(self) -> list[bytes | memoryview] | None:
        receive = self.zmq.recv
        try:
            frame = receive(_NOBLOCK, copy=False)
        except zmq.Again:
            return None
        frames = [frame.bytes if len(frame) < COPIED_BYTES else frame.buffer]
        while frame.more:
            frame = receive(_NOBLOCK, copy=False)
            frames.append(frame.bytes if len(frame) < COPIED_BYTES else frame.buffer)
        return frames

    def take_frame(self) -> bytes | None:
        """Return the next frame if it is there already, whether more of its message follow or not."""
        try:
            return bytes(self.zmq.recv(_NOBLOCK))
        except zmq.Again:
            return None

    async def receive(self) -> list[bytes | memoryview]:
        """Return the frames of the next message; one task at a time may wait."""
        frames = self.take()
        while frames is None:
            await self.wait_arrival()
            frames = self._take()  # which was seen
        return frames

    async def wait_arrival(self) -> None:
        """Return when something may have come since there was nothing to take; one task at a time may wait."""
        self._arrival = Arrival(loop=self._loop)
        await self._arrival

    def send(self, frames: "Sequence[bytes | memoryview | zmq.Frame]") -> None:
        """Send one message; raises `zmq.Again` where the socket has a limit and it is reached."""
        send, copies = self._send, sum(map(len, frames)) < COPIED_BYTES
        *before, last = frames
        try:
            for frame in before:  # with the first of them, ZeroMQ takes all, or none
                send(frame, _MORE, copies)
            send(last, _NOBLOCK, copies)
        finally:
            self._look_again()

    def close(self) -> None:
        """Close the socket; what was sent goes out for as long as its `linger` allows."""
        self._read = None
        self._loop.remove_reader(self._descriptor)
        self.zmq.close()
