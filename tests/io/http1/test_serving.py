"""How our servers are run."""

import asyncio
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from remote_kernel.client.http import transport
from remote_kernel.io.http1.serving import KEEP_ALIVE_SECONDS, Server
from remote_kernel.pool.processes import pods
from tests.driver import TIMEOUT_SECONDS


def test_servers_keep_an_idle_connection_for_longer_than_their_clients() -> None:
    """A request on a connection that is just being closed is lost."""
    assert max(transport.KEEPALIVE_SECONDS, pods.KEEPALIVE_SECONDS) < KEEP_ALIVE_SECONDS


async def answer(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


@pytest.mark.anyio
@pytest.mark.unix
async def test_a_server_rests_while_nobody_asks_and_knows_the_date_when_somebody_does(tmp_path: Path) -> None:
    loop, turns = asyncio.get_running_loop(), 0
    select = loop._selector.select  # type: ignore[attr-defined]

    def count(timeout: float | None = None) -> Any:
        nonlocal turns
        turns += 1
        return select(timeout)

    server = Server(answer, uds=str(tmp_path / "s"), protocol={}, log_level="error")
    serving = asyncio.create_task(server.serve())
    await server.is_listening.wait()
    await asyncio.sleep(0)
    loop._selector.select = count  # type: ignore[attr-defined]
    try:
        await asyncio.sleep(0.5)  # in which uvicorn's own takes five turns
    finally:
        loop._selector.select = select  # type: ignore[attr-defined]
    assert turns <= 2
    reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
    writer.write(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n")
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    date = parsedate_to_datetime(dict(line.split(": ", 1) for line in head.splitlines() if ": " in line)["date"])
    assert abs((datetime.now(UTC) - date).total_seconds()) < TIMEOUT_SECONDS
    writer.close()
    server.should_exit = True
    await serving
