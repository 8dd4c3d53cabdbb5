"""Agent's end of a kernel's channels: what comes at once is received together; who is not heard fast enough is held."""

import asyncio
import json
import time
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from remote_kernel.core.jupyter.messages import Signer, parse_type
from remote_kernel.core.wire.frames import Channel
from remote_kernel.io.zmq_socket import ZmqSocket
from remote_kernel.pod.interpreters.channels import BEHIND_SECONDS, Channels, Reading
from tests.driver import TIMEOUT_SECONDS
from tests.pod.scripted_interpreter import ScriptedInterpreter

pytestmark = [pytest.mark.anyio, pytest.mark.unix]

BUSY: tuple[Channel, str, dict[str, object]] = (Channel.IOPUB, "status", {"execution_state": "busy"})
REPLY: tuple[Channel, str, dict[str, object]] = (Channel.SHELL, "execute_reply", {"status": "ok"})


@contextmanager
def connected(channels: Channels, folder: Path) -> Iterator[ScriptedInterpreter]:
    """Connect channels to an interpreter that says what the test wants."""
    ports = {f"{channel.name.lower()}_port": number for number, channel in enumerate(Channel, 1)}
    connection = {"transport": "ipc", "ip": str(folder / "k"), **ports}
    (folder / "c.json").write_text(json.dumps(connection))
    with ScriptedInterpreter.serve(folder) as interpreter:
        channels.connect(cast(Any, SimpleNamespace(**connection)))
        try:
            yield interpreter
        finally:
            channels.close()


async def test_everything_is_received_in_a_context_for_all_that_comes_at_once(tmp_path: Path) -> None:
    is_gathering, said, done = False, list[tuple[bool, Channel, str]](), asyncio.Event()

    @contextmanager
    def gathering() -> Iterator[None]:
        nonlocal is_gathering
        is_gathering = True
        yield
        is_gathering = False
        if len(said) == 2:
            done.set()

    def receive(channel: Channel, parts: tuple[bytes, ...]) -> None:
        said.append((is_gathering, channel, parse_type(parts[0])))

    channels = Channels(Signer(b""), hold=lambda _name, _is_held: None, on_deaf=done.set)
    channels.receive, channels.gathering = receive, gathering
    with connected(channels, tmp_path) as interpreter:
        channels.send(Channel.SHELL, (b"{}",) * 4)
        interpreter.take()
        interpreter.wait_heard()
        interpreter.say(b"{}", REPLY)
        interpreter.say(b"{}", BUSY)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await done.wait()
    assert sorted(said) == [(True, Channel.SHELL, "execute_reply"), (True, Channel.IOPUB, "status")]


async def test_a_fault_of_ours_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def gathering() -> AbstractContextManager[None]:
        raise RuntimeError("a defect")

    is_deaf = asyncio.Event()
    channels = Channels(Signer(b""), hold=lambda _name, _is_held: None, on_deaf=is_deaf.set)
    channels.gathering = gathering
    with connected(channels, tmp_path):
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await is_deaf.wait()
    assert "failed inside" in caplog.text


class Scripted:
    """A socket with some messages."""

    def __init__(self, *messages: list[bytes]) -> None:
        self._messages = deque(messages)
        self.is_to_be_read_again = False

    def take(self) -> list[bytes] | None:
        return self._messages.popleft() if self._messages else None

    def read_again(self) -> None:
        self.is_to_be_read_again = True


def test_who_talks_faster_than_it_is_heard_is_held_until_all_is_read() -> None:
    socket, read, held = Scripted([b"1"], [b"2"]), list[bytes | memoryview](), list[tuple[str, bool]]()

    def hand_on(frames: list[bytes | memoryview]) -> None:
        read.extend(frames)
        time.sleep(BEHIND_SECONDS * 1.2)  # as a disk that is slow

    reading = Reading("iopub", cast(ZmqSocket, socket), hand_on, lambda name, is_held: held.append((name, is_held)))
    reading.read()
    assert (read, held, socket.is_to_be_read_again) == ([b"1"], [("iopub", True)], True)
    reading.read()
    assert (read, held) == ([b"1", b"2"], [("iopub", True)])
    reading.read()
    assert held == [("iopub", True), ("iopub", False)]
    reading.read()
    assert held == [("iopub", True), ("iopub", False)]
