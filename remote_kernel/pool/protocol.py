"""HTTP/1.1 on one connection, with patience for slow clients that ends."""

import asyncio

import h11

from remote_kernel.one_write import OneWriteProtocol

# From the first byte of a request, or of the connection, to the end of its head.
HEAD_SECONDS = 30.0


class PatientProtocol(OneWriteProtocol):
    """uvicorn's protocol, which closes a connection whose request head does not arrive."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        is_within_head = self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
        if not is_within_head:
            self._stop_timer()
        elif self._head_timer is None:
            self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def _start_timer(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
