"""A pod's kernel and its interpreters, real ones, in this process."""

import asyncio
import contextlib
import itertools
import os
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest
import zmq

from remote_kernel.core.journal.journal import Journal, Limits
from remote_kernel.core.jupyter.interrupt_aim import Aim
from remote_kernel.core.jupyter.messages import Author, parse_header, parse_object
from remote_kernel.core.wire.codec import decode_all
from remote_kernel.core.wire.frames import EVENTS_PATH, Channel, EpochChange, Frame, Keepalive, Message
from remote_kernel.core.wire.launch import Launch
from remote_kernel.pod.api.api import Api
from remote_kernel.pod.api.calls import Call
from remote_kernel.pod.api.execute import run_cell
from remote_kernel.pod.api.pod import Pod
from remote_kernel.pod.clock import utc_now
from remote_kernel.pod.environment import kernel_environ
from remote_kernel.pod.files.data_folder import DataFolder
from remote_kernel.pod.interpreters.interpreter import Interpreter
from remote_kernel.pod.interpreters.launching import Launching
from remote_kernel.pod.interpreters.processes.guard import Guard
from remote_kernel.pod.interpreters.shutdowns import Shutdowns
from remote_kernel.pod.kernels.lives import EpochMismatch
from remote_kernel.pod.kernels.pod_kernel import PodKernel
from remote_kernel.pod.readers.flow_control import HOLD_BYTES, PATIENCE_SECONDS
from remote_kernel.pod.readers.wakeups import Wakeups
from tests.driver import TIMEOUT_SECONDS, wait_until
from tests.pod.one_kernel import OneKernel

pytestmark = pytest.mark.anyio

AUTHOR = Author("front end")  # of all messages, so that each has an id of its own


