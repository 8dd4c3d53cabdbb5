"""What somebody can do to a kernel who can connect to its ports and does not have its key."""

import asyncio
import json
import random
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq
from jupyter_client.session import Session

from remote_kernel.core.wire.frames import Channel
from remote_kernel.kernel.frontend import subscribers
from remote_kernel.kernel.frontend.channels import DEFAULT_TIMINGS, Channels, Handle
from remote_kernel.kernel.frontend.connection_file import Connection
from remote_kernel.kernel.frontend.sockets import Sockets
from remote_kernel.kernel.frontend.subscribers import MIN_TAKEN_BYTES, Patience
from remote_kernel.kernel.frontend.timings import Timings
from tests.driver import Notebook, write_connection_file
from tests.kernel.test_channels import connect, start, wait_ready

SOCKETS = ("shell", "control", "stdin", "iopub", "hb")

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)


def handshake(kind: bytes) -> bytes:
    """Return all that a socket of a type says before its first message."""
    ready = b"\x05READY\x0bSocket-Type" + struct.pack(">I", len(kind)) + kind
    return GREETING + b"\x04" + bytes([len(ready)]) + ready


@contextmanager
def stranger(connection: Connection, name: str) -> Iterator["zmq.Socket[bytes]"]:
    """Connect a socket that may send anything to one of a kernel's sockets."""
    with zmq.Context() as context, context.socket(zmq.XSUB if name == "iopub" else zmq.DEALER) as made:
        made.linger = 1000
        made.connect(connection.url(name))
        yield made


def garbage(chance: random.Random) -> Iterator[list[bytes]]:
    """Yield messages that are none."""
    yield [b"a", b"b"]
    yield [b""]
    yield [b"", b""]
    yield [b"\x01", b"\x01", b"\x00"]
    yield [b"<IDS|MSG>"]
    yield [b"<IDS|MSG>", b"", b"{}", b"{}", b"{}", b"{}"]
    yield [b"x", b"<IDS|MSG>", b"0" * 64, b"{", b"\xff", b"[]", b"null"]
    yield [b"x"] * 500
    yield [b"x" * 1_000_000, b"y"]
    for _ in range(50):
        yield [chance.randbytes(chance.choice([0, 1, 9, 300])) for _ in range(chance.randrange(1, 9))]


def test_garbage_at_any_port_is_refused_and_a_cell_runs(notebook: Notebook) -> None:
    connection = Connection.read(Path(notebook.manager.connection_file))
    chance = random.Random(7)
    for name in SOCKETS:
        with stranger(connection, name) as sender:
            for frames in garbage(chance):
                sender.send_multipart(frames)
    assert notebook.run("1 + 1").result == "2"
    newcomer = connect(connection.path)
    try:
        assert newcomer.get_iopub_msg(timeout=30)["msg_type"] == "iopub_welcome"
        newcomer.wait_for_ready(timeout=30)  # by the heartbeat, as it has no manager
    finally:
        newcomer.stop_channels()


@pytest.mark.parametrize("name", SOCKETS)
def test_who_announces_too_large_a_message_is_hung_up_on(tmp_path: Path, name: str) -> None:
    path = tmp_path / "c.json"
    write_connection_file(path, key=b"secret")
    process = start(path)
    try:
        client = connect(path)
        assert client.get_iopub_msg(timeout=30)
        client.stop_channels()
        size = 8 * 1024 if name in {"iopub", "hb"} else 3 << 29
        with socket.create_connection(("127.0.0.1", Connection.read(path).ports[name]), timeout=20) as sock:
            sock.sendall(handshake(b"SUB" if name == "iopub" else b"DEALER"))
            sock.sendall(b"\x02" + struct.pack(">Q", size))
            while sock.recv(4096):
                pass
    finally:
        process.terminate()
        assert process.wait(10) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
