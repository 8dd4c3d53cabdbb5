"""A pod's kernel, where no interpreter is needed."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from remote_kernel.core.journal.journal import Journal, Limits
from remote_kernel.core.jupyter.interrupt_aim import Aim
from remote_kernel.core.jupyter.messages import Author, parse_header
from remote_kernel.core.wire.codec import decode_all
from remote_kernel.core.wire.frames import EVENTS_PATH, WORKSPACE_PARAM, Channel, Hello, Message
from remote_kernel.pod.api.api import Api
from remote_kernel.pod.api.calls import Call
from remote_kernel.pod.api.pod import Pod
from remote_kernel.pod.clock import utc_now
from remote_kernel.pod.files.data_folder import DataFolder
from remote_kernel.pod.interpreters.interpreter import Interpreter, StartFailed
from remote_kernel.pod.interpreters.launching import Launching
from remote_kernel.pod.interpreters.shutdowns import Shutdowns
from remote_kernel.pod.kernels.held_replies import LOOK_SECONDS, QUIET_LOOKS
from remote_kernel.pod.kernels.lives import EpochMismatch, Event
from remote_kernel.pod.kernels.pod_kernel import PodKernel
from remote_kernel.pod.kernels.senders import MAX_SENDERS, SenderForgotten
from remote_kernel.pod.kernels.workspace import Workspace
from remote_kernel.pod.readers.journal_files import SpillFile
from tests.driver import TIMEOUT_SECONDS
from tests.pod.idle_interpreter import Idle, make_idle_kernel
from tests.pod.one_kernel import OneKernel
from tests.pod.passing_time import PassingTime

pytestmark = pytest.mark.anyio

AUTHOR = Author("front end")


def make_kernel() -> PodKernel:
    def start(_asked: Launching | None) -> "asyncio.Task[Interpreter]":
        raise AssertionError("nothing here needs an interpreter")

    return PodKernel("main", "python3", journal=Journal(), start=start, shutdowns=Shutdowns())


def execute(sequence: int) -> Message:
    parts = AUTHOR.write("execute_request", {"code": ""}, date=utc_now())
    return Message(channel=Channel.SHELL, parts=parts, sequence=sequence)


def interrupt(sequence: int, seen: int = 0) -> Message:
    parts = AUTHOR.write("interrupt_request", {}, date=utc_now())
    return Message(channel=Channel.CONTROL, parts=parts, sequence=sequence, seen=seen)


async def test_repeated_message_is_not_accepted_again_however_many_others_came_between() -> None:
    kernel = make_kernel()

    async def send(message: Message, sender: str) -> int:
        return await kernel.accept([message], sender=sender, epoch=kernel.epoch)

    seen = kernel.journal.last_sequence
    message = interrupt(1, seen)
    assert await send(message, "notebook") == 1
    for number in range(MAX_SENDERS):
        assert await send(interrupt(1, kernel.journal.last_sequence), f"other {number}") == 1
    with pytest.raises(SenderForgotten):
        await send(message, "notebook")
    assert await send(interrupt(2, kernel.journal.last_sequence), "notebook") == 1  # it was idle meanwhile
    assert await send(interrupt(1, kernel.journal.last_sequence), "new") == 1


async def test_agents_own_messages_make_nobodys_be_forgotten() -> None:
    kernel = make_kernel()
    assert await kernel.accept([interrupt(1)], sender="notebook", epoch=kernel.epoch) == 1
    for _ in range(MAX_SENDERS + 1):
        await kernel.request(Channel.CONTROL, interrupt(0).parts)
    assert await kernel.accept([interrupt(1)], sender="notebook", epoch=kernel.epoch) == 0
    assert await kernel.accept([interrupt(2)], sender="notebook", epoch=kernel.epoch) == 1


async def test_cell_whose_interpreter_dies_while_it_waits_is_refused_and_keeps_no_kernel_busy() -> None:
    """It waits for the end of a cell that was given up, and that end is the interpreter's."""
    kernel, interpreters = make_idle_kernel()
    epoch = kernel.epoch
    given_up, after = execute(1), execute(3)
    await kernel.accept([given_up], sender="notebook", epoch=epoch)
    parent = given_up.parts[0]
    busy = Author("idle").write("status", {"execution_state": "busy"}, parent=parent, date=utc_now())
    interpreters[0].say(Channel.IOPUB, busy)
    aim = Aim(cells=frozenset({parse_header(parent).msg_id}), is_exclusive=True)
    revoking = interrupt(2)
    revoking = revoking._replace(parts=(*revoking.parts[:3], aim.to_content()))
    await kernel.accept([revoking], sender="notebook", epoch=epoch)
    waiting = asyncio.create_task(kernel.accept([after], sender="notebook", epoch=epoch))
    await asyncio.sleep(0)
    interpreters[0].exited.set_result("signal 9 (SIGKILL)")
    with pytest.raises(EpochMismatch):
        await waiting
    assert not kernel.is_busy
    assert len(interpreters) == 1


