"""The pool's listener."""

import asyncio
import resource
import socket
import subprocess
import sys

import pytest

from remote_kernel.io.http1.listening import open_listener
from remote_kernel.io.system.open_files import MAX_FILES, allow_many_files


@pytest.mark.anyio
async def test_accepted_connections_do_not_wait_to_fill_a_packet() -> None:
    accepted: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection: socket.socket = writer.get_extra_info("socket")
        accepted.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    listener = open_listener("127.0.0.1", 0)
    server = await asyncio.start_server(accept, sock=listener)
    async with server:
        _, writer = await asyncio.open_connection(*listener.getsockname())
        assert await accepted
        writer.close()
        await writer.wait_closed()


def test_the_pool_may_open_what_hundreds_of_sessions_need() -> None:
    before = soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, soft), hard))
        allow_many_files()
        raised, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert raised == (MAX_FILES if hard == resource.RLIM_INFINITY else min(MAX_FILES, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        allow_many_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= soft  # more than we need is left alone
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


FAILS = """
import asyncio, sys
from remote_kernel.pool import __main__, server

async def fail(self, *_, **__):
    await asyncio.sleep(0.1)
    {how}

server.Server.serve = fail
sys.exit(__main__.main())
"""


@pytest.mark.parametrize("how", ["raise OSError", "return", "raise asyncio.CancelledError"])
def test_pool_whose_server_has_ended_by_itself_ends_with_a_status(how: str) -> None:
    command = [sys.executable, "-c", FAILS.format(how=how), "--port", "0", "--ready", "0", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "failed inside" in done.stderr