def test_connections_of_strangers_leave_a_front_end_its_own(tmp_path: Path) -> None:
    """As many as most systems allow a process to have open, unless it asks for more; here, fewer."""
    path = tmp_path / "c.json"
    write_connection_file(path, key=b"secret")
    code = (
        "import os, resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))\n"
        "os.execv(sys.executable, [sys.executable, '-m', 'remote_kernel', '-f', sys.argv[1]])"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)]) as process, ExitStack() as strangers:
        try:
            first = connect(path)
            strangers.callback(first.stop_channels)
            wait_ready(first)
            for _ in range(100):
                sock = socket.create_connection(("127.0.0.1", Connection.read(path).ports["shell"]), timeout=30)
                strangers.enter_context(sock).sendall(handshake(b"DEALER"))
            newcomer = connect(path)
            strangers.callback(newcomer.stop_channels)
            wait_ready(newcomer)
        finally:
            process.terminate()
    assert process.returncode == 0


@asynccontextmanager
async def bound(tmp_path: Path, transport: str = "tcp", timings: Timings = DEFAULT_TIMINGS) -> AsyncIterator[Channels]:
    """Make channels that nobody serves."""
    path = tmp_path / "c.json"
    ip = "127.0.0.1" if transport == "tcp" else str(tmp_path / "s")
    write_connection_file(path, ip=ip, key=b"secret", transport=transport)
    connection = Connection.read(path)
    channels = Channels(connection, Sockets.bind(connection), timings)
    try:
        yield channels
    finally:
        channels.close()


async def ignore(_channel: Channel, _prefixes: list[bytes], _parts: tuple[bytes, ...]) -> None:
    """Take a message and do nothing."""


@asynccontextmanager
async def served(channels: Channels, handle: Handle = ignore) -> AsyncIterator[None]:
    task = asyncio.create_task(channels.serve(handle))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def serving(
    tmp_path: Path, transport: str = "tcp", timings: Timings = DEFAULT_TIMINGS
) -> AsyncIterator[Channels]:  # fmt: skip
    """Serve channels that nobody sends anything to."""
    async with bound(tmp_path, transport, timings) as channels, served(channels):
        yield channels


class Subscriber:
    """A front end's iopub socket: reads in a thread of its own, once it is told to."""

    def __init__(self, context: "zmq.Context[Any]", path: Path, *, receives: int = 0) -> None:
        self.socket = context.socket(zmq.SUB)
        self.socket.linger = 0
        self.socket.rcvhwm = receives
        self.socket.subscribe(b"")
        self.socket.connect(Connection.read(path).url("iopub"))
        self.received: list[list[bytes]] = []
        self._thread = threading.Thread(target=self._read)

    def start(self) -> None:
        self._thread.start()

    def _read(self) -> None:
        while not self.received or self.received[-1][-1] != b"end":
            self.received.append(self.socket.recv_multipart())

    async def wait_end(self) -> list[bytes]:
        """Return the contents of what came, once the last message is among it."""
        async with asyncio.timeout(60):
            await asyncio.to_thread(self._thread.join)
        self.socket.close()
        return [frames[-1] for frames in self.received if b'"iopub_welcome"' not in frames[3]]


def message(content: bytes) -> tuple[bytes, ...]:
    return b'{"msg_type": "stream"}', b"{}", b"{}", content


@contextmanager
def dealer(context: "zmq.Context[Any]", path: Path, name: str) -> Iterator["zmq.Socket[Any]"]:
    """Connect a socket that keeps next to nothing itself to one of a kernel's; so do those of Unix."""
    with context.socket(zmq.DEALER) as made:
        made.linger = 0
        made.set_hwm(10)
        made.connect(Connection.read(path).url(name))
        yield made


async def send_all(socket: "zmq.Socket[Any]", messages: Sequence[list[bytes]], *, patience_ms: int = 60_000) -> int:
    """Send messages; return how many ZeroMQ took before one had to wait for so long."""
    socket.sndtimeo = patience_ms

    def send() -> int:
        for number, frames in enumerate(messages):
            try:
                socket.send_multipart(frames)
            except zmq.Again:
                return number
        return len(messages)

    return await asyncio.to_thread(send)


