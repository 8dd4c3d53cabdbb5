"""A pod's kernel and its interpreters, real ones, in this process."""

import asyncio
import contextlib
import itertools
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest
import zmq

from remote_kernel.core import wire
from remote_kernel.core.journal import Journal, Limits
from remote_kernel.core.jupyter import Author, parse_header, parse_object
from remote_kernel.core.wire import EVENTS_PATH, Channel, EpochChange, Frame, Keepalive, Message, decode_all
from remote_kernel.pod import news
from remote_kernel.pod.api import Api, Pod
from remote_kernel.pod.calls import Call
from remote_kernel.pod.clock import utc_now
from remote_kernel.pod.data_folder import DataFolder
from remote_kernel.pod.environment import kernel_environ
from remote_kernel.pod.execute import run_cell
from remote_kernel.pod.interpreter import Interpreter
from remote_kernel.pod.kernels import PodKernel
from remote_kernel.pod.pace import HOLD_BYTES, PATIENCE_SECONDS
from remote_kernel.pod.registry import Registry
from tests.driver import TIMEOUT_SECONDS

pytestmark = pytest.mark.anyio


class Life:
    """A kernel, and the interpreters that it has begun to start."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        self.begun = asyncio.Event()
        self.interpreters: list[Interpreter] = []
        self.starting: list[asyncio.Task[Interpreter]] = []
        self.kernel = PodKernel("main", "python3", journal=journal, start=self._start)
        self._folder = folder

    def _start(self) -> "asyncio.Task[Interpreter]":
        environ = kernel_environ(os.environ, "pod")
        interpreter = Interpreter("python3", folder=self._folder, cwd=self._folder, environ=environ)
        self.interpreters.append(interpreter)

        async def start() -> Interpreter:
            self.begun.set()
            try:
                await interpreter.start()
            except asyncio.CancelledError:
                await interpreter.kill()
                raise
            return interpreter

        self.starting.append(asyncio.create_task(start()))
        return self.starting[-1]

    async def accept(self, message: Message) -> int:
        return await self.kernel.accept([message], sender="s", epoch=self.kernel.epoch)

    async def wait_frame(self, is_wanted: Callable[[Frame], bool]) -> Frame:
        """Return the first frame in the journal that is wanted, waiting for it."""
        cursor = 0
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while True:
                news = self.kernel.news
                batch = self.kernel.journal.read(cursor, 1 << 30)
                for frame in decode_all(b"".join(batch.entries)):
                    if is_wanted(frame):
                        return frame
                cursor = batch.cursor
                if not batch.entries:
                    await news.wait()

    async def wait_said(self, count: int) -> None:
        """Wait until the journal has had so many entries."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while self.kernel.journal.last_sequence < count:
                await self.kernel.news.wait()

    async def wait_reply(self, request: Message) -> Message:
        msg_id = parse_header(request.parts[0]).msg_id

        def answers(frame: Frame) -> bool:
            return (
                isinstance(frame, Message)
                and frame.channel is request.channel
                and parse_header(frame.parts[1]).msg_id == msg_id
            )

        reply = await self.wait_frame(answers)
        assert isinstance(reply, Message)
        return reply


@pytest.fixture
async def life() -> AsyncIterator[Life]:
    async with living(Journal()) as life:
        yield life


@contextlib.asynccontextmanager
async def living(journal: Journal) -> AsyncIterator[Life]:
    with tempfile.TemporaryDirectory(prefix="rk-") as folder:
        life = Life(Path(folder), journal)
        try:
            yield life
        finally:
            await life.kernel.aclose()
            zmq.Context.instance().destroy(linger=0)


def execute(code: str, sequence: int = 1) -> Message:
    content = {"code": code, "silent": False, "store_history": True, "stop_on_error": True}
    parts = Author("front end").write("execute_request", content, date=utc_now())
    return Message(channel=Channel.SHELL, parts=parts, sequence=sequence)


