"""A kernel's workspace: a frame behind each cell, with what is different in the folder."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from remote_kernel.core.journal.journal import Journal, Limits
from remote_kernel.core.jupyter.messages import Author, parse_header
from remote_kernel.core.wire.codec import decode_all, encode
from remote_kernel.core.wire.frames import (
    EVENTS_PATH,
    MAX_FILES,
    MAX_FILES_BYTES,
    ChangedFile,
    Channel,
    EpochChange,
    Files,
    Frame,
    Gap,
    Message,
)
from remote_kernel.pod.api.api import Api
from remote_kernel.pod.api.calls import Call
from remote_kernel.pod.api.pod import Pod
from remote_kernel.pod.clock import utc_now
from remote_kernel.pod.files.data_folder import DataFolder, InvalidPath
from remote_kernel.pod.files.looks import Look
from remote_kernel.pod.interpreters.interpreter import Interpreter
from remote_kernel.pod.interpreters.launching import Launching
from remote_kernel.pod.interpreters.shutdowns import Shutdowns
from remote_kernel.pod.kernels.pod_kernel import PodKernel
from remote_kernel.pod.kernels.registry import Registry
from remote_kernel.pod.kernels.workspace import MAX_ID_CHARS, Found
from tests.driver import TIMEOUT_SECONDS
from tests.pod.idle_interpreter import Idle

pytestmark = pytest.mark.anyio

AUTHOR = Author("front end")


class Life:
    """A kernel whose interpreter runs nothing, and the folder that its reader asks for."""

    def __init__(self, folder: Path, journal: Journal | None = None) -> None:
        self.folder = folder
        self.interpreters: list[Idle] = []
        self.shutdowns = Shutdowns()
        self.kernel = PodKernel(
            "main", "idle", journal=journal or Journal(), start=self._start, shutdowns=self.shutdowns
        )
        self.sent = 0

    def _start(self, _launching: Launching | None) -> "asyncio.Task[Interpreter]":
        interpreter = Idle(lambda: self.kernel.epoch)
        interpreter.may_start.set_result(None)
        self.interpreters.append(interpreter)
        return asyncio.create_task(interpreter.started())

    async def close(self) -> None:
        self.kernel.close()
        for interpreter in self.interpreters:
            await interpreter.kill()  # it ends for no other reason
        await self.shutdowns.aclose()

    async def follow(self, folder: str = ".", *, reader: str = "notebook") -> None:
        await self.kernel.workspace.follow(reader, folder, (self.folder / folder).resolve())

    async def send(self, **content: object) -> Message:
        self.sent += 1
        parts = AUTHOR.write("execute_request", {"code": "", "silent": False, **content}, date=utc_now())
        seen = self.kernel.journal.last_sequence
        message = Message(channel=Channel.SHELL, parts=parts, sequence=self.sent, seen=seen)
        await self.kernel.accept([message], sender="s", epoch=self.kernel.epoch)
        return message

    def say(self, channel: Channel, msg_type: str, request: Message, **content: object) -> None:
        parts = Author("idle").write(msg_type, content, parent=request.parts[0], date=utc_now())
        self.interpreters[-1].say(channel, parts)

    def end(self, request: Message, *, reply_first: bool = True) -> None:
        """Say what ends a cell."""
        says: list[Callable[[], None]] = [
            lambda: self.say(Channel.SHELL, "execute_reply", request, status="ok"),
            lambda: self.say(Channel.IOPUB, "status", request, execution_state="idle"),
        ]
        for say in says if reply_first else says[::-1]:
            say()

    async def run(self, **content: object) -> Message:
        request = await self.send(**content)
        self.say(Channel.IOPUB, "status", request, execution_state="busy")
        self.end(request)
        return request

    def frames(self) -> list[Frame]:
        """Return all that a reader gets which begins at the beginning."""
        frames: list[Frame] = []
        cursor = 0
        while (batch := self.kernel.journal.read(cursor, 1 << 30)).entries:
            frames += [batch.gap] if batch.gap else []
            frames += decode_all(b"".join(batch.entries))
            cursor = batch.cursor
        return frames

    def files(self) -> list[Files]:
        return [frame for frame in self.frames() if isinstance(frame, Files)]

    async def wait_files(self, count: int) -> list[Files]:
        """Return all frames of files, once there are so many."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while len(self.files()) < count:
                wakeup = self.kernel.readers.wakeups.next
                await wakeup.wait()
        return self.files()


