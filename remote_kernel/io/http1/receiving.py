"""Receiving without an allocation for each read.

asyncio allocates 256 KB for whatever comes and gives back what was too much, which is three calls of the system for a
message. One buffer does for all connections of a process, as what is in it is taken before the loop reads again. It
grows as soon as it has been full, until a message with an array of 1 MB fits in: that is there in one turn of the loop,
and in one piece. Most processes never read so much at once, and save the memory.
"""

import asyncio
import socket
import sys
from abc import abstractmethod
from typing import ClassVar

FIRST_BYTES = 256 * 1024
RECEIVED_AT_ONCE_BYTES = 1280 * 1024

# Linux takes 208 KB at once from who writes to a Unix socket, and then wakes who reads; TCP on loopback takes more.
SEND_BUFFER_BYTES = 1024 * 1024


class Receiving(asyncio.BufferedProtocol):
    """A protocol of a selector's event loop that is given what came as a view, to be copied from at once."""

    _buffer: ClassVar = memoryview(bytearray(FIRST_BYTES))

    def get_buffer(self, sizehint: int) -> memoryview:
        return Receiving._buffer

    def buffer_updated(self, nbytes: int) -> None:
        buffer = Receiving._buffer
        if nbytes == len(buffer) == FIRST_BYTES:
            Receiving._buffer = memoryview(bytearray(RECEIVED_AT_ONCE_BYTES))
        self.data_received(buffer[:nbytes])

    @staticmethod
    def widen(transport: asyncio.BaseTransport) -> None:
        """Have a Unix socket take large messages in fewer pieces, as far as the system allows it."""
        opened: socket.socket = transport.get_extra_info("socket")
        if sys.platform != "win32" and opened.family == socket.AF_UNIX:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)

    @abstractmethod
    def data_received(self, data: memoryview) -> None:
        """Take what came; it is gone when this returns."""