async def test_agent_that_listens_is_no_peer() -> None:
    kernel = make_kernel()
    with contextlib.ExitStack() as stack:
        stack.enter_context(kernel.readers.reading("notebook"))
        stack.enter_context(kernel.readers.listening())
        assert kernel.readers.claims.peers_of("notebook") == 0
        stack.enter_context(kernel.readers.reading("other"))
        assert kernel.readers.claims.peers_of("notebook") == 1


async def test_failure_of_the_startup_file_is_told_also_where_the_reply_is_heard_first() -> None:
    """They come on two channels, and on a busy machine in any order."""
    interpreters: list[Idle] = []

    def start(_asked: Launching | None) -> "asyncio.Task[Interpreter]":
        interpreters.append(Idle(lambda: kernel.epoch))
        interpreters[-1].startup_failure = "NameError, line 1"
        interpreters[-1].may_start.set_result(None)
        return asyncio.create_task(interpreters[-1].started())

    kernel = PodKernel("main", "idle", journal=Journal(), start=start, shutdowns=Shutdowns())
    cell = execute(1)
    await kernel.accept([cell], sender="notebook", epoch=kernel.epoch)
    author, parent = Author("idle"), cell.parts[0]
    interpreters[0].say(Channel.SHELL, author.write("execute_reply", {"status": "ok"}, parent=parent, date=utc_now()))
    for state in ("busy", "idle"):
        status = author.write("status", {"execution_state": state}, parent=parent, date=utc_now())
        interpreters[0].say(Channel.IOPUB, status)
    said = [each for each in decode_all(b"".join(kernel.journal.read(0, 1 << 20).entries)) if isinstance(each, Message)]
    types = [parse_header(message.parts[0]).msg_type for message in said]
    assert types == ["status", "stream", "execute_reply", "status"]
    assert b"NameError, line 1" in said[1].parts[3]


async def test_idle_behind_a_reply_is_not_of_another_cell_with_the_same_id() -> None:
    kernel, interpreters = make_idle_kernel()
    cell = execute(1)
    await kernel.accept([cell, cell._replace(sequence=2)], sender="shell", epoch=kernel.epoch)
    busy = AUTHOR.write("status", {"execution_state": "busy"}, parent=cell.parts[0], date=utc_now())
    interpreters[0].say(Channel.IOPUB, busy)
    reply = AUTHOR.write("execute_reply", {"status": "ok"}, parent=cell.parts[0], date=utc_now())
    interpreters[0].say(Channel.SHELL, reply)
    idle = AUTHOR.write("status", {"execution_state": "idle"}, parent=cell.parts[0], date=utc_now())
    interpreters[0].say(Channel.IOPUB, idle)
    assert kernel.is_busy
    kernel.close()


def restart(sequence: int) -> Message:
    parts = AUTHOR.write("shutdown_request", {"restart": True}, date=utc_now())
    return Message(channel=Channel.CONTROL, parts=parts, sequence=sequence)


