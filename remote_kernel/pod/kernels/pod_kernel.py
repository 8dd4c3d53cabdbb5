"""The pod's kernels by name: each with a journal that outlives its interpreters, and an epoch for each of these."""

import asyncio
import contextlib
import logging
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from remote_kernel.core.errors import RemoteKernelError, WireError
from remote_kernel.core.journal.journal import Batch, Journal
from remote_kernel.core.jupyter.debugger_files import CellFiles, is_debugger_s
from remote_kernel.core.jupyter.interrupt_aim import Aim
from remote_kernel.core.jupyter.messages import Author, Header, is_error, parse_header, parse_object, parse_parent
from remote_kernel.core.pools.cooldown import DEFAULT_COOLDOWN_SECONDS
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.core.wire.frames import FRESH_PREFIX, Channel, EpochChange, Message, encode
from remote_kernel.io.tasks import start
from remote_kernel.pod.clock import utc_now
from remote_kernel.pod.kernels.claims import Claims, Use
from remote_kernel.pod.kernels.flow_control import FlowControl, Reader
from remote_kernel.pod.kernels.interpreter import Interpreter
from remote_kernel.pod.kernels.senders import Senders
from remote_kernel.pod.kernels.shutdowns import Shutdowns
from remote_kernel.pod.kernels.wakeups import Wakeups

T = TypeVar("T")

_log = logging.getLogger(__name__)

# Cells that were given up while they may still have been on their way, and are not run when they arrive.
MAX_REVOKED = 256

# How long the next cell waits for one that has been interrupted to end; an interrupt takes milliseconds.
UNWANTED_SECONDS = 2.0

# A kernel says that it has begun before it compiles the code; an interrupt within that may be overlooked.
CODE_BEGINS_SECONDS = 0.05

# How often to see whether an interpreter has started that may be left alone by then.
START_LOOK_SECONDS = 1.0

# Messages that the agent acts on itself, which takes time.
_ACTED_ON = frozenset({"interrupt_request", "shutdown_request"})


Start = Callable[[], "asyncio.Task[Interpreter]"]


class EpochMismatch(RemoteKernelError):
    """The client speaks of an interpreter that is not, or no longer, the one here."""


@dataclass(slots=True)
class Execution:
    """An `execute_request` without a reply so far.

    Attributes:
        began_at: the journal position at which the kernel has said that it works on it; 0 as long as it waits.
        is_idle: whether the kernel has said that it is done with it, ahead of the reply.
        is_unwanted: whether it was to be interrupted, with nobody waiting for it any more.
    """

    content: bytes
    subshell_id: str
    began_at: int = 0
    is_idle: bool = False
    is_unwanted: bool = False

    @property
    def is_running(self) -> bool:
        return bool(self.began_at) and not self.is_idle

    def stops_on_error(self) -> bool:
        """Return whether an error in this request aborts the ones behind it ("Execute" in the messaging protocol)."""
        try:
            content = parse_object(self.content)
        except WireError:  # what the kernel has made of it is its reply
            return True
        return bool(content.get("stop_on_error", True)) and not content.get("silent", False)


