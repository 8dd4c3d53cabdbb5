"""Replies that arrive while something is sent on the same socket."""

import asyncio
import select
from collections.abc import Iterator
from queue import Empty

import pytest
import zmq
import zmq.asyncio
from jupyter_client.session import Session

from remote_kernel.cli.run.patient_client import PatientChannel

pytestmark = pytest.mark.anyio


@pytest.fixture
def kernel() -> Iterator["zmq.Socket[bytes]"]:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        yield socket


@pytest.mark.parametrize("patience", [None, 60.0])
async def test_a_reply_is_noticed_that_arrives_while_something_is_sent(
    kernel: "zmq.Socket[bytes]", patience: float | None
) -> None:
    session = Session(key=b"")
    port = kernel.bind_to_random_port("tcp://127.0.0.1")
    with zmq.asyncio.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.connect(f"tcp://127.0.0.1:{port}")
        channel = PatientChannel(socket, session, asyncio.get_running_loop())
        channel.send(session.msg("execute_request"))
        identities, request = session.recv(kernel, 0)
        waiting = asyncio.create_task(channel.get_msg(patience))
        await asyncio.sleep(0)  # it waits for news now
        session.send(kernel, "execute_reply", {}, parent=request, ident=identities)
        descriptor = int(socket.get(zmq.FD))
        select.select([descriptor], [], [])  # the news is there, and the event loop has not seen it
        while select.select([descriptor], [], [], 0)[0]:  # ZeroMQ looks once a millisecond at most
            channel.send(session.msg("comm_msg"))  # takes it away
        async with asyncio.timeout(20):
            assert (await waiting)["header"]["msg_type"] == "execute_reply"


async def test_nothing_is_waited_for_no_longer_than_asked(kernel: "zmq.Socket[bytes]") -> None:
    port = kernel.bind_to_random_port("tcp://127.0.0.1")
    with zmq.asyncio.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.connect(f"tcp://127.0.0.1:{port}")
        channel = PatientChannel(socket, Session(key=b""), asyncio.get_running_loop())
        with pytest.raises(Empty):
            await channel.get_msg(0.0)