class Life:
    """A kernel, and the interpreters that it has begun to start."""

    def __init__(self, folder: Path, journal: Journal, shutdowns: Shutdowns) -> None:
        self._others = psutil.Process().children()
        self.begun = asyncio.Event()
        self.interpreters: list[Interpreter] = []
        self.starting: list[asyncio.Task[Interpreter]] = []
        self.shutdowns = shutdowns
        self.guard = Guard()
        self.kernel = PodKernel("main", "python3", journal=journal, start=self._start, shutdowns=self.shutdowns)
        self.folder = folder

    def _start(self, asked: Launching | None) -> "asyncio.Task[Interpreter]":
        environ = kernel_environ(os.environ, "pod")
        launching = asked or Launching(launch=Launch(), cwd=self.folder)
        interpreter = Interpreter(
            "python3", folder=self.folder, launching=launching, environ=environ, guard=self.guard
        )  # fmt: skip
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

    async def aclose(self) -> None:
        self.kernel.close()
        await self.shutdowns.aclose()
        self.guard.close()

    def processes(self) -> list[psutil.Process]:
        """Return the processes that it has started and that are there still."""
        return [process for process in psutil.Process().children() if process not in self._others]

    async def accept(self, message: Message) -> int:
        return await self.kernel.accept([message], sender="s", epoch=self.kernel.epoch)

    async def run(self, code: str) -> None:
        """Run the first cell to its end."""
        cell = execute(code)
        await self.accept(cell)
        await self.wait_reply(cell)

    async def wait_frame(self, is_wanted: Callable[[Frame], bool]) -> Frame:
        """Return the first frame in the journal that is wanted, waiting for it."""
        cursor = 0
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while True:
                wakeup = self.kernel.readers.wakeups.next
                batch = self.kernel.journal.read(cursor, 1 << 30)
                for frame in decode_all(b"".join(batch.entries)):
                    if is_wanted(frame):
                        return frame
                cursor = batch.cursor
                if not batch.entries:
                    await wakeup.wait()

    async def wait_said(self, count: int) -> None:
        """Wait until the journal has had so many entries."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while self.kernel.journal.last_sequence < count:
                await self.kernel.readers.wakeups.next.wait()

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
async def living(journal: Journal, shutdowns: Shutdowns | None = None) -> AsyncIterator[Life]:
    with tempfile.TemporaryDirectory(prefix="rk-") as folder:
        life = Life(Path(folder), journal, shutdowns or Shutdowns())
        try:
            yield life
        finally:
            await life.aclose()
            zmq.Context.instance().destroy(linger=0)


def execute(code: str, sequence: int = 1) -> Message:
    content = {"code": code, "silent": False, "store_history": True, "stop_on_error": True}
    parts = AUTHOR.write("execute_request", content, date=utc_now())
    return Message(channel=Channel.SHELL, parts=parts, sequence=sequence)


def control(msg_type: str, content: dict[str, object], sequence: int) -> Message:
    parts = AUTHOR.write(msg_type, content, date=utc_now())
    return Message(channel=Channel.CONTROL, parts=parts, sequence=sequence)


def restart(sequence: int = 1) -> Message:
    return control("shutdown_request", {"restart": True}, sequence)


def shut_down(sequence: int = 1) -> Message:
    return control("shutdown_request", {"restart": False}, sequence)


def interrupt(sequence: int = 1) -> Message:
    return control("interrupt_request", {}, sequence)


async def cancel(task: "asyncio.Task[int] | asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_cell_runs_once_whose_request_was_given_up_while_the_interpreter_started(life: Life) -> None:
    cell = execute("n = globals().get('n', 0) + 1; assert n == 1")
    first = asyncio.create_task(life.accept(cell))
    await life.begun.wait()
    await cancel(first)
    await life.accept(cell)
    assert parse_object((await life.wait_reply(cell)).parts[3])["status"] == "ok"


async def test_interpreter_that_nobody_hears_any_more_ends_and_that_is_told(life: Life) -> None:
    await life.run("1")
    interpreter = await life.kernel.lifecycle.interpreter()

    def fail() -> contextlib.AbstractContextManager[None]:
        raise RuntimeError("a defect")

    interpreter.channels.gathering = fail
    await life.accept(execute("2", 2))
    frame = await life.wait_frame(lambda frame: isinstance(frame, EpochChange))
    assert isinstance(frame, EpochChange)
    assert (frame.reason, frame.detail) == ("died", "signal 9 (SIGKILL)")


async def test_history_of_a_pod_is_in_the_pod_and_written_a_little_later(life: Life, private_folders: Path) -> None:
    await life.run("typed_by_nobody = 1")
    (history,) = find_histories(life.folder, private_folders)
    assert history.parent == life.folder
    await asyncio.to_thread(wait_until, lambda: count_lines(history) == 1)


async def test_history_is_searched_whole_by_this_interpreter_and_the_next(life: Life) -> None:
    await life.run("typed_by_nobody = 1")
    search = "((*_, code),) = get_ipython().history_manager.search('typed_by*'); assert code == 'typed_by_nobody = 1'"
    for sequence in (2, 4):
        cell = execute(search, sequence)
        await life.accept(cell)
        assert parse_object((await life.wait_reply(cell)).parts[3])["status"] == "ok"
        await life.accept(restart(sequence + 1))


def count_lines(history: Path) -> int:
    with contextlib.closing(sqlite3.connect(history)) as database:
        (count,) = database.execute("SELECT count(*) FROM history").fetchone()
    return int(count)


def find_histories(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in folder.rglob("history.sqlite")]


async def test_restart_whose_request_was_given_up_is_whole(life: Life) -> None:
    cell, restarting, after = execute("ran = True"), restart(2), execute("assert 'ran' not in globals()", 3)
    await life.accept(cell)
    epoch = life.kernel.epoch
    first = asyncio.create_task(life.accept(restarting))
    while life.kernel.lifecycle.current is not None:  # noqa: ASYNC110 - of this no event tells
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
    await life.shutdowns.wait("main")
    assert life.interpreters[0].exited.done()


async def test_interpreter_that_a_restart_has_started_ends_when_its_kernel_is_left(life: Life) -> None:
    await life.accept(restart())
    await life.starting[0]
    is_left = asyncio.Event()
    life.kernel.end_when_left(0.0, is_left.set)
    async with asyncio.timeout(TIMEOUT_SECONDS):
        await is_left.wait()
        await life.shutdowns.wait("main")
    assert life.interpreters[0].exited.done()


@pytest.mark.parametrize(
    ("channel", "content"), [(Channel.SHELL, {"silent": False}), (Channel.CONTROL, {"code": "1", "silent": False})]
)
async def test_request_without_a_reply_on_shell_keeps_no_kernel_busy(
    life: Life, channel: Channel, content: dict[str, object]
) -> None:
    parts = AUTHOR.write("execute_request", content, date=utc_now())
    msg_id = parse_header(parts[0]).msg_id
    await life.accept(Message(channel=channel, parts=parts, sequence=1))

    def is_end(frame: Frame) -> bool:
        return isinstance(frame, Message) and b'"idle"' in frame.parts[3] and msg_id.encode() in frame.parts[1]

    await life.wait_frame(is_end)
    assert not life.kernel.is_busy


LAST_WORDS = """
import atexit, pathlib, time
unflushed = open('unflushed', 'w')
unflushed.write('text')
atexit.register(lambda: (time.sleep(0.2), pathlib.Path('handled').touch()))
"""


async def test_exit_handlers_have_run_before_the_next_cell_after_a_restart(life: Life) -> None:
    await life.run(LAST_WORDS)
    await life.accept(restart(2))
    after = execute("import pathlib; assert pathlib.Path('handled').exists(); assert open('unflushed').read()", 3)
    await life.accept(after)
    assert parse_object((await life.wait_reply(after)).parts[3])["status"] == "ok"


async def test_restart_is_answered_while_the_interpreter_ends_and_another_starts(life: Life) -> None:
    await life.run("import atexit, time; atexit.register(time.sleep, 600)")
    await life.accept(restart(2))
    assert not life.interpreters[0].exited.done()
    assert len(life.interpreters) == 2
    for process in life.processes():
        process.kill()


async def test_interpreter_that_does_not_end_when_it_is_asked_to_is_killed() -> None:
    async with living(Journal(), Shutdowns(grace_seconds=0.5)) as life:
        await life.run("import atexit, time; atexit.register(time.sleep, 600)")
        await life.accept(restart(2))
        after = execute("1", 3)
        await life.accept(after)
        assert parse_object((await life.wait_reply(after)).parts[3])["status"] == "ok"
        assert "SIGKILL" in life.interpreters[0].exited.result()


@pytest.mark.parametrize("is_interrupted", [False, True])
async def test_cell_that_runs_at_a_shutdown_is_interrupted_once(life: Life, is_interrupted: bool) -> None:
    tidying = "try:\n    print('begun', flush=True); time.sleep(600)\nfinally:\n    time.sleep(0.2); open('tidy', 'w')"
    await life.accept(execute(f"{LAST_WORDS}{tidying}"))
    await life.wait_frame(lambda frame: isinstance(frame, Message) and b'"begun\\n"' in frame.parts[3])
    if is_interrupted:  # as jupyter_client does before every shutdown
        await life.accept(interrupt(2))
    await life.accept(restart(3 if is_interrupted else 2))
    await life.shutdowns.wait("main")
    assert life.interpreters[0].exited.result() == "exit status 0"
    assert [(life.folder / name).exists() for name in ("tidy", "handled")] == [True, True]


TIDIES_UP = """
import time
try:
    print('begun', flush=True)
    time.sleep(600)