async def run_until_reply() -> tuple[PodKernel, Idle]:
    """Return a kernel whose interpreter has replied to a cell, and not said that it is idle."""
    kernel, interpreters = make_idle_kernel()
    cell = execute(1)
    await kernel.accept([cell], sender="notebook", epoch=kernel.epoch)
    reply = AUTHOR.write("execute_reply", {"status": "error"}, parent=cell.parts[0], date=utc_now())
    interpreters[0].say(Channel.SHELL, reply)
    return kernel, interpreters[0]


def types_in(kernel: PodKernel) -> list[str]:
    frames = decode_all(b"".join(kernel.journal.read(0, 1 << 20).entries))
    return [
        parse_header(each.parts[0]).msg_type if isinstance(each, Message) else type(each).__name__ for each in frames
    ]


async def test_reply_waits_for_what_its_cell_has_published_and_is_told_without_it_in_a_moment() -> None:
    with PassingTime.stop() as time:
        kernel, _ = await run_until_reply()
        assert (types_in(kernel), kernel.is_busy, kernel.has_more_to_say(0)) == ([], False, True)
        for _ in range(QUIET_LOOKS + 1):
            await time.wait(LOOK_SECONDS)
    assert (types_in(kernel), kernel.has_more_to_say(1)) == (["execute_reply"], False)


async def test_reply_waits_while_output_comes() -> None:
    with PassingTime.stop() as time:
        kernel, interpreter = await run_until_reply()
        for _ in range(2 * QUIET_LOOKS):
            await time.wait(LOOK_SECONDS)
            interpreter.say(Channel.IOPUB, AUTHOR.write("stream", {"name": "stdout", "text": "x"}, date=utc_now()))
        assert set(types_in(kernel)) == {"stream"}
        kernel.close()


async def test_what_a_cell_has_changed_is_told_with_its_end(tmp_path: Path) -> None:
    """A front end that hears of the end first may run the next cell before the files of this one are fetched."""
    kernel, interpreter = await run_until_reply()
    await kernel.workspace.follow("notebook", "work", tmp_path)
    parent = b'{"msg_id": "%b"}' % interpreter.got[0][0].encode()
    idle = AUTHOR.write("status", {"execution_state": "idle"}, parent=parent, date=utc_now())
    wakeup = kernel.readers.wakeups.next
    with kernel.readers.wakeups:  # as of what comes at once
        interpreter.say(Channel.IOPUB, idle)
    assert not wakeup.is_told
    async with asyncio.timeout(TIMEOUT_SECONDS):
        await wakeup.wait()
    assert types_in(kernel) == ["execute_reply", "status", "Files"]
    kernel.close()


async def test_cell_that_is_sent_before_an_error_is_shown_is_refused() -> None:
    kernel, interpreter = await run_until_reply()
    await kernel.accept([execute(2)], sender="notebook", epoch=kernel.epoch)
    assert types_in(kernel) == ["status", "execute_reply", "status"], "the second cell is aborted"
    kernel.close()
    assert len(interpreter.got) == 1


async def test_cell_of_the_agent_s_own_is_not_refused() -> None:
    """As `/api/v2/execute` sends one: nobody has sent it behind another."""
    kernel, interpreter = await run_until_reply()
    await kernel.request(Channel.SHELL, execute(0).parts)
    assert (types_in(kernel), len(interpreter.got)) == ([], 2)
    kernel.close()


async def test_reply_to_the_last_cell_of_an_interpreter_is_told_ahead_of_its_end() -> None:
    kernel, _ = await run_until_reply()
    await kernel.accept([restart(2)], sender="notebook", epoch=kernel.epoch)
    assert types_in(kernel) == ["shutdown_reply", "execute_reply", "EpochChange"]
    kernel.close()


async def test_who_waits_for_a_start_gets_the_interpreter_of_a_restart_meanwhile() -> None:
    kernel, interpreters = make_idle_kernel(starts_at_once=False)
    waiting = [asyncio.create_task(kernel.lifecycle.interpreter()) for _ in range(2)]
    await asyncio.sleep(0)
    for _ in range(2):
        kernel.lifecycle.move(Event.RESTART)
        await asyncio.sleep(0)
    interpreters[-1].may_start.set_result(None)
    async with asyncio.timeout(TIMEOUT_SECONDS):
        assert await asyncio.gather(*waiting) == [interpreters[2]] * 2
    kernel.close()


