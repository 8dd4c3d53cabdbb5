"""Replies that arrive while something is sent on the same socket."""

import asyncio
import select
from collections.abc import Iterator
from queue import Empty

import pytest
import zmq
import zmq.asyncio
from jupyter_client.session import Session

from remote_kernel.cli.run.patient_client import ForgivingChannel, PatientChannel
from remote_kernel.core.jupyter.messages import Signer

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


HEADER = b'{"msg_id": "a", "msg_type": "stream", "date": "%b", "version": %b}'


@pytest.mark.parametrize("kind", [ForgivingChannel, PatientChannel])
async def test_messages_that_are_none_are_passed_over(
    kernel: "zmq.Socket[bytes]", kind: type[ForgivingChannel]
) -> None:
    port = kernel.bind_to_random_port("tcp://127.0.0.1")
    key = b"key"
    with zmq.asyncio.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.connect(f"tcp://127.0.0.1:{port}")
        session, signer = Session(key=key), Signer(key)
        channel = kind(socket, session, asyncio.get_running_loop())
        channel.send(session.msg("execute_request"))
        identity, *_ = kernel.recv_multipart()
        head = HEADER % (b"2026-01-01T00:00:00Z", b'"5.4"')
        for parts in (
            (b"{}", b"{}", b"{}", b"{}"),
            (b"[]", b"{}", b"{}", b"{}"),
            (HEADER % (b"2026-99-99T00:00:00Z", b'"5.4"'), b"{}", b"{}", b"{}"),
            (HEADER % (b"", b"5"), b"{}", b"{}", b"{}"),
            (head, b"[]", b"{}", b"{}"),
            (head, b"{}", b"{", b"{}"),
            (head, b"{}", b"{}", b"{"),
            (head, b"{}", b"{}", b"{}"),
            (head, b"{}", b"{}", b"{}"),  # twice is taken for a replay
            (head, b"{}", b"{}", b'{"text": "end"}'),
        ):
            kernel.send_multipart([identity, *signer.to_zmq(parts)])
        async with asyncio.timeout(20):
            heard = [await channel.get_msg(10.0) for _ in range(2)]
        assert [message["content"] for message in heard] == [{}, {"text": "end"}]