finally:
    time.sleep(0.5); open('tidy', 'w').close()
"""


def aimed(*cells: Message, sequence: int, is_exclusive: bool = True, seen: int = 0) -> Message:
    aim = Aim(cells=frozenset(parse_header(cell.parts[0]).msg_id for cell in cells), is_exclusive=is_exclusive)
    message = interrupt(sequence)
    return message._replace(parts=(*message.parts[:3], aim.to_content()), seen=seen)


async def status_of(life: Life, cell: Message) -> str:
    return str(parse_object((await life.wait_reply(cell)).parts[3])["status"])


async def begin(life: Life, code: str, sequence: int = 1) -> Message:
    """Send a cell and wait until it has printed that it has begun."""
    cell = execute(code, sequence)
    await life.accept(cell)
    msg_id = parse_header(cell.parts[0]).msg_id.encode()
    await life.wait_frame(
        lambda frame: isinstance(frame, Message) and b'"begun\\n"' in frame.parts[3] and msg_id in frame.parts[1]
    )
    return cell


async def test_cell_that_was_given_up_is_interrupted_once_and_the_next_one_runs(life: Life) -> None:
    cell = await begin(life, TIDIES_UP)
    await life.accept(aimed(cell, sequence=2))
    await life.accept(aimed(cell, sequence=3))  # asked again, as the answer was lost
    after = execute("open('tidy')", 4)  # made before the error of the one before it could be seen
    await life.accept(after)
    assert (await status_of(life, cell), await status_of(life, after)) == ("error", "ok")


@pytest.mark.parametrize("is_exclusive", [True, False])
async def test_interrupt_that_comes_late_does_not_hit_what_was_run_since(life: Life, is_exclusive: bool) -> None:
    cell = await begin(life, "print('begun', flush=True)")
    await life.wait_reply(cell)
    seen = life.kernel.journal.last_sequence
    others = await begin(life, "print('begun', flush=True)\nimport time; time.sleep(0.5)", 2)
    await life.accept(aimed(cell, sequence=3, is_exclusive=is_exclusive, seen=seen))
    assert await status_of(life, others) == "ok"


async def test_interrupt_right_behind_its_cell_that_waits_for_a_start_is_not_lost(life: Life) -> None:
    cell = execute("import time; time.sleep(600)")
    await asyncio.gather(life.accept(cell), life.accept(aimed(cell, sequence=2, is_exclusive=False)))
    assert await status_of(life, cell) == "error"


async def test_interrupt_hits_what_its_front_end_has_seen_running(life: Life) -> None:
    others = await begin(life, "print('begun', flush=True)\nimport time; time.sleep(600)")
    waiting = execute("1", 2)
    await life.accept(waiting)
    await life.accept(aimed(waiting, sequence=3, is_exclusive=False, seen=life.kernel.journal.last_sequence))
    assert await status_of(life, others) == "error"


async def test_cell_that_was_given_up_while_it_waits_for_anothers_is_interrupted_when_it_begins(life: Life) -> None:
    others = await begin(life, "print('begun', flush=True)\nimport time; time.sleep(0.5)")
    cell = execute("import time; time.sleep(600)", 2)
    await life.accept(cell)
    await life.accept(aimed(cell, sequence=3))
    assert (await status_of(life, others), await status_of(life, cell)) == ("ok", "error")


async def test_cell_that_was_given_up_does_not_run_when_it_arrives_late(life: Life) -> None:
    cell = execute("open('ran', 'w')", 2)
    await life.accept(aimed(cell, sequence=1))
    await life.accept(cell)
    assert await status_of(life, cell) == "aborted"
    assert not (life.folder / "ran").exists()


@pytest.mark.parametrize("steps", [0, 4])
@pytest.mark.parametrize("is_restart", [True, False])
async def test_readers_that_come_back_during_a_shutdown_leave_no_interpreter(
    life: Life, steps: int, is_restart: bool
) -> None:
    await life.kernel.lifecycle.interpreter()

    async def come_back() -> None:
        while True:
            with contextlib.suppress(EpochMismatch):
                await life.kernel.lifecycle.interpreter()
            await asyncio.sleep(0)

    coming = asyncio.create_task(come_back())
    for _ in range(steps):
        await asyncio.sleep(0)
    await life.accept(restart() if is_restart else shut_down())
    for _ in range(20):
        await asyncio.sleep(0)
    await cancel(coming)
    assert len(life.interpreters) == 1 + is_restart
    await life.aclose()
    assert life.processes() == []


@pytest.mark.parametrize("steps", range(1, 8))
async def test_interpreter_whose_start_is_given_up_leaves_no_process(life: Life, steps: int) -> None:
    starting = asyncio.create_task(life.kernel.lifecycle.interpreter())
    for _ in range(steps):
        await asyncio.sleep(0)
    await life.aclose()
    await asyncio.gather(starting, return_exceptions=True)
    assert life.processes() == []


async def follow(life: Life, code: str, folder: Path) -> AsyncIterator[bytes]:
    """Open an event stream, run a cell, and yield what comes up to its reply."""
    api = Api(Pod(OneKernel(life.kernel, folder), DataFolder(folder), name="pod", cooldown_seconds=300))
    answer = await api.handlers["GET", EVENTS_PATH](Call({}, read_body=lambda: asyncio.sleep(0, b"")))
    assert not isinstance(answer.body, bytes)
    cell = execute(code)
    await anext(answer.body)
    await life.accept(cell)
    async for data in answer.body:
        yield bytes(data)
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


class RecordedWakeups(Wakeups):
    """Wake-ups of the readers of `journal`, never made by time alone; `told` is what had been said at each."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(gather_seconds=10 * TIMEOUT_SECONDS)
        self._journal, self._cursor = journal, 0
        self.told: list[list[str]] = []

    def wake(self) -> None:
        batch = self._journal.read(self._cursor, 1 << 30)
        self._cursor = batch.cursor
        self.told.append([type_of(frame) for frame in decode_all(b"".join(batch.entries))])
        super().wake()