async def test_who_waits_for_a_start_is_told_that_the_one_behind_a_restart_has_failed_or_that_there_is_none() -> None:
    kernel, interpreters = make_idle_kernel(starts_at_once=False)
    waiting = [asyncio.create_task(kernel.lifecycle.interpreter()) for _ in range(2)]
    await asyncio.sleep(0)
    kernel.lifecycle.move(Event.RESTART)
    interpreters[1].may_start.set_exception(StartFailed("it does not start"))
    async with asyncio.timeout(TIMEOUT_SECONDS):
        assert [type(each) for each in await asyncio.gather(*waiting, return_exceptions=True)] == [StartFailed] * 2
        last = asyncio.create_task(kernel.lifecycle.interpreter())
        await asyncio.sleep(0)
        kernel.close()
        with pytest.raises(EpochMismatch):
            await last


class SlowWorkspace(Workspace):
    """One whose folder takes long to look through."""

    def __init__(self) -> None:
        super().__init__(lambda _found: None)
        self.has_begun, self.may_end = asyncio.Event(), asyncio.Event()

    async def follow(self, reader: str, folder: str, root: Path) -> None:
        self.has_begun.set()
        await self.may_end.wait()


async def test_reader_that_comes_during_a_restart_is_greeted_in_the_epoch_behind_it_and_has_lost_nothing(
    tmp_path: Path,
) -> None:
    kernel, interpreters = make_idle_kernel()
    kernel.workspace = workspace = SlowWorkspace()
    api = Api(Pod(OneKernel(kernel, tmp_path), DataFolder(tmp_path), name="pod", cooldown_seconds=300))
    call = Call({WORKSPACE_PARAM: "work"}, read_body=lambda: asyncio.sleep(0, b""))
    coming = asyncio.ensure_future(api.handlers["GET", EVENTS_PATH](call))
    async with asyncio.timeout(TIMEOUT_SECONDS):
        await workspace.has_begun.wait()
        await kernel.lifecycle.interpreter()
        await kernel.accept([restart(1)], sender="another", epoch=kernel.epoch)
        workspace.may_end.set()
        answer = await coming
        assert not isinstance(answer.body, bytes)
        (hello,) = decode_all(bytes(await anext(answer.body)))
    assert isinstance(hello, Hello)
    assert (hello.epoch, hello.cursor) == (kernel.epoch, kernel.journal.last_sequence)
    assert kernel.lifecycle.current is interpreters[1]
    kernel.close()


async def test_readers_have_what_was_said_before_room_is_made_for_more(tmp_path: Path) -> None:
    """A message does not wait until the disk has others, as long as there is room for it."""
    happened: list[str] = []

    class NotedFile(SpillFile):
        def append(self, data: bytes) -> None:
            happened.append("disk")
            super().append(data)

    async def start() -> Interpreter:
        return Idle(lambda: kernel.epoch)

    async def read() -> None:
        cursor = 0
        while True:
            wakeup = kernel.readers.wakeups.next
            batch = kernel.journal.read(cursor, 1_000_000)
            cursor = batch.cursor
            if batch.entries:
                happened.append("reader")
            await wakeup.wait()

    journal = Journal(Limits(memory_bytes=100_000, spill_bytes=1000), lambda: NotedFile(tmp_path))
    kernel = PodKernel(
        "main", "python3", journal=journal, start=lambda _asked: asyncio.create_task(start()), shutdowns=Shutdowns()
    )
    interpreter = await kernel.lifecycle.interpreter()
    assert isinstance(interpreter, Idle)
    reading = asyncio.create_task(read())
    for text in ("a" * 40_000, "b" * 40_000, "c"):
        await asyncio.sleep(0)
        parts = AUTHOR.write("stream", {"name": "stdout", "text": text}, date=utc_now())
        interpreter.say(Channel.IOPUB, parts)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert happened == ["reader", "reader", "disk", "reader"]
    reading.cancel()
    kernel.journal.close()
