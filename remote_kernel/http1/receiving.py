"""Receiving without an allocation for each read.

asyncio allocates 256 KB for whatever comes and gives back what was too much, which is three calls of the system for a
message. One buffer does for all connections of a process, as what is in it is taken before the loop reads again.
"""

import asyncio
from abc import abstractmethod

_BUFFER = memoryview(bytearray(256 * 1024))


class Receiving(asyncio.BufferedProtocol):
    """A protocol of a selector's event loop that is given what came as a view, to be copied from at once."""

    def get_buffer(self, sizehint: int) -> memoryview:
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(_BUFFER[:nbytes])

    @abstractmethod
    def data_received(self, data: memoryview) -> None:
        """Take what came; it is gone when this returns."""