async def test_what_belongs_together_wakes_readers_once(life: Life) -> None:
    await life.kernel.lifecycle.interpreter()
    life.kernel.readers.wakeups = wakeups = RecordedWakeups(life.kernel.journal)
    await life.accept(execute("print('said', flush=True)"))
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while "execute_reply" not in itertools.chain(*wakeups.told):
            await wakeups.next.wait()
    assert [name for group in wakeups.told for name in group].count("busy") == 1
    assert all(group[-1] != "busy" for group in wakeups.told)
    # Idle is told with its reply, or with what was read together with it.
    assert ["idle"] not in wakeups.told
    assert {"execute_reply", "idle"} <= {name for group in wakeups.told[-2:] for name in group}


def type_of(frame: Frame) -> str:
    """Return the type of a message, or what a status says."""
    assert isinstance(frame, Message)
    msg_type = parse_header(frame.parts[0]).msg_type
    return str(parse_object(frame.parts[3])["execution_state"]) if msg_type == "status" else msg_type


async def test_who_wakes_readers_without_news_takes_no_sign_of_life_from_them(life: Life, tmp_path: Path) -> None:
    await life.kernel.lifecycle.interpreter()

    async def wake() -> None:
        while True:
            life.kernel.readers.wakeups.tell_soon()
            await asyncio.sleep(0.02)

    registry = OneKernel(life.kernel, tmp_path)
    pod = Pod(registry, DataFolder(tmp_path), name="pod", cooldown_seconds=300, keepalive_seconds=0.2)
    answer = await Api(pod).handlers["GET", EVENTS_PATH](Call({}, read_body=lambda: asyncio.sleep(0, b"")))
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
