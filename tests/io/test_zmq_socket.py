"""ZeroMQ in the event loop: nothing is overlooked, whatever else is done with the socket meanwhile."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from remote_kernel.io.zmq_socket import COPIED_BYTES, ZmqSocket

pytestmark = pytest.mark.anyio

COUNT = 2_000


@pytest.fixture
def context() -> Iterator["zmq.Context[zmq.Socket[bytes]]"]:
    with zmq.Context() as made:
        yield made


def connected(context: "zmq.Context[zmq.Socket[bytes]]") -> tuple[ZmqSocket, ZmqSocket]:
    """Return the end that connects, which can send at once, and the other; call it inside the event loop."""
    ends = [context.socket(zmq.DEALER) for _ in range(2)]
    for end in ends:
        end.linger = 0
        end.set_hwm(0)
    port = ends[0].bind_to_random_port("tcp://127.0.0.1")
    ends[1].connect(f"tcp://127.0.0.1:{port}")
    return ZmqSocket(ends[1]), ZmqSocket(ends[0])


async def test_messages_come_whole_and_in_order(context: "zmq.Context[zmq.Socket[bytes]]") -> None:
    here, there = connected(context)
    for number in range(COUNT):
        here.send([str(number).encode(), b"part"])
    assert [await there.receive() for _ in range(COUNT)] == [[str(n).encode(), b"part"] for n in range(COUNT)]
    here.close()
    there.close()


async def test_large_frames_are_where_zeromq_has_them_and_stay_what_they_were(
    context: "zmq.Context[zmq.Socket[bytes]]",
) -> None:
    here, there = connected(context)
    for number in range(20):
        here.send([b"small", bytes([number]) * (COPIED_BYTES + number)])
    received = [await there.receive() for _ in range(20)]
    assert [(type(small), type(large)) for small, large in received] == [(bytes, memoryview)] * 20
    assert [bytes(large) for _, large in received] == [bytes([n]) * (COPIED_BYTES + n) for n in range(20)]
    here.send(received[7])
    assert await there.receive() == received[7]
    here.close()
    there.close()


async def test_sending_does_not_hide_what_arrives(context: "zmq.Context[zmq.Socket[bytes]]") -> None:
    """Any call on a socket may take the news away that its descriptor tells once."""
    here, there = connected(context)

    async def echo() -> None:
        while True:
            there.send(await there.receive())

    async def send() -> None:
        for number in range(COUNT):
            here.send([str(number).encode()])
            if number % 7 == 0:
                await asyncio.sleep(0)

    echoing, sending = asyncio.create_task(echo()), asyncio.create_task(send())
    async with asyncio.timeout(30):
        received = [(await here.receive())[0] for _ in range(COUNT)]
    assert received == [str(number).encode() for number in range(COUNT)]
    await sending
    echoing.cancel()
    here.close()
    there.close()


async def test_who_watches_a_socket_overlooks_nothing(context: "zmq.Context[zmq.Socket[bytes]]") -> None:
    """Also where it sends meanwhile, or leaves some of what is there to another turn."""
    here, there = connected(context)
    received: list[bytes] = []

    def echo() -> None:
        if (frames := there.take()) is not None:
            there.send(frames)
            there.read_again()

    def receive() -> None:
        for _ in range(3):
            if (frames := here.take()) is None:
                return
            received.append(bytes(frames[0]))
        here.read_again()

    there.watch(echo)
    here.watch(receive)
    for number in range(COUNT):
        here.send([str(number).encode()])
        if number % 7 == 0:
            await asyncio.sleep(0)
    async with asyncio.timeout(30):
        while len(received) < COUNT:  # noqa: ASYNC110 - the readers are called meanwhile
            await asyncio.sleep(0)
    assert received == [str(number).encode() for number in range(COUNT)]
    here.close()
    there.close()
    await asyncio.sleep(0)  # nobody is called who was to read again


async def test_what_is_there_already_is_taken_without_waiting(context: "zmq.Context[zmq.Socket[bytes]]") -> None:
    here, there = connected(context)
    assert there.take() is None
    waiting = asyncio.create_task(there.receive())
    here.send([b"one"])
    here.send([b"two"])
    assert await waiting == [b"one"]
    async with asyncio.timeout(30):
        while (second := there.take()) is None:  # noqa: ASYNC110 - nobody is told of what may be taken
            await asyncio.sleep(0)
    assert second == [b"two"]
    assert there.take() is None
    here.close()
    there.close()


async def test_a_wait_that_was_given_up_loses_nothing(context: "zmq.Context[zmq.Socket[bytes]]") -> None:
    here, there = connected(context)
    given_up = asyncio.create_task(there.receive())
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    here.send([b"one"])
    assert await there.receive() == [b"one"]
    here.close()
    there.close()


@pytest.mark.unix
async def test_a_connection_is_waited_for(context: "zmq.Context[zmq.Socket[bytes]]", tmp_path: Path) -> None:
    """An interpreter binds its stdin channel when it likes; its prompts before we are connected are for nobody."""
    ends = [context.socket(zmq.DEALER) for _ in range(2)]
    for end in ends:
        end.linger = 0
    ends[0].setsockopt(zmq.IMMEDIATE, 1)
    ends[0].connect(f"ipc://{tmp_path}/s")
    here = ZmqSocket(ends[0])
    waiting = asyncio.create_task(here.wait_connected())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await asyncio.shield(waiting)
    ends[1].bind(f"ipc://{tmp_path}/s")
    async with asyncio.timeout(10):
        await waiting
        await here.wait_connected()
    here.close()
    ends[1].close()