@pytest.fixture
async def life(tmp_path: Path) -> AsyncIterator[Life]:
    life = Life(tmp_path)
    yield life
    await life.close()


def id_of(request: Message) -> str:
    return parse_header(request.parts[0]).msg_id


def named(files: Files) -> tuple[list[str], list[str]]:
    assert files.is_whole
    return [file.path for file in files.changed], files.removed


async def test_each_cell_has_a_frame_with_what_is_different_behind_its_idle(life: Life) -> None:
    (life.folder / "before").touch()
    await life.follow()
    (life.folder / "new").write_text("one")
    first = await life.run()
    await life.wait_files(1)
    (life.folder / "before").unlink()
    (life.folder / "new").write_text("two")
    second = await life.run()
    await life.wait_files(2)
    third = await life.run()
    frames = await life.wait_files(3)
    assert [files.cell for files in frames] == [id_of(first), id_of(second), id_of(third)]
    assert [named(files) for files in frames] == [(["new"], []), (["new"], ["before"]), ([], [])]
    assert {files.folder for files in frames} == {"."}
    said = life.frames()
    for files, request in zip(frames, (first, second, third), strict=True):
        at = said.index(files)
        assert files.sequence == at + 1
        idle = said[at - 1]
        assert isinstance(idle, Message)
        assert b'"idle"' in idle.parts[3]
        assert idle.parts[1] == request.parts[0]


async def test_the_order_of_reply_and_idle_does_not_matter(life: Life) -> None:
    await life.follow()
    for reply_first in (True, False):
        life.end(await life.send(), reply_first=reply_first)
    assert len(await life.wait_files(2)) == 2


async def test_a_silent_cell_and_other_requests_have_none(life: Life) -> None:
    await life.follow()
    await life.run(silent=True)
    parts = AUTHOR.write("complete_request", {}, date=utc_now())
    life.say(Channel.IOPUB, "status", Message(channel=Channel.SHELL, parts=parts), execution_state="idle")
    request = await life.run()
    (files,) = await life.wait_files(1)
    assert files.cell == id_of(request)


async def test_a_cell_that_began_before_anybody_asked_has_one(life: Life) -> None:
    request = await life.send()
    (life.folder / "early").touch()
    await life.follow()
    (life.folder / "late").touch()
    life.end(request)
    (files,) = await life.wait_files(1)
    assert named(files) == (["late"], [])


async def test_nobody_has_asked(life: Life) -> None:
    await life.run()
    assert not life.kernel.workspace.is_looking
    assert life.files() == []


async def test_cells_that_end_during_a_look_are_covered_by_one_more(life: Life) -> None:
    """Their messages wait for nothing; what they have changed is in the frame of the first of them."""
    await life.follow()
    (life.folder / "folder").mkdir()  # which takes a look at all
    first = await life.run()
    (life.folder / "a").touch()
    others = [await life.run() for _ in range(3)]  # the look has not come to an end: its thread was not asked
    (life.folder / "b").touch()
    assert life.files() == []
    frames = await life.wait_files(4)
    assert [files.cell for files in frames] == [id_of(request) for request in (first, *others)]
    assert sorted(path for files in frames for path in named(files)[0]) == ["a", "b"]
    assert named(frames[2]) == named(frames[3]) == ([], [])
    assert not life.kernel.workspace.is_looking


