"""Large writes to a real socket whose other end is slow to read: everything arrives, and little is copied."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from remote_kernel.io.http1.writing import Buffer, write_all

pytestmark = [pytest.mark.anyio, pytest.mark.unix]

MB = 1024 * 1024


class Writer(asyncio.Protocol):
    """The end that writes, and how much it gave to its transport, which may copy it."""

    def __init__(self) -> None:
        self.given = 0
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        write = transport.write

        def note(data: bytes) -> None:
            self.given += len(data)
            write(data)

        transport.write = note  # type: ignore[method-assign,assignment]

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._writable.set()

    async def drain(self) -> None:
        await self._writable.wait()


@asynccontextmanager
async def writer() -> AsyncIterator[tuple[Writer, socket.socket]]:
    """Give the end that writes, and the socket at the other one."""
    here, there = socket.socketpair(socket.AF_UNIX)
    with there:
        there.setblocking(False)
        transport, protocol = await asyncio.get_running_loop().create_unix_connection(Writer, sock=here)
        yield protocol, there
        transport.abort()


async def receive(there: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        received += await asyncio.get_running_loop().sock_recv(there, 100_000)
    return bytes(received)


async def test_parts_arrive_whole_and_behind_what_was_written_before() -> None:
    parts: list[Buffer] = [b"a" * 7, os.urandom(3 * MB), b"", bytearray(b"b" * MB), memoryview(b"\r\n")]
    async with writer() as (end, there):
        end.transport.write(b"before" * 50_000)
        writing = asyncio.create_task(write_all(end.transport, parts, end.drain))
        expected = b"before" * 50_000 + b"".join(parts)
        assert await receive(there, len(expected)) == expected
        await writing


async def test_what_the_system_takes_at_once_is_given_to_nobody_else() -> None:
    async with writer() as (end, there):
        await write_all(end.transport, [b"a" * 7, b"b" * 70_000, b"\r\n"], end.drain)
        assert end.given == 0
        assert len(await receive(there, 70_009)) == 70_009


async def test_of_what_it_does_not_take_at_once_little_is_copied() -> None:
    async with writer() as (end, there):
        writing = asyncio.create_task(write_all(end.transport, [bytes(20 * MB)], end.drain))
        await receive(there, 20 * MB)
        await writing
        assert end.given < 14 * MB


async def test_it_ends_when_nobody_is_there_any_more() -> None:
    async with writer() as (end, there):
        writing = asyncio.create_task(write_all(end.transport, [bytes(20 * MB)], end.drain))
        await receive(there, MB)
        there.close()
        async with asyncio.timeout(30):
            await writing