class PodKernel:
    """A kernel as clients see it: it keeps its name and journal while interpreters come and go.

    Args:
        journal: where what it says is kept.
        start: begins to start an interpreter of `kernelspec`.
        shutdowns: ends interpreters; a kernel of the same name may have left it one.
        spare: one that is started already, or nearly, to begin with.
        claim_seconds: for how long who has used this kernel may count on it.

    Attributes:
        epoch: names the life of the current interpreter, whether it has been started yet or not.
        is_closed: whether a client has shut this kernel down for good.
        is_ending: whether that has begun; who asks for a kernel of this name gets another.
        started: when it was first asked for, in monotonic seconds.
    """

    def __init__(
        self,
        name: str,
        kernelspec: str,
        *,
        journal: Journal,
        start: Start,
        shutdowns: Shutdowns,
        spare: "asyncio.Task[Interpreter] | None" = None,
        claim_seconds: float = DEFAULT_COOLDOWN_SECONDS,
    ) -> None:
        self.name = name
        self.kernelspec = kernelspec
        self.journal = journal
        self.epoch = _new_epoch()
        self.is_closed = False
        self.is_ending = False
        self.started = time.monotonic()
        self._epochs = {self.epoch}
        self._start = start
        self._starting = spare
        self._shutdowns = shutdowns
        self._current: Interpreter | None = None
        self._watch: asyncio.Task[None] | None = None
        self._wakeups = Wakeups()
        self._lock = asyncio.Lock()
        self._senders = Senders()
        self._accepting: set[asyncio.Task[Any]] = set()
        self._executions: dict[str, Execution] = {}
        self._flow_control = FlowControl(self._hold)
        self._readers: Counter[str] = Counter()
        self._claims = Claims(claim_seconds)
        self._ending_alone: asyncio.TimerHandle | None = None
        self._was_sent_something = False
        self._was_started = False
        self._is_interrupted = False
        self._revoked: OrderedDict[str, None] = OrderedDict()
        self._last_error: dict[str, int] = {}
        self._cell_files = CellFiles()
        self._author = Author(f"agent-{secrets.token_hex(8)}")

    @property
    def is_busy(self) -> bool:
        """Return whether a request to execute is not done; one that cannot be read gets no reply at all."""
        return any(not execution.is_idle for execution in self._executions.values())

    @property
    def has_failed(self) -> bool:
        """Return whether it never had an interpreter, and none is starting."""
        return not self._was_started and (self._starting is None or self._starting.done())

    @property
    def pid(self) -> int | None:
        """The process of its interpreter; `None` while there is none."""
        return self._current.pid if self._current else None

    def knows(self, epoch: str) -> bool:
        """Return whether `epoch` is, or was, one of this kernel: a cursor from then is still good."""
        return epoch in self._epochs

    @property
    def wakeups(self) -> asyncio.Event:
        """Is set when there is something new for readers; ask for it before reading."""
        return self._wakeups.event

    @contextlib.contextmanager
    def reading(self, reader: str) -> Iterator[Callable[[Batch], None]]:
        """Count `reader` among those who follow this kernel; its own earlier streams may not have ended yet.

        It calls what it is given with each batch of the journal that it has passed on.
        """
        self._readers[reader] += 1
        self.note_user(reader)
        self.wake_readers()
        try:
            with self.listening() as took:
                yield took
        finally:
            self._readers[reader] -= 1
            self._readers += Counter()  # forgets the zeros
            self._claims.note_end(reader, time.monotonic())
            self.wake_readers()

    @contextlib.contextmanager
    def listening(self) -> Iterator[Callable[[Batch], None]]:
        """Be heard for as `reading` is, without being somebody that others are told of: for the agent itself."""
        with self._flow_control.reading() as stream:
            yield partial(self._note_taken, stream)

    def _note_taken(self, stream: Reader, batch: Batch) -> None:
        # At the end nobody is behind, and nobody is behind by more than is kept.
        is_at_end = batch.cursor == self.journal.last_sequence
        kept = 0 if is_at_end else self.journal.memory_bytes + self.journal.disk_bytes
        self._flow_control.took(stream, max(batch.size, stream.behind - kept))

    def peers_of(self, reader: str) -> int:
        """Return how many other readers follow this kernel."""
        return len(self._readers) - (reader in self._readers)

    def note_user(self, user: str) -> None:
        """Note that `user` uses this kernel, and counts on it for a while."""
        self._claims.note(user, time.monotonic())

    def use_beside(self, user: str) -> Use:
        """Return what would be lost with this kernel, for others than `user` above all."""
        others = self._claims.others(user, self._readers, time.monotonic())
        is_used = self._was_sent_something and not self.is_of_one_process
        return Use(name=self.name, epoch=self.epoch, others=others, is_used=is_used)

    @property
    def is_of_one_process(self) -> bool:
        """Return whether nobody but the process that has asked for it knows its name."""
        return self.name.startswith(FRESH_PREFIX)

    def end_when_left(self, seconds: float, then: Callable[[], None]) -> None:
        """End for good when nobody has had a claim for so long from now on, and call `then`.

        For a kernel of one process, which was killed perhaps: nobody would come to end it, and others may keep the pod.
        """
        self._ending_alone = asyncio.get_running_loop().call_later(seconds, self._end_if_left, then)

    def _end_if_left(self, then: Callable[[], None]) -> None:
        left = self._claims.seconds_left(self._readers, time.monotonic())
        if self.is_ending:
            return
        # Who asked for it waits for the start, and follows afterwards; for that of a restart nobody may be waiting.
        if self._starting is not None and not self._starting.done():
            left = max(left, START_LOOK_SECONDS)
        if left > 0:
            self.end_when_left(left, then)
            return
        _log.info(LogEvent("interpreter left", kernel=self.name))
        self._keep(self.give_up("", ends=True)).add_done_callback(lambda _task: then())

    async def give_up(self, user: str, *, ends: bool) -> None:
        """Note that `user` will not come back, and, where that `ends` the kernel, shut it down for good.

        It goes on when its caller is cancelled: see `accept`.
        """
        self._claims.drop(user)
        if ends:
            self.is_ending = True
            parts = self._author.write("shutdown_request", {"restart": False}, date=utc_now())
            await self._see_through(self.request(Channel.CONTROL, parts))

    async def interpreter(self) -> Interpreter:
        """Return the interpreter of the current epoch, started if need be.

        Raises:
            UnknownKernel, StartFailed: see `Interpreter.start`.
            EpochMismatch: it was stopped while it started, or the kernel was shut down for good.
        """
        if self.is_closed:  # nobody would end another
            raise EpochMismatch("The kernel was shut down.")
        if self._current is None:
            if self._starting is None:
                self._starting = self._start()
            starting = self._starting
            await asyncio.wait([starting])
            if is_first := self._starting is starting:
                self._starting = None
            started = None if starting.cancelled() else starting.result()
            if is_first and started is not None:
                self._adopt(started)
        if self._current is None:  # it was stopped while it started
            raise EpochMismatch("The kernel was stopped while it started.")
        return self._current

    def _adopt(self, interpreter: Interpreter) -> None:
        self._flow_control.go()
        interpreter.take_cell_files(self._cell_files)
        self._cell_files = interpreter.cell_files
        self._current = interpreter
        self._was_started = True
        interpreter.listen(self._receive)
        self._watch = start(self._watch_exit(interpreter), "watch", on_failure=self._end_unwatched)

    async def _watch_exit(self, interpreter: Interpreter) -> None:
        detail = await asyncio.shield(interpreter.exited)
        await interpreter.drain()
        self._current = self._watch = None
        _log.warning(LogEvent("interpreter died", kernel=self.name, detail=detail))
        self._begin_epoch(reason="died", detail=detail)
        self._shutdowns.kill(self.name, interpreter)

    def _end_unwatched(self, _error: Exception) -> None:
        """Close a kernel whose end nobody would notice; who comes back finds none, and is told."""
        self.is_closed = True
        self._wakeups.tell()

    def _begin_epoch(self, *, reason: str, detail: str = "") -> None:
        self.epoch = _new_epoch()
        self._epochs.add(self.epoch)
        self._executions.clear()
        self._last_error.clear()
        self._is_interrupted = False
        change = EpochChange(epoch=self.epoch, sequence=self.journal.next_sequence, reason=reason, detail=detail)
        self._record(encode(change), is_essential=True)

    def _record(self, entry: bytes, *, is_essential: bool, is_followed: bool = False) -> None:
        self.journal.append(entry, is_essential=is_essential)
        self._flow_control.said(len(entry))
        if is_followed:
            self._wakeups.tell_soon()
        else:
            self._wakeups.tell()

    def _hold(self, is_held: bool) -> None:
        if self._current is not None:
            self._current.hold("readers", is_held)

    def wake_readers(self) -> None:
        """Have every reader look: the journal has grown, a reader has come or gone, or it is time to end."""
        self._wakeups.tell()

    def wake_readers_soon(self) -> None:
        """Have every reader look with what the kernel says next, or in a moment."""
        self._wakeups.tell_soon()

    # What the kernel says

    def _receive(self, channel: Channel, parts: tuple[bytes, ...]) -> None:
        if self._current is not None and is_debugger_s(parts[0]):
            parts = self._current.cell_files.outward(parts)
        message = Message(channel=channel, parts=parts, sequence=self.journal.next_sequence)
        if channel is Channel.IOPUB:
            # Output can be missed; a front end that misses a reply, or that the kernel is idle, waits for ever.
            is_essential = b'"status"' in parts[0]
            is_followed = is_essential and self._note_status(parts)
        else:
            is_essential = True
            is_followed = channel is Channel.SHELL and self._note_reply(message)
        self._record(encode(message), is_essential=is_essential, is_followed=is_followed)

    def _note_status(self, parts: tuple[bytes, ...]) -> bool:
        """Return whether more is about to follow: what a request does, or the reply to it."""
        is_busy = b'"busy"' in parts[3]
        if not is_busy and b'"idle"' not in parts[3]:
            return False
        execution = self._executions.get(parse_parent(parts[1]).msg_id) if self._executions else None
        if execution is None:
            return is_busy
        if is_busy:
            execution.began_at = self.journal.next_sequence
            if execution.is_unwanted:
                self._keep(self._interrupt_soon(execution))
        else:
            execution.is_idle = True
        return True

    def _note_reply(self, message: Message) -> bool:
        """Return whether the idle of the same cell is about to follow."""
        execution = self._executions.pop(parse_parent(message.parts[1]).msg_id, None)
        if execution is None:
            return False
        self._is_interrupted = False
        if is_error(message.parts[3]) and execution.stops_on_error() and not execution.is_unwanted:
            self._last_error[execution.subshell_id] = message.sequence
        return not execution.is_idle

    # What clients say

    async def accept(self, messages: Sequence[Message], *, sender: str, epoch: str) -> int:
        """Pass on the messages that are new; return how many there were.

        Every sender counts its messages from 1. What was accepted before is not accepted again, so a client may
        repeat a request whose answer it did not get. It goes on when its caller is cancelled, as a request is that a
        repeated one takes the place of: half a restart would be worse than a late one.

        Raises:
            EpochMismatch: `epoch` is not the current one; nothing was passed on.
            SenderForgotten: it is not known whether they were accepted before; nothing was passed on.
            WireError: the sender's count has a hole, or a message has no readable header.
            UnknownKernel, StartFailed: see `interpreter`; what was passed on before counts as accepted.
        """
        headers = [parse_header(message.parts[0]) for message in messages]
        if self._takes_at_once(headers):
            return await self._accept(messages, headers, sender, epoch)
        return await self._see_through(self._accept(messages, headers, sender, epoch))

    async def _see_through(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something to its end, also where who asked for it is gone."""
        return await asyncio.shield(self._keep(work))

    def _keep(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._accepting.add(task)
        task.add_done_callback(self._accepting.discard)
        return task

    def _takes_at_once(self, headers: Sequence[Header]) -> bool:
        """Return whether nothing has to be waited for in passing on such messages, so that nothing can be cancelled."""
        is_ready = self._current is not None and not self._shutdowns.has(self.name) and not self._lock.locked()
        is_ready = is_ready and not self._has_unwanted
        return is_ready and _ACTED_ON.isdisjoint(header.msg_type for header in headers)

    async def _accept(self, messages: Sequence[Message], headers: Sequence[Header], sender: str, epoch: str) -> int:
        async with self._lock:
            pairs = [
                (message, header)
                for message, header in zip(messages, headers, strict=True)
                if self._senders.is_new(sender, message.sequence)
            ]
            if not pairs:
                return 0
            if epoch != self.epoch:
                raise EpochMismatch("The session is not the one that this message was meant for.")
            # A shutdown that is repeated is for an epoch that is over.
            unsafe = [message for message, header in pairs if header.msg_type != "shutdown_request"]
            self._senders.check(sender, [message for message, _ in pairs], unsafe)
            for message, header in pairs:
                await self._deliver(message, header)
                # Behind it: what could not be passed on may come again.
                self._senders.note(sender, message.sequence, self.journal.last_sequence)
            return len(pairs)

    async def request(self, channel: Channel, parts: tuple[bytes, ...]) -> None:
        """Pass on a message of the agent's own, which is not counted: the agent is no sender that may repeat itself."""
        async with self._lock:
            message = Message(channel=channel, parts=parts, seen=self.journal.last_sequence)
            await self._deliver(message, parse_header(parts[0]))

    async def _deliver(self, message: Message, header: Header) -> None:
        self._was_sent_something = True
        if header.msg_type == "interrupt_request":
            await self._interrupt(message)
        elif header.msg_type == "shutdown_request":
            self._shut_down(message)
        else:
            interpreter = await self.interpreter()
            # The one before it may be writing its last files, which this one's code could be about to read.
            await self._shutdowns.wait(self.name)
            if header.msg_type == "execute_request":
                await self._execute(interpreter, message, header)
            elif header.msg_type == "debug_request":
                await interpreter.send(message.channel, interpreter.cell_files.inward(message.parts))
            else:
                await interpreter.send(message.channel, message.parts)

    async def _execute(self, interpreter: Interpreter, message: Message, header: Header) -> None:
        await self._wait_unwanted()
        if header.msg_id in self._revoked:
            self._abort(message)
            return
        if message.seen < self._last_error.get(header.subshell_id, 0):
            # The front end sent this before it could see that a cell ahead of it had failed. With the kernel on the
            # same machine it would have been in the kernel's queue by then and been aborted there.
            self._abort(message)
            return
        if not self._executions:
            self._is_interrupted = False
        self._executions[header.msg_id] = Execution(message.parts[3], header.subshell_id)
        await interpreter.send(message.channel, message.parts)

    def _abort(self, message: Message) -> None:
        self._say(Channel.IOPUB, "status", {"execution_state": "busy"}, message)
        self._say(message.channel, "execute_reply", {"status": "aborted"}, message)
        self._say(Channel.IOPUB, "status", {"execution_state": "idle"}, message)

    async def _interrupt(self, message: Message) -> None:
        if self._is_hit(Aim.parse(message.parts[3]), seen=message.seen):
            await self._interrupt_interpreter()
        self._say(message.channel, "interrupt_reply", {"status": "ok"}, message)

    async def _interrupt_interpreter(self) -> None:
        if self._current is not None:
            self._flow_control.free()
            self._is_interrupted = True
            await self._current.interrupt()

    async def _interrupt_soon(self, execution: Execution) -> None:
        """Interrupt a cell that has just begun, if it still runs when the kernel has got as far as its code."""
        await asyncio.sleep(CODE_BEGINS_SECONDS)
        if any(each is execution for each in self._executions.values()):
            await self._interrupt_interpreter()

    def _is_hit(self, aim: Aim, *, seen: int) -> bool:
        """Return whether an interrupt hits what it is for: it may have been on its way while other things were run.

        Args:
            seen: the journal position that its front end had been shown.
        """
        if not aim.cells:
            return True
        known = {cell for cell in aim.cells if cell in self._executions}
        running = {cell: execution for cell, execution in self._executions.items() if execution.is_running}
        if not aim.is_exclusive:
            is_meant = any(cell in known or execution.began_at <= seen for cell, execution in running.items())
            return is_meant if running else bool(known)
        self._revoked.update(dict.fromkeys(aim.cells - known))
        while len(self._revoked) > MAX_REVOKED:
            self._revoked.popitem(last=False)
        wanted = [self._executions[cell] for cell in known if not self._executions[cell].is_unwanted]
        for execution in wanted:  # those that wait are interrupted when they begin
            execution.is_unwanted = True
        return any(execution.is_running for execution in wanted)

    @property
    def _has_unwanted(self) -> bool:
        return any(execution.is_unwanted and execution.began_at for execution in self._executions.values())

    async def _wait_unwanted(self) -> None:
        """Return when no cell runs that was to be interrupted: its error would abort what is behind it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(UNWANTED_SECONDS):
                while self._has_unwanted:
                    await self._wakeups.event.wait()

    def _shut_down(self, message: Message) -> None:
        """End the interpreter in the background, as whoever asked has no time; the next one runs nothing before that.

        Nothing is waited for: a reader that came meanwhile would start an interpreter of its own.
        """
        restart = bool(parse_object(message.parts[3]).get("restart", False))
        self._begin_to_end(restart=restart)
        self._say(message.channel, "shutdown_reply", {"status": "ok", "restart": restart}, message)
        self.is_closed = not restart
        _log.info(LogEvent("interpreter stopped", kernel=self.name, restart=restart))
        self._begin_epoch(reason="restart" if restart else "shutdown")
        if restart:
            self._starting = self._start()

    def _say(self, channel: Channel, msg_type: str, content: Mapping[str, object], parent: Message) -> None:
        parts = self._author.write(msg_type, content, parent=parent.parts[0], date=utc_now())
        self._receive(channel, parts)

    def _begin_to_end(self, *, restart: bool = False) -> None:
        starting, self._starting = self._starting, None
        current, self._current = self._current, None
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if starting is not None:  # nobody has asked for it so far
            self._shutdowns.give_up(self.name, starting)
        if current is not None:
            # One interrupt is enough: a second could hit what the cell does at its end.
            self._shutdowns.begin(self.name, current, restart=restart, interrupts=not self._is_interrupted)

    def close(self) -> None:
        """Begin to end the interpreter and whatever it started, and forget what it said."""
        self.is_closed = True
        if self._ending_alone is not None:
            self._ending_alone.cancel()
        self._begin_to_end()
        self._wakeups.tell()
        self.journal.close()


def _new_epoch() -> str:
    return secrets.token_hex(8)