async def test_a_cell_that_the_agent_itself_aborts_has_one(life: Life) -> None:
    await life.follow()
    failing, behind = await life.send(), await life.send()
    life.say(Channel.SHELL, "execute_reply", failing, status="error")
    life.say(Channel.IOPUB, "status", failing, execution_state="idle")
    late = AUTHOR.write("execute_request", {"code": "", "silent": False}, date=utc_now())
    message = Message(channel=Channel.SHELL, parts=late, sequence=3, seen=0)
    await life.kernel.accept([message], sender="s", epoch=life.kernel.epoch)
    frames = await life.wait_files(2)
    assert [files.cell for files in frames] == [id_of(failing), id_of(message)]
    assert id_of(behind) not in {files.cell for files in frames}


async def test_what_an_interpreter_has_left_is_told_behind_the_next_one_s_cell(life: Life) -> None:
    await life.follow()
    await life.send()
    (life.folder / "left").touch()
    parts = AUTHOR.write("shutdown_request", {"restart": True}, date=utc_now())
    await life.kernel.request(Channel.CONTROL, parts)
    life.interpreters[0].exited.set_result("exit status 0")
    request = await life.run()
    (files,) = await life.wait_files(1)
    assert (files.cell, named(files)) == (id_of(request), (["left"], []))
    changes = [frame.sequence for frame in life.frames() if isinstance(frame, EpochChange)]
    assert changes
    assert changes[0] < files.sequence


async def test_a_look_that_a_restart_overtakes_is_told_all_the_same(life: Life) -> None:
    await life.follow()
    (life.folder / "a").touch()
    request = await life.run()
    parts = AUTHOR.write("shutdown_request", {"restart": True}, date=utc_now())
    await life.kernel.request(Channel.CONTROL, parts)
    (files,) = await life.wait_files(1)
    assert (files.cell, named(files)) == (id_of(request), (["a"], []))
    life.interpreters[0].exited.set_result("exit status 0")


async def test_who_asks_again_loses_nothing_and_another_folder_begins_anew(life: Life) -> None:
    (life.folder / "sub").mkdir()
    await life.follow()
    (life.folder / "sub/a").touch()
    await life.follow()
    await life.run()
    assert named((await life.wait_files(1))[-1]) == (["sub/a"], [])
    (life.folder / "sub/b").touch()
    await life.follow("sub")
    (life.folder / "sub/c").touch()
    await life.run()
    last = (await life.wait_files(2))[-1]
    assert (last.folder, named(last)) == ("sub", (["c"], []))


async def test_nobody_looks_for_a_reader_that_does_not_want_to_know_any_more(life: Life) -> None:
    await life.follow(reader="a")
    await life.follow(reader="b")
    life.kernel.workspace.leave("a")
    life.kernel.workspace.leave("somebody else")
    await life.run()
    await life.wait_files(1)
    life.kernel.workspace.leave("b")
    await life.run()
    assert not life.kernel.workspace.is_looking
    (life.folder / "a").touch()
    await life.follow(reader="a")
    await life.run()
    assert named((await life.wait_files(2))[-1]) == ([], []), "it was there when it was asked for again"


async def test_two_kernels_tell_of_the_same_folder_each_on_its_own(life: Life) -> None:
    other = Life(life.folder)
    await asyncio.gather(life.follow(), other.follow())
    (life.folder / "a").touch()
    await life.run()
    assert named((await life.wait_files(1))[-1]) == (["a"], [])
    (life.folder / "b").touch()
    await other.run()
    assert named((await other.wait_files(1))[-1]) == (["a", "b"], [])
    await life.run()
    assert named((await life.wait_files(2))[-1]) == (["b"], [])
    await other.close()


async def test_a_journal_that_drops_it_says_so(tmp_path: Path) -> None:
    life = Life(tmp_path, Journal(Limits(memory_bytes=2000)))
    await life.follow()
    (tmp_path / "a").touch()
    await life.run()
    (files,) = await life.wait_files(1)
    for _ in range(20):
        await life.run(silent=True)
    assert life.files() == []
    gaps = [frame for frame in life.frames() if isinstance(frame, Gap)]
    assert any(gap.first <= files.sequence <= gap.last for gap in gaps)
    await life.close()