def restart(sequence: int = 1) -> Message:
    parts = Author("front end").write("shutdown_request", {"restart": True}, date=utc_now())
    return Message(channel=Channel.CONTROL, parts=parts, sequence=sequence)


async def cancel(task: "asyncio.Task[int]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_cell_runs_once_whose_request_was_given_up_while_the_interpreter_started(life: Life) -> None:
    cell = execute("n = globals().get('n', 0) + 1; assert n == 1")
    first = asyncio.create_task(life.accept(cell))
    await life.begun.wait()
    await cancel(first)
    await life.accept(cell)
    assert parse_object((await life.wait_reply(cell)).parts[3])["status"] == "ok"


async def test_restart_whose_request_was_given_up_is_whole(life: Life) -> None:
    cell, restarting, after = execute("ran = True"), restart(2), execute("assert 'ran' not in globals()", 3)
    await life.accept(cell)
    epoch = life.kernel.epoch
    first = asyncio.create_task(life.accept(restarting))
    while life.kernel.pid is not None:  # noqa: ASYNC110 - of this no event tells
        await asyncio.sleep(0)
    await cancel(first)  # the interpreter is being stopped
    assert await life.kernel.accept([restarting], sender="s", epoch=epoch) == 0
    await life.wait_frame(lambda frame: isinstance(frame, EpochChange))
    assert life.kernel.epoch != epoch
    await life.accept(after)
    assert parse_object((await life.wait_reply(after)).parts[3])["status"] == "ok"


async def test_interpreter_that_nobody_has_asked_for_ends_with_the_next_restart(life: Life) -> None:
    await life.accept(restart())
    await life.starting[0]
    await life.accept(restart(2))
    assert life.interpreters[0].exited.done()


@pytest.mark.parametrize("steps", range(1, 8))
async def test_interpreter_whose_start_is_given_up_leaves_no_process(life: Life, steps: int) -> None:
    starting = asyncio.create_task(life.kernel.interpreter())
    for _ in range(steps):
        await asyncio.sleep(0)
    await life.kernel.aclose()
    await asyncio.gather(starting, return_exceptions=True)
    assert psutil.Process().children() == []


class OneKernel(Registry):
    """A pod's kernels, of which there is one."""

    def __init__(self, kernel: PodKernel, folder: Path) -> None:
        super().__init__(folder=folder, data=folder, environ={})
        self._kernel = kernel

    def get_or_create(self, name: str, kernelspec: str) -> PodKernel:
        return self._kernel


async def follow(life: Life, code: str, folder: Path) -> AsyncIterator[bytes]:
    """Open an event stream, run a cell, and yield what comes up to its reply."""
    api = Api(Pod(OneKernel(life.kernel, folder), DataFolder(folder), name="pod", cooldown_seconds=300))
    answer = await api.handlers["GET", EVENTS_PATH](Call({}, read_body=lambda: asyncio.sleep(0, b"")))
    assert not isinstance(answer.body, bytes)
    cell = execute(code)
    await anext(answer.body)
    await life.accept(cell)
    async for data in answer.body:
        yield data
        if any(isinstance(frame, Message) and frame.channel is Channel.SHELL for frame in decode_all(data)):
            return


async def execute_in_pod(life: Life, code: str, folder: Path) -> AsyncIterator[bytes]:
    async for message in run_cell(life.kernel, code):
        yield message.parts[3]


@pytest.mark.parametrize("read", [follow, execute_in_pod])
async def test_cell_is_not_held_for_what_was_dropped(
    read: Callable[[Life, str, Path], AsyncIterator[bytes]], tmp_path: Path
) -> None:
    """A reader stands still twice: much is dropped, then it is not far behind."""
    count = HOLD_BYTES // 1_000_000 - 1
    code = f"""
import pathlib, time
def wait(name):
    while not pathlib.Path({str(tmp_path)!r}, name).exists(): time.sleep(0.01)
for _ in range({count}): print('x' * 1_000_000, flush=True)
print('pau' 'se', flush=True)
wait('go')
for _ in range(8): print('x' * 1_000_000, flush=True)
wait('end')
"""
    async with living(Journal(Limits(memory_bytes=4_000_000))) as life:
        pieces = read(life, code, tmp_path)
        await anext(pieces)
        await life.wait_said(count)
        while b"pause" not in await anext(pieces):
            pass
        began = time.monotonic()
        (tmp_path / "go").touch()
        await life.wait_said(life.kernel.journal.last_sequence + 8)
        (tmp_path / "end").touch()
        async for _ in pieces:
            pass
        assert time.monotonic() - began < PATIENCE_SECONDS


async def test_cell_that_failed_with_much_text_ends_although_its_output_is_gone() -> None:
    cell, flood = execute("raise ValueError('x' * 5_000_000)"), "for _ in range(8): print('x' * 1_000_000, flush=True)"
    async with living(Journal(Limits(memory_bytes=4_000_000))) as life:
        await life.accept(cell)
        await life.wait_reply(cell)
        async for _ in run_cell(life.kernel, flood):
            pass
        content = parse_object((await life.wait_reply(cell)).parts[3])
    assert (content["status"], content["ename"]) == ("error", "ValueError")
    assert len(content["evalue"]) < 2000


async def test_what_belongs_together_wakes_readers_once(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    await life.kernel.interpreter()
    monkeypatch.setattr(news, "GATHER_SECONDS", 10 * TIMEOUT_SECONDS)  # nothing is told because time has passed
    told: list[list[str]] = []
    cell = execute("print('said', flush=True)")
    await life.accept(cell)
    async with asyncio.timeout(TIMEOUT_SECONDS):
        cursor = 0
        while "execute_reply" not in itertools.chain(*told):
            await life.kernel.news.wait()
            batch = life.kernel.journal.read(cursor, 1 << 30)
            cursor = batch.cursor
            told.append([type_of(frame) for frame in decode_all(b"".join(batch.entries))])
    assert [name for group in told for name in group].count("busy") == 1
    assert all(group[-1] != "busy" for group in told)
    assert {"execute_reply", "idle"} <= set(told[-1])


def type_of(frame: Frame) -> str:
    """Return the type of a message, or what a status says."""
    assert isinstance(frame, Message)
    msg_type = parse_header(frame.parts[0]).msg_type
    return str(parse_object(frame.parts[3])["execution_state"]) if msg_type == "status" else msg_type


async def test_who_wakes_readers_without_news_takes_no_sign_of_life_from_them(
    life: Life, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "KEEPALIVE_SECONDS", 0.2)
    await life.kernel.interpreter()

    async def wake() -> None:
        while True:
            life.kernel.wake_readers_soon()
            await asyncio.sleep(0.02)

    api = Api(Pod(OneKernel(life.kernel, tmp_path), DataFolder(tmp_path), name="pod", cooldown_seconds=300))
    answer = await api.handlers["GET", EVENTS_PATH](Call({}, read_body=lambda: asyncio.sleep(0, b"")))
    assert not isinstance(answer.body, bytes)
    waking = asyncio.create_task(wake())
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            frames = [decode_all(await anext(answer.body))[0] for _ in range(4)]
    finally:
        waking.cancel()
    assert frames[1:] == [Keepalive()] * 3


async def test_status_with_an_odd_parent_header_silences_nothing_behind_it(life: Life) -> None:
    odd = """
import json
kernel = get_ipython().kernel
header = json.dumps(kernel.session.msg_header("status"), default=str).encode()
content = b'{"execution_state": "idle"}'
kernel.iopub_socket.send_multipart([b"status", b"<IDS|MSG>", b"", header, b"null", b"{}", content])
"""
    await life.accept(execute(odd))
    cell = execute("print('behind it')", sequence=2)
    await life.accept(cell)
    await life.wait_frame(lambda frame: isinstance(frame, Message) and b"behind it" in frame.parts[3])
    assert parse_object((await life.wait_reply(cell)).parts[3])["status"] == "ok"