@pytest.mark.anyio
async def test_requests_wait_where_they_come_from_and_none_is_lost(
    tmp_path: Path, context: "zmq.Context[Any]"
) -> None:  # fmt: skip
    session = Session(key=b"secret")
    contents = [{"code": "x" * 2_000, "number": number} for number in range(2_000)]
    requests = [session.serialize(session.msg("execute_request", content)) for content in contents]
    handled: list[dict[str, Any]] = []
    is_done = asyncio.Event()

    async def handle(_channel: Channel, _prefixes: list[bytes], parts: tuple[bytes, ...]) -> None:
        handled.append(json.loads(parts[3]))
        if len(handled) == len(requests):
            is_done.set()

    path = tmp_path / "c.json"
    async with bound(tmp_path, "ipc") as channels:
        with dealer(context, path, "shell") as stranger, dealer(context, path, "shell") as front_end:
            garbage = [[bytes(2_000)]] * len(requests)
            for sender, messages in ((stranger, garbage), (front_end, requests)):
                sent = await send_all(sender, messages, patience_ms=1_000)
                assert sent < len(messages), "the kernel keeps them all"
            async with asyncio.timeout(60), served(channels, handle):
                await send_all(front_end, requests[sent:])
                await is_done.wait()
        assert handled == contents


@pytest.mark.anyio
async def test_echoes_that_nobody_takes_are_dropped(tmp_path: Path, context: "zmq.Context[Any]") -> None:
    path = tmp_path / "c.json"
    async with bound(tmp_path, "ipc"):
        with dealer(context, path, "hb") as greedy:
            beats = [[bytes(4_000)]] * 2_000
            assert await send_all(greedy, beats) == len(beats)
            greedy.rcvtimeo = 100

            def take() -> bytes:
                while True:
                    try:
                        return bytes(greedy.recv())
                    except zmq.Again:
                        greedy.send(b"ping")

            echoes = 0
            while await asyncio.to_thread(take) != b"ping":
                echoes += 1
            assert 0 < echoes < len(beats)


@pytest.fixture
def context() -> Iterator["zmq.Context[Any]"]:
    context: zmq.Context[Any] = zmq.Context()
    yield context
    context.destroy(linger=0)


# No test waits for as long as a front end may.
IMPATIENT = Timings(patience_seconds=0.5)


@pytest.mark.anyio
@pytest.mark.parametrize("transport", ["tcp", "ipc"])
@pytest.mark.parametrize("size", [1_000, 1_000_000])
async def test_subscriber_that_does_not_read_does_not_keep_others_from_reading(
    tmp_path: Path, context: "zmq.Context[Any]", transport: str, size: int
) -> None:
    async with serving(tmp_path, transport, IMPATIENT) as channels:
        stuck, healthy = (Subscriber(context, tmp_path / "c.json", receives=receives) for receives in (10, 0))
        for subscriber in (stuck, healthy):
            assert await asyncio.to_thread(subscriber.socket.poll, 10_000)
        healthy.start()
        count = 100 if size == 1_000_000 else 10_000
        contents = [str(number).encode().ljust(size) for number in range(count)] + [b"end"]
        async with asyncio.timeout(60):
            for content in contents:
                await channels.room()
                channels.publish(message(content))
            assert await healthy.wait_end() == contents
            await channels.room()
        stuck.socket.close()


@pytest.mark.anyio
async def test_front_end_that_comes_while_another_does_not_read_is_heard(
    tmp_path: Path, context: "zmq.Context[Any]"
) -> None:
    """It has taken nothing yet, as its welcome is held back, and counts as waiting all the same."""
    async with serving(tmp_path, timings=IMPATIENT) as channels:
        stuck = Subscriber(context, tmp_path / "c.json", receives=10)
        await channels.wait_heard(10)
        while channels.has_room:
            channels.publish(message(bytes(10_000)))
        newcomer = Subscriber(context, tmp_path / "c.json")
        newcomer.start()
        async with asyncio.timeout(60):
            await channels.room()
            channels.publish(message(b"end"))
            assert (await newcomer.wait_end())[-1] == b"end"
        stuck.socket.close()


@pytest.mark.anyio
async def test_front_end_that_reads_late_misses_nothing_where_nobody_waits_beside_it(
    tmp_path: Path, context: "zmq.Context[Any]"
) -> None:
    async with serving(tmp_path, timings=IMPATIENT) as channels:
        late = Subscriber(context, tmp_path / "c.json", receives=10)
        contents = [str(number).encode().ljust(1_000) for number in range(10_000)] + [b"end"]

        async def publish() -> None:
            await channels.wait_heard(10)
            for content in contents:
                await channels.room()
                channels.publish(message(content))

        publishing = asyncio.create_task(publish())
        done, _ = await asyncio.wait({publishing}, timeout=3 * IMPATIENT.patience_seconds)
        assert not done, "it was held back"
        late.start()
        async with asyncio.timeout(60):
            await publishing
        assert await late.wait_end() == contents


