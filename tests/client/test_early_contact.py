"""What a first cell would wait for is there before it, and nobody hears of it."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from remote_kernel.client.access import AzureAccess, ConfiguredAccess, LocalAccess
from remote_kernel.client.auth.tokens import Token, Tokens
from remote_kernel.client.early_contact import EarlyContact
from remote_kernel.client.http.pool_client import PoolClient
from remote_kernel.client.http.transport import Timings, Transport, transport_to
from remote_kernel.client.local_pool import LocalPool
from remote_kernel.core.errors import Unauthorized
from remote_kernel.core.identity import Identifier
from tests.client.hostile import Asked, hostile
from tests.driver import free_ports, wait_until
from tests.faults.proxy import FaultProxy

pytestmark = pytest.mark.anyio


async def answer(asked: Asked) -> AsyncIterator[bytes]:
    """Answer as a front door does: who has no token is sent away, and the connection stays."""
    status = b"200 OK" if "authorization" in asked.headers else b"401 Unauthorized"
    yield b"HTTP/1.1 " + status + b"\r\ncontent-length: 2\r\n\r\n{}"


async def end_of_contact(name: str = "early contact") -> None:
    await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name() == name))


async def test_connections_are_those_of_the_first_requests_and_name_no_session(
    server_certificate: ssl.SSLContext, tmp_path: Path
) -> None:
    async with hostile(answer) as server:
        with FaultProxy.before(server.endpoint, server_certificate) as proxy:
            access = ConfiguredAccess(proxy.endpoint, "token", bundle=tmp_path / "server.pem")
            early = EarlyContact(access)
            early.begin()
            early.begin()
            await end_of_contact()
            assert [(asked.path, asked.params) for asked in server.asked] == [("/", {}), ("/", {})]
            assert not any("authorization" in asked.headers for asked in server.asked)
            pool = PoolClient(access, Identifier("an-identifier"), connects_ahead=True, early=early)
            await asyncio.gather(pool.request("GET", "/one"), pool.request("GET", "/two"))
            assert proxy.connections == 2
            await pool.aclose()
            await early.aclose()


class ForgetfulAccess(ConfiguredAccess):
    """The way to a pool whose early connections are gone as soon as no request uses them, as they are after minutes."""

    def __init__(self, url: str, bundle: Path) -> None:
        super().__init__(url, "token", bundle=bundle)
        self.transport = transport_to(url, bundle=bundle, timings=Timings(keepalive_seconds=0.0))

    def open_transport(self) -> Transport:
        return self.transport


async def test_connections_that_are_gone_again_are_made_both_at_a_time(
    server_certificate: ssl.SSLContext, tmp_path: Path
) -> None:
    async with hostile(answer) as server:
        with FaultProxy.before(server.endpoint, server_certificate) as proxy:
            access = ForgetfulAccess(proxy.endpoint, tmp_path / "server.pem")
            early = EarlyContact(access)
            early.begin()
            await end_of_contact()
            assert proxy.connections == 2
            pool = PoolClient(access, Identifier("an-identifier"), connects_ahead=True, early=early)
            await pool.request("GET", "/one")
            await end_of_contact("connecting ahead")
            assert proxy.connections == 4
            await pool.aclose()


async def test_what_is_not_taken_is_closed(server_certificate: ssl.SSLContext, tmp_path: Path) -> None:
    async with hostile(answer) as server:
        with FaultProxy.before(server.endpoint, server_certificate) as proxy:
            early = EarlyContact(ConfiguredAccess(proxy.endpoint, "token", bundle=tmp_path / "server.pem"))
            early.begin()
            await end_of_contact()
            assert proxy.has_open
            await early.aclose()
            await asyncio.to_thread(wait_until, lambda: not proxy.has_open)


async def test_nobody_hears_that_there_is_no_pool(caplog: pytest.LogCaptureFixture) -> None:
    early = EarlyContact(ConfiguredAccess(f"https://127.0.0.1:{free_ports(1)[0]}", "token"))
    early.begin()
    await end_of_contact()
    await early.aclose()
    assert [record for record in caplog.records if record.name.startswith("remote_kernel")] == []


class Login:
    """Notes that it was asked for a token, and has none."""

    patience_seconds = 10.0

    def __init__(self, *, is_silent: bool) -> None:
        self.is_silent = is_silent
        self.was_asked = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def get_token(self) -> Token:
        self._loop.call_soon_threadsafe(self.was_asked.set)
        raise Unauthorized("nobody is logged in")


async def test_a_token_is_asked_for_and_who_needs_it_is_told_that_there_is_none() -> None:
    login = Login(is_silent=True)
    access = AzureAccess("http://127.0.0.1:1", Tokens(login))
    EarlyContact(access).begin()
    await login.was_asked.wait()
    with pytest.raises(Unauthorized):
        await access.endpoint()


async def test_nobody_is_asked_to_sign_in_before_a_cell_needs_it() -> None:
    login = Login(is_silent=False)
    access = AzureAccess("http://127.0.0.1:1", Tokens(login))
    EarlyContact(access).begin()
    assert not login.was_asked.is_set()
    with pytest.raises(Unauthorized):
        await access.endpoint()
    assert login.was_asked.is_set()


async def test_a_local_pool_is_not_started() -> None:
    early = EarlyContact(LocalAccess(LocalPool()))
    early.begin()
    assert early.take_transport() is None
