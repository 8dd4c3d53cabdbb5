"""An answer's head goes out with the first of its body, in one write.

Each write is a system call that wakes whoever reads, so a small answer in two of them costs the reader two turns, and,
with Nagle's algorithm on the way, 40 ms. uvicorn writes head and body one by one.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

# To join what is larger costs more than a write.
MAX_JOINED_BYTES = 64 * 1024

_HEAD = b"HTTP/1."


class OneWriteTransport:
    """A transport that keeps back the head of an answer until something follows, but no longer than the loop's turn."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._held = b""

    def write(self, data: bytes) -> None:
        if not self._held and data.startswith(_HEAD):
            self._held = data
            asyncio.get_running_loop().call_soon(self._flush)
        elif self._held and data and len(data) <= MAX_JOINED_BYTES:
            held, self._held = self._held, b""
            self._transport.write(held + data)
        else:
            self._flush()
            self._transport.write(data)

    def _flush(self) -> None:
        if self._held:
            held, self._held = self._held, b""
            self._transport.write(held)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class OneWriteProtocol(H11Protocol):
    """uvicorn's protocol over such a transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(OneWriteTransport(transport))  # type: ignore[arg-type]