@pytest.mark.anyio
async def test_first_that_a_subscriber_hears_is_its_welcome(tmp_path: Path, context: "zmq.Context[Any]") -> None:
    async with serving(tmp_path) as channels:

        async def talk() -> None:
            while True:
                await channels.room()
                channels.publish(message(b"{}"))
                await asyncio.sleep(0)

        talking = asyncio.create_task(talk())
        for _ in range(20):
            newcomer = Subscriber(context, tmp_path / "c.json")
            frames = await asyncio.to_thread(newcomer.socket.recv_multipart)
            newcomer.socket.close()
            assert b'"iopub_welcome"' in frames[3]
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)


@pytest.mark.anyio
async def test_stranger_s_frames_keep_no_subscriber_out(tmp_path: Path, context: "zmq.Context[Any]") -> None:
    """ZeroMQ takes a frame that is no subscription for the turn of whoever has subscribed behind it."""
    async with serving(tmp_path) as channels:
        with stranger(Connection.read(tmp_path / "c.json"), "iopub") as sender:
            newcomers = []
            for number in range(20):
                sender.send_multipart([b"x", b"x"])
                newcomers.append(Subscriber(context, tmp_path / "c.json"))
                sender.send(b"\x01topic%d" % number)
            for newcomer in newcomers:
                assert await asyncio.to_thread(newcomer.socket.poll, 10_000), "it was not welcomed"
            channels.publish(message(b"end"))
            for newcomer in newcomers:
                newcomer.start()
            for newcomer in newcomers:
                assert await newcomer.wait_end() == [b"end"]


class TestPatience:
    def connection(self, *, unsent: int = 0, taken: int = 0, is_counted: bool = True) -> subscribers.Connection:
        return subscribers.Connection(unsent=unsent, taken=taken, is_counted=is_counted)

    def test_who_takes_nothing_is_cut_off_after_a_while(self) -> None:
        patience = Patience(Timings())
        connections = {1: self.connection(unsent=5), 2: self.connection()}
        assert patience.find_stuck(connections, 100.0) == set()
        assert patience.find_stuck(connections, 99.9 + Timings().patience_seconds) == set()
        assert patience.find_stuck(connections, 100.0 + Timings().patience_seconds) == {1}

    def test_who_is_alone_is_waited_for(self) -> None:
        patience = Patience(Timings())
        for now in (0.0, 1000.0):
            assert patience.find_stuck({1: self.connection(unsent=5), 2: self.connection(unsent=7)}, now) == set()

    def test_who_is_slow_is_waited_for_and_a_trickle_is_not_enough(self) -> None:
        patience = Patience(Timings())
        for second in range(60):
            slow = self.connection(unsent=5, taken=second * MIN_TAKEN_BYTES)
            trickling = self.connection(unsent=5, taken=second)
            stuck = patience.find_stuck({1: slow, 2: trickling, 3: self.connection()}, float(second))
            assert stuck <= {2}
            if stuck:
                return
        raise AssertionError("it was waited for")

    def test_where_the_system_does_not_count_any_change_is_one(self) -> None:
        patience = Patience(Timings())
        for second in range(60):
            slow = self.connection(unsent=5, taken=-second, is_counted=False)
            assert patience.find_stuck({1: slow, 2: self.connection()}, float(second)) == set()

    def test_who_comes_back_has_less_time(self) -> None:
        patience = Patience(Timings())
        connections = {1: self.connection(unsent=5), 2: self.connection()}
        patience.find_stuck(connections, 0.0)
        assert patience.find_stuck(connections, Timings().patience_seconds) == {1}
        connections = {3: self.connection(unsent=5), 2: self.connection()}
        patience.find_stuck(connections, 10.0)
        assert patience.find_stuck(connections, 10.0 + Timings().patience_again_seconds) == {3}
