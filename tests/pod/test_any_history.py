"""A pod's kernel in any order of messages, starts, deaths, restarts and readers, with interpreters that run nothing."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.core.journal.journal import Batch, Journal
from remote_kernel.core.jupyter.interrupt_aim import Aim
from remote_kernel.core.jupyter.messages import Author, parse_header
from remote_kernel.core.wire.codec import decode_all
from remote_kernel.core.wire.frames import Channel, EpochChange, Message
from remote_kernel.pod.clock import utc_now
from remote_kernel.pod.interpreters.interpreter import Interpreter, StartFailed
from remote_kernel.pod.interpreters.launching import Launching
from remote_kernel.pod.interpreters.shutdowns import Shutdowns
from remote_kernel.pod.kernels.held_replies import LOOK_SECONDS, QUIET_LOOKS
from remote_kernel.pod.kernels.pod_kernel import PodKernel
from tests.pod.idle_interpreter import Idle

# More than any of what is done here takes, as long as nothing is waited for but what a rule does.
TURNS = 30


@dataclass
class Sender:
    """A local kernel that sends one message after another, and repeats each until it is answered."""

    name: str
    number: int = 0
    message: Message | None = None
    epoch: str = ""
    task: "asyncio.Task[int] | None" = None


@dataclass
class Reader:
    """A stream of events."""

    cursor: int
    took: Callable[[Batch], None]
    stack: contextlib.ExitStack
    read: list[int] = field(default_factory=list)


class KernelMachine(RuleBasedStateMachine):
    """One kernel, its senders, its readers, and the interpreters that it has begun to start."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now = 0.0
        self.loop.time = lambda: self.now  # type: ignore[method-assign]  # until the end, which is in real time
        self.author = Author("front end")
        self.begun: list[Idle] = []
        self.senders = [Sender("a"), Sender("b")]
        self.readers: dict[str, Reader] = {}
        self.meant: dict[str, str] = {}  # the epoch that each message is for
        self.said: list[str] = []
        self.held: dict[str, str] = {}  # replies whose cells are not idle, by cell
        self.epoch = ""
        self.epochs: list[str] = []
        self.asking: list[asyncio.Task[Interpreter]] = []
        self.run(self.set_up())

    async def set_up(self) -> None:
        self.shutdowns = Shutdowns()
        self.kernel = PodKernel("main", "idle", journal=Journal(), start=self.begin, shutdowns=self.shutdowns)

    def begin(self, _asked: Launching | None = None) -> "asyncio.Task[Interpreter]":
        interpreter = Idle(lambda: self.kernel.epoch)
        self.begun.append(interpreter)
        if len(self.begun) % 2:  # every other one takes no time
            interpreter.may_start.set_result(None)
        return asyncio.create_task(interpreter.started())

    def run(self, work: Awaitable[None] | None = None) -> None:
        """Let everything come to rest that waits for nothing but its turn."""

        async def rest() -> None:
            if work is not None:
                await work
            for _ in range(TURNS):
                await asyncio.sleep(0)

        self.loop.run_until_complete(rest())
        if self.kernel.epoch != self.epoch:
            self.epoch = self.kernel.epoch
            self.tell_held()
        for sender in self.senders:
            if sender.task is not None and sender.task.done():
                self.note_answer(sender, sender.task)

    @property
    def current(self) -> Idle | None:
        current = self.kernel.lifecycle.current
        assert current is None or isinstance(current, Idle)
        return current

    # Clients

    def send(self, sender: Sender, channel: Channel, msg_type: str, content: bytes, *, knows_epoch: bool) -> None:
        parts = self.author.write(msg_type, {}, date=utc_now())
        sender.epoch = self.kernel.epoch if knows_epoch else sender.epoch
        self.meant[parse_header(parts[0]).msg_id] = sender.epoch
        sender.message = Message(
            channel=channel, parts=(*parts[:3], content), sequence=sender.number + 1,
            seen=self.kernel.journal.last_sequence,
        )  # fmt: skip
        self.post(sender)

    def post(self, sender: Sender) -> None:
        assert sender.message is not None
        accepting = self.kernel.accept([sender.message], sender=sender.name, epoch=sender.epoch)
        sender.task = self.loop.create_task(accepting)
        self.run()

    def note_answer(self, sender: Sender, task: "asyncio.Task[int]") -> None:
        assert sender.message is not None
        sender.task = None
        if task.cancelled():
            return  # and is asked again
        error = task.exception()
        if error is None:
            sender.number += 1
            sender.message = None
            return
        assert isinstance(error, RemoteKernelError)
        if not isinstance(error, StartFailed):
            sender.message = None  # it was not run, and its user is told

    def free_senders(self) -> list[Sender]:
        return [sender for sender in self.senders if sender.message is None]

    @precondition(lambda self: self.free_senders())
    @rule(data=strategies.data(), knows_epoch=strategies.booleans())
    def execute(self, data: strategies.DataObject, knows_epoch: bool) -> None:
        sender = data.draw(strategies.sampled_from(self.free_senders()))
        content = b'{"code": "", "silent": false}'
        self.send(sender, Channel.SHELL, "execute_request", content, knows_epoch=knows_epoch)

    @precondition(lambda self: self.free_senders() and self.begun)
    @rule(data=strategies.data())
    def restart(self, data: strategies.DataObject) -> None:
        sender = data.draw(strategies.sampled_from(self.free_senders()))
        self.send(sender, Channel.CONTROL, "shutdown_request", b'{"restart": true}', knows_epoch=True)

    @precondition(lambda self: self.free_senders() and self.current is not None and self.current.cells)
    @rule(data=strategies.data(), is_exclusive=strategies.booleans())
    def interrupt(self, data: strategies.DataObject, is_exclusive: bool) -> None:
        assert self.current is not None
        sender = data.draw(strategies.sampled_from(self.free_senders()))
        cell = data.draw(strategies.sampled_from(list(self.current.cells)))
        aim = Aim(cells=frozenset({cell}), is_exclusive=is_exclusive)
        self.send(sender, Channel.CONTROL, "interrupt_request", aim.to_content(), knows_epoch=True)

    @precondition(lambda self: any(sender.message is not None for sender in self.senders))
    @rule(data=strategies.data())
    def lose_the_connection_and_repeat(self, data: strategies.DataObject) -> None:
        waiting = [sender for sender in self.senders if sender.message is not None]
        sender = data.draw(strategies.sampled_from(waiting))
        if sender.task is not None:
            sender.task.cancel()
            self.run()
        if sender.message is not None:
            self.post(sender)

    @precondition(lambda self: any(sender.number and sender.message is None for sender in self.senders))
    @rule(data=strategies.data())
    def lose_an_answer_and_repeat(self, data: strategies.DataObject) -> None:
        """Repeat the last message that was accepted, as who has not heard that it was does."""
        known = [sender for sender in self.senders if sender.number and sender.message is None]
        sender = data.draw(strategies.sampled_from(known))
        parts = self.author.write("execute_request", {}, date=utc_now())
        message = Message(channel=Channel.SHELL, parts=parts, sequence=sender.number)
        self.meant[parse_header(parts[0]).msg_id] = "none"
        accepting = self.loop.create_task(self.kernel.accept([message], sender=sender.name, epoch=self.kernel.epoch))
        self.run()
        assert not accepting.done() or accepting.result() == 0

    @precondition(lambda self: self.current is None and not self.starting())
    @rule()
    def ask(self) -> None:
        """Come as a reader does, who wants an interpreter."""
        self.asking.append(self.loop.create_task(self.kernel.lifecycle.interpreter()))
        self.run()

    # Interpreters

    def starting(self) -> list[Idle]:
        return [each for each in self.begun if not each.may_start.done()]

    @precondition(lambda self: self.starting())
    @rule(data=strategies.data(), works=strategies.sampled_from([True, True, False]))
    def end_start(self, data: strategies.DataObject, works: bool) -> None:
        interpreter = data.draw(strategies.sampled_from(self.starting()))
        if works:
            interpreter.may_start.set_result(None)
        else:
            interpreter.may_start.set_exception(StartFailed("it does not start"))
        self.run()

    def alive(self) -> list[Idle]:
        return [each for each in self.begun if each.may_start.done() and not each.exited.done()]

    @precondition(lambda self: self.alive())
    @rule(data=strategies.data())
    def die(self, data: strategies.DataObject) -> None:
        """End, by itself or as it was asked to."""
        data.draw(strategies.sampled_from(self.alive())).exited.set_result("signal 9")
        self.run()

    @precondition(lambda self: any(each.epoch for each in self.begun))
    @rule(data=strategies.data())
    def print_something(self, data: strategies.DataObject) -> None:
        interpreter = data.draw(strategies.sampled_from([each for each in self.begun if each.epoch]))
        self.say(interpreter, Channel.IOPUB, self.author.write("stream", {}, date=utc_now()))

    def say(self, interpreter: Idle, channel: Channel, parts: tuple[bytes, ...]) -> None:
        if interpreter is self.current:
            self.said.append(parse_header(parts[0]).msg_id)
        self.now += 0.0001  # or timers would end in any order

        async def say() -> None:
            interpreter.say(channel, parts)

        self.run(say())

    def tell_held(self) -> None:
        """Note that replies are told that nothing follows any more."""
        self.said += self.held.values()
        self.held.clear()

    @precondition(lambda self: self.held)
    @rule(data=strategies.data())
    def be_idle_behind_the_reply(self, data: strategies.DataObject) -> None:
        cell = data.draw(strategies.sampled_from(list(self.held)))
        assert self.current is not None
        self.said.append(self.held.pop(cell))
        self.say_status(self.current, cell, "idle")

    @rule()
    def say_nothing_for_long(self) -> None:
        for _ in range(3 * QUIET_LOOKS):  # what the agent says of a cell that has waited for another counts as heard
            self.now += LOOK_SECONDS
            self.run()
        self.tell_held()

    def say_status(self, interpreter: Idle, cell: str, state: str) -> None:
        parent = b'{"msg_id": "%b"}' % cell.encode()
        status = self.author.write("status", {"execution_state": state}, parent=parent, date=utc_now())
        self.say(interpreter, Channel.IOPUB, status)

    @precondition(lambda self: self.current is not None and self.current.cells)
    @rule(data=strategies.data(), what=strategies.sampled_from(["busy", "idle", "ok", "error"]))
    def work(self, data: strategies.DataObject, what: str) -> None:
        """Say something of a cell's course."""
        current = self.current
        assert current is not None
        cell = data.draw(strategies.sampled_from(list(current.cells)))
        if what in ("busy", "idle"):
            current.cells[cell] |= what == "idle"
            self.say_status(current, cell, what)
            return
        parent = b'{"msg_id": "%b"}' % cell.encode()
        reply = self.author.write("execute_reply", {"status": what}, parent=parent, date=utc_now())
        self.say(current, Channel.SHELL, reply)
        if not current.cells.pop(cell):
            self.held[cell] = self.said.pop()

    # Readers

    @precondition(lambda self: len(self.readers) < 3)
    @rule(name=strategies.sampled_from(["a", "b", "c"]), back=strategies.integers(0, 5))
    def follow(self, name: str, back: int) -> None:
        """Follow, in the place of an earlier stream of that name, from where that has come to or from a little before
        the end."""
        cursor = max(0, self.kernel.journal.last_sequence - back)
        if name in self.readers:
            cursor = self.stop(name)
        stack = contextlib.ExitStack()

        async def begin() -> None:  # in the event loop, in which whoever waits goes on
            took = stack.enter_context(self.kernel.readers.reading(name))
            self.readers[name] = Reader(cursor, took, stack)

        self.run(begin())

    def stop(self, name: str) -> int:
        reader = self.readers.pop(name)

        async def close() -> None:
            reader.stack.close()

        self.run(close())
        return reader.cursor

    @precondition(lambda self: self.readers)
    @rule(data=strategies.data(), max_bytes=strategies.integers(1, 3000))
    def read(self, data: strategies.DataObject, max_bytes: int) -> None:
        reader = self.readers[data.draw(strategies.sampled_from(sorted(self.readers)))]
        batch = self.kernel.journal.read(reader.cursor, max_bytes)
        for frame in decode_all(b"".join(batch.entries)):
            assert isinstance(frame, Message | EpochChange)
            reader.cursor += 1
            assert frame.sequence == reader.cursor, "nothing lost, nothing twice, in order"
        assert batch.cursor == reader.cursor
        reader.took(batch)

    @precondition(lambda self: self.readers)
    @rule(data=strategies.data())
    def leave(self, data: strategies.DataObject) -> None:
        self.stop(data.draw(strategies.sampled_from(sorted(self.readers))))

    # What must always hold

    @invariant()
    def each_message_runs_once_at_most_and_in_its_epoch(self) -> None:
        got = [entry for each in self.begun for entry in each.got]
        assert len({msg_id for msg_id, _ in got}) == len(got)
        for each in self.begun:
            for msg_id, epoch in each.got:
                assert self.meant[msg_id] == epoch == each.epoch

    @invariant()
    def each_life_has_an_epoch_of_its_own(self) -> None:
        epochs = [each.epoch for each in self.begun if each.epoch]
        assert len({*epochs}) == len(epochs)
        assert all(self.kernel.lives.knows(epoch) for epoch in epochs)

    @invariant()
    def no_interpreter_is_left_over(self) -> None:
        assert sum(each.is_left for each in self.begun) <= 1
        assert self.current is None or self.current.is_left

    @invariant()
    def journal_has_what_was_said_and_every_epoch_once(self) -> None:
        frames = decode_all(b"".join(self.kernel.journal.read(0, 1 << 30).entries))
        ours = [
            parse_header(frame.parts[0])
            for frame in frames
            if isinstance(frame, Message) and not parse_header(frame.parts[0]).session.startswith("agent")
        ]
        assert [header.msg_id for header in ours] == self.said
        epochs = [frame.epoch for frame in frames if isinstance(frame, EpochChange)]
        assert len({*epochs}) == len(epochs)
        assert not epochs or epochs[-1] == self.kernel.epoch

    @invariant()
    def kernel_is_busy_with_what_its_interpreter_has(self) -> None:
        cells = self.current.cells if self.current is not None else {}
        assert self.kernel.is_busy == (not all(cells.values()))

    @invariant()
    def everybody_knows_who_else_is_there(self) -> None:
        for name in ("a", "b", "c", "d"):
            assert self.kernel.readers.claims.peers_of(name) == len(self.readers.keys() - {name})

    def teardown(self) -> None:
        self.now = time.monotonic()
        self.loop.time = time.monotonic  # type: ignore[method-assign]
        self.run(self.clean_up())
        self.loop.close()

    async def clean_up(self) -> None:
        for reader in self.readers.values():
            reader.stack.close()
        self.kernel.close()
        for _ in range(TURNS):
            await asyncio.sleep(0)
        assert not any(each.is_left for each in self.begun)
        for each in self.begun:
            if not each.exited.done():
                each.exited.set_result("the end")
        await self.shutdowns.aclose()
        asked = {*self.asking, *(each.task for each in self.senders if each.task is not None)}
        await asyncio.gather(*asked | asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)


KernelMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestAnyHistory = KernelMachine.TestCase