async def test_a_kernel_that_is_closed_looks_no_more(life: Life) -> None:
    await life.follow()
    await life.run()
    entries = life.kernel.journal.last_sequence
    assert life.kernel.workspace.is_looking
    life.kernel.close()
    life.interpreters[0].exited.set_result("exit status 0")
    await asyncio.sleep(0)
    assert life.kernel.journal.last_sequence == entries


async def test_a_look_that_fails_inside_leaves_no_cell_without_a_frame(
    life: Life, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await life.follow()

    def broken(*_: object) -> Look:
        raise KeyError

    with monkeypatch.context() as patching:
        patching.setattr("remote_kernel.pod.files.watched_folder.WatchedFolder.look_at_touched", broken)
        await life.run()
        await life.run()
        frames = await life.wait_files(2)
    assert (frames[0].is_whole, frames[0].changed) == (False, [])
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    (life.folder / "a").touch()
    await life.run()
    assert named((await life.wait_files(3))[-1]) == (["a"], [])


# Much


@pytest.mark.parametrize(
    ("look", "is_whole"),
    [
        (Look(is_compared=False), False),
        (Look(is_compared=True, removed=[f"{number:04d}" for number in range(MAX_FILES)]), True),
        (Look(is_compared=True, removed=[f"{number:04d}" for number in range(MAX_FILES + 1)]), False),
        (Look(is_compared=True, removed=["n" * 1000] * 190), True),
        (Look(is_compared=True, removed=["n" * 1000] * 210), False),
        (Look(is_compared=True, removed=["é" * 100] * 400), False),
    ],
)
def test_a_frame_names_no_more_than_fits(look: Look, is_whole: bool) -> None:
    frame = Found("é" * 2000, "c" * MAX_ID_CHARS, look).to_frame(2**62)
    assert frame.is_whole is is_whole
    assert frame.removed == (look.removed if is_whole else [])
    assert len(encode(frame)) <= MAX_FILES_BYTES
    assert decode_all(encode(frame)) == [frame]


def test_a_thousand_files_of_usual_names_fit() -> None:
    version = "-".join([f"{2**32:x}", f"{2**30:x}", f"{1_700_000_000 * 10**9:x}", f"{1_700_000_000 * 10**9:x}"])
    changed = [
        ChangedFile(path=f"results/run-{number}.csv", size=10**6, modified=1.7e9 + 0.123456, version=version)
        for number in range(MAX_FILES)
    ]
    assert Found(".", "cell", Look(is_compared=True, changed=changed)).to_frame(1).is_whole


async def test_an_id_that_is_longer_than_any_is_passed_over(life: Life) -> None:
    await life.follow()
    life.kernel.workspace.note_sent("x" * (MAX_ID_CHARS + 1), b"{}")
    assert not life.kernel.workspace.note_idle("x" * (MAX_ID_CHARS + 1))


# The request


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    (tmp_path / "data").mkdir()
    registry = Registry(folder=tmp_path, data=tmp_path / "data", environ={})
    return Pod(registry=registry, folder=DataFolder(tmp_path / "data"), name="pod", cooldown_seconds=300.0)


async def no_body() -> bytes:
    return b""


@pytest.mark.parametrize("workspace", ["..", "/etc", "a/../../b", "out", "\0", "x" * 5000])
async def test_a_workspace_outside_the_data_folder_is_refused_before_anything_starts(pod: Pod, workspace: str) -> None:
    (pod.folder.root / "out").symlink_to("/etc")
    events = Api(pod).handlers["GET", EVENTS_PATH]
    with pytest.raises(InvalidPath):
        await events(Call({"workspace": workspace}, no_body))
    assert pod.registry.kernels == []
