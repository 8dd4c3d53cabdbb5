"""A pod's kernel, as clients see it: it keeps its name and journal while interpreters come and go."""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence

from remote_kernel.core.errors import WireError
from remote_kernel.core.journal.journal import Journal
from remote_kernel.core.jupyter.debugger_files import is_debugger_s
from remote_kernel.core.jupyter.interrupt_aim import Aim
from remote_kernel.core.jupyter.messages import Author, Header, parse_object, parse_parent
from remote_kernel.core.pools.cooldown import DEFAULT_COOLDOWN_SECONDS
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.core.wire.codec import encode
from remote_kernel.core.wire.frames import FRESH_PREFIX, Channel, EpochChange, Message
from remote_kernel.core.wire.launch import AS_ASKED, OTHER, Launch
from remote_kernel.pod.clock import utc_now
from remote_kernel.pod.interpreters.interpreter import Interpreter
from remote_kernel.pod.interpreters.launching import Launching
from remote_kernel.pod.interpreters.shutdowns import Shutdowns
from remote_kernel.pod.kernels.acceptance import Acceptance
from remote_kernel.pod.kernels.cells import Cells
from remote_kernel.pod.kernels.held_replies import HeldReplies
from remote_kernel.pod.kernels.interrupts import Interrupts
from remote_kernel.pod.kernels.lifecycle import Lifecycle
from remote_kernel.pod.kernels.lives import Event, Lives, State
from remote_kernel.pod.kernels.silent_calls import SilentCalls
from remote_kernel.pod.kernels.workspace import Found, Workspace
from remote_kernel.pod.readers.claims import Use
from remote_kernel.pod.readers.readers import Readers

_log = logging.getLogger(__name__)

Start = Callable[[Launching | None], "asyncio.Task[Interpreter]"]

STARTUP_FAILED = "[The startup file has failed: {failure}. What is behind that line was not run.]\n"

# How often to see whether an interpreter has started that may be left alone by then.
START_LOOK_SECONDS = 1.0

# Messages after which an interpreter is as it was.
_HARMLESS = frozenset({"kernel_info_request", "comm_info_request", "history_request", "interrupt_request"})

# Messages that the agent acts on itself, which takes time.
_ACTED_ON = frozenset({"interrupt_request", "shutdown_request"})


class PodKernel:
    """Passes on what clients say to the interpreter, and what that says to their readers.

    Args:
        journal: where what it says is kept.
        start: begins to start an interpreter of `kernelspec`, as it was asked to be, or as it comes for `None`.
        shutdowns: ends interpreters; a kernel of the same name may have left it one.
        claim_seconds: for how long who has used this kernel may count on it.

    Attributes:
        lives: the epochs of its interpreters.
        lifecycle: its interpreters.
        readers: those who follow it.
        silent_calls: the agent's own into its interpreter.
        workspace: the folder whose changes they want to hear of.
        is_untouched: whether nobody has sent the interpreter of this epoch anything that changes it.
        is_ending: whether to shut it down for good has begun; who asks for a kernel of this name gets another.
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
        claim_seconds: float = DEFAULT_COOLDOWN_SECONDS,
    ) -> None:
        self.name = name
        self.kernelspec = kernelspec
        self.journal = journal
        self.readers = Readers(journal, hold=self._hold, claim_seconds=claim_seconds)
        self.lives = Lives()
        self.lifecycle = Lifecycle(
            name, self.lives, begin=self._begin, shutdowns=shutdowns, receive=self._receive,
            gathering=lambda: self.readers.wakeups, on_start=self.readers.go, on_epoch=self._note_epoch,
        )  # fmt: skip
        self._start = start
        self._asked: Launching | None = None
        self._begun: Launching | None = None
        self.is_untouched = True
        self._teller = ""  # the cell that tells of its startup file
        self.workspace = Workspace(self._say_files)
        self.is_ending = False
        self.started = time.monotonic()
        self._acceptance = Acceptance(self.lives, journal, pass_on=self._pass_on, waits=self._waits)
        self._cells = Cells()
        self._interrupts = Interrupts(self._cells, self.lifecycle, self.readers, keep=self._acceptance.keep)
        self._held_replies = HeldReplies(
            self._tell_held, heard=lambda: journal.last_sequence, is_stopped=lambda: self.readers.are_outrun
        )
        self.silent_calls = SilentCalls(
            self.lives, self.lifecycle, is_busy=lambda: self.is_busy, on_end=self.readers.wakeups.tell
        )
        self._ending_alone: asyncio.TimerHandle | None = None
        self._tidying: asyncio.Handle | None = None  # of the journal
        self._was_sent_something = False
        self._author = Author(f"agent-{secrets.token_hex(8)}")

    @property
    def epoch(self) -> str:
        """The name of the current interpreter's life, whether it has been started yet or not."""
        return self.lives.epoch

    @property
    def is_busy(self) -> bool:
        """Return whether a request to execute is not done."""
        return self._cells.is_busy

    def has_more_to_say(self, cursor: int) -> bool:
        """Return whether something comes without being asked for, to a reader that has all up to `cursor`."""
        has_more = self.is_busy or bool(self._held_replies) or self.workspace.is_looking
        return has_more or self.journal.last_sequence > cursor

    def note_change(self) -> None:
        """Note that the interpreter has got variables that no cell has made."""
        self._was_sent_something, self.is_untouched = True, False

    # Launch options

    def _begin(self) -> "asyncio.Task[Interpreter]":
        self._begun = self._asked
        return self._start(self._asked)

    def ask_launch(self, launching: Launching, reader: str) -> None:
        """Have interpreters start like this from now on, also one in place of another that nobody has used."""
        self._asked = launching
        is_alone = self.readers.claims.others(reader, time.monotonic()) == 0
        is_begun = self.lives.state in (State.STARTING, State.RUNNING)
        if self.launch == OTHER and is_begun and is_alone and self.is_untouched:
            self._end(Event.RESTART)

    @property
    def launch(self) -> str:
        """Answer to who asks whether the interpreter of this epoch is, or will be, as it was asked for: `AS_ASKED` or
        `OTHER`; "" where nobody has asked for anything."""
        if self._asked is None:
            return ""
        if self.lives.state is State.ABSENT:
            return AS_ASKED
        begun = self._begun.launch if self._begun else Launch()
        return AS_ASKED if self._asked.launch.makes_same_as(begun) else OTHER

    def use_beside(self, user: str) -> Use:
        """Return what would be lost with this kernel, for others than `user` above all."""
        is_used = self._was_sent_something and not self.is_of_one_process
        return Use(
            name=self.name, epoch=self.epoch, others=self.readers.claims.others(user, time.monotonic()), is_used=is_used
        )

    # Ends of the kernel

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
        if self.is_ending:
            return
        left = self.readers.claims.seconds_left(time.monotonic())
        # Who asked for it waits for the start, and follows afterwards; for that of a restart nobody may be waiting.
        if self.lifecycle.is_starting:
            left = max(left, START_LOOK_SECONDS)
        if left > 0:
            self.end_when_left(left, then)
            return
        _log.info(LogEvent("interpreter left", kernel=self.name))
        self._acceptance.keep(self.give_up("", ends=True)).add_done_callback(lambda _task: then())

    async def give_up(self, user: str, *, ends: bool) -> None:
        """Note that `user` will not come back, and, where that `ends` the kernel, shut it down for good.

        It goes on when its caller is cancelled: see `accept`.
        """
        self.readers.claims.drop(user)
        if ends:
            self.is_ending = True
            parts = self._author.write("shutdown_request", {"restart": False}, date=utc_now())
            await self._acceptance.see_through(self.request(Channel.CONTROL, parts))

    def close(self) -> None:
        """Begin to end the interpreter and whatever it started, and forget what it said."""
        if self._ending_alone is not None:
            self._ending_alone.cancel()
        self._end(Event.CLOSE)
        self._cells.clear()  # nobody waits for their ends any more
        self._held_replies.clear()
        self.workspace.close()
        self.readers.wakeups.tell()
        if self._tidying is not None:
            self._tidying.cancel()
        self.journal.close()

    def _end(self, event: Event) -> None:
        # One interrupt is enough: a second could hit what the cell does at its end.
        self.lifecycle.move(event, interrupts=not self._cells.is_interrupted)

    def _note_epoch(self, reason: str, detail: str) -> None:
        self._held_replies.release_all()
        self._cells.clear()
        self.is_untouched, self._teller = True, ""
        if reason != Event.RESTART:  # whoever has restarted it comes back to it
            self._was_sent_something = False
        self.workspace.note_epoch()
        change = EpochChange(epoch=self.epoch, sequence=self.journal.next_sequence, reason=reason, detail=detail)
        self._record(encode(change), is_essential=True)

    # What the kernel says

    def _receive(self, channel: Channel, parts: tuple[bytes, ...]) -> None:
        for_readers = self.silent_calls.withhold(channel, parts)
        if for_readers is not None:
            self._take(channel, for_readers)

    def _take(self, channel: Channel, parts: tuple[bytes, ...]) -> None:
        if is_debugger_s(parts[0]):
            parts = self.lifecycle.cell_files.outward(parts)
        if channel is Channel.IOPUB:
            self._take_published(parts)
        elif channel is Channel.SHELL:
            self._take_reply(parts)
        else:
            self._tell(channel, parts, is_essential=True)

    def _take_published(self, parts: tuple[bytes, ...]) -> None:
        # Output can be missed; a front end that misses a reply, or that the kernel is idle, waits for ever.
        is_status = b'"status"' in parts[0]
        is_followed = is_status and self._note_status(parts)
        self._tell(Channel.IOPUB, parts, is_essential=is_status, is_followed=is_followed)
        if is_followed:
            self._tell_startup(parts)

    def _take_reply(self, parts: tuple[bytes, ...]) -> None:
        """Take a reply; that to a cell waits until all has come that the cell has published."""
        cell = self._cells.end(parts[1], parts[3])
        if cell is None or cell.is_idle:
            self._tell_reply(parts)
        else:
            self._held_replies.hold(parse_parent(parts[1]).msg_id, parts)

    def _tell_held(self, parts: tuple[bytes, ...], is_followed: bool) -> None:
        try:
            self._tell_reply(parts, is_followed=is_followed)
        except WireError as error:  # as of other messages that cannot be passed on, it costs the reply
            _log.warning(LogEvent("message refused", channel="shell", reason=str(error)))

    def _tell_reply(self, parts: tuple[bytes, ...], *, is_followed: bool = False) -> None:
        self._cells.note_shown(parts[1], self.journal.next_sequence)
        self._tell(Channel.SHELL, parts, is_essential=True, is_followed=is_followed)

    def _tell(
        self, channel: Channel, parts: tuple[bytes, ...], *, is_essential: bool, is_followed: bool = False
    ) -> None:
        message = Message(channel=channel, parts=parts, sequence=self.journal.next_sequence)
        self._record(encode(message), is_essential=is_essential, is_followed=is_followed)

    def _choose_teller(self, interpreter: Interpreter, request: bytes) -> None:
        """Note the first cell that is seen, to say in it what the startup file has failed of.

        Its reply may be heard before the status that it has begun, as they come on two channels.
        """
        cell = self._cells.of(request)
        if interpreter.startup_failure and not self._teller and cell is not None and cell.is_seen():
            self._teller = parse_parent(request).msg_id

    def _tell_startup(self, status: tuple[bytes, ...]) -> None:
        interpreter = self.lifecycle.current
        if not self._teller or interpreter is None or parse_parent(status[1]).msg_id != self._teller:
            return
        text = STARTUP_FAILED.format(failure=interpreter.startup_failure)
        self._teller = interpreter.startup_failure = ""
        said = self._author.write("stream", {"name": "stderr", "text": text}, parent=status[1], date=utc_now())
        self._receive(Channel.IOPUB, said)

    def _note_status(self, parts: tuple[bytes, ...]) -> bool:
        """Return whether more is about to follow: what a request does, or the reply to it."""
        content = bytes(parts[3])
        is_busy = b'"busy"' in content
        if not is_busy and b'"idle"' not in content:
            return False
        is_looked_for = has_reply = False
        if not is_busy:
            msg_id = parse_parent(parts[1]).msg_id
            has_reply = self._held_replies.note_idle(msg_id)
            self._cells.note_idle(parts[1])
            is_looked_for = self.workspace.note_idle(msg_id)
        cell = self._cells.of(parts[1]) if not has_reply else None  # another one with its id may wait
        if cell is None:
            return is_busy or is_looked_for
        if is_busy:
            cell.began_at, cell.began = self.journal.next_sequence, asyncio.get_running_loop().time()
            self._interrupts.note_busy(cell)
        else:
            cell.is_idle = True
        return True

    def _say_files(self, found: Found) -> None:
        entry = encode(found.to_frame(self.journal.next_sequence))
        # Who misses it lists the folder, as it is told of what was dropped.
        self._record(entry, is_essential=False)

    def _record(self, entry: bytes, *, is_essential: bool, is_followed: bool = False) -> None:
        self.journal.append(entry, is_essential=is_essential)
        self.readers.said(len(entry), is_followed=is_followed)
        if self.journal.is_nearly_full and self._tidying is None:
            self._tidying = asyncio.get_running_loop().call_soon(self._make_room)  # behind what readers are given of it

    def _make_room(self) -> None:
        self._tidying = None
        self.journal.make_room()

    def _hold(self, is_held: bool) -> None:
        if self.lifecycle.current is not None:
            self.lifecycle.current.hold("readers", is_held)

    # What clients say

    async def accept(self, messages: Sequence[Message], *, sender: str, epoch: str) -> int:
        """Pass on the messages that are new; return how many there were, and raise: see `Acceptance.accept`."""
        return await self._acceptance.accept(messages, sender=sender, epoch=epoch)

    async def request(self, channel: Channel, parts: tuple[bytes, ...]) -> None:
        """Pass on a message of the agent's own; raises as `Acceptance.request` does."""
        await self._acceptance.request(channel, parts)

    def _waits(self, headers: Sequence[Header]) -> bool:
        is_ready = self.lifecycle.current is not None and not self.lifecycle.has_others
        is_acted_on = not _ACTED_ON.isdisjoint(header.msg_type for header in headers)
        return not is_ready or is_acted_on or self._cells.has_unwanted

    async def _pass_on(self, message: Message, header: Header, epoch: str) -> None:
        self.lives.check(epoch)
        self._was_sent_something = True
        self.is_untouched = self.is_untouched and header.msg_type in _HARMLESS
        if header.msg_type == "interrupt_request":
            await self._interrupt(message)
        elif header.msg_type == "shutdown_request":
            self._shut_down(message)
        else:
            interpreter = await self.lifecycle.interpreter()
            # The one before it may be writing its last files, which this one's code could be about to read.
            await self.lifecycle.wait_others()
            if header.msg_type == "execute_request":
                await self._interrupts.wait_unwanted()
            self.lives.check(epoch)  # it may have died meanwhile
            await self._send(interpreter, message, header)

    async def _send(self, interpreter: Interpreter, message: Message, header: Header) -> None:
        parts = message.parts
        if header.msg_type == "execute_request":
            self.workspace.note_sent(header.msg_id, parts[3])
            if self._cells.are_refused(header, message.seen):
                self._abort(message)
                return
            self._cells.add(header, parts[3])
            self.silent_calls.note_cell(parts[0])
            self._choose_teller(interpreter, parts[0])
        elif header.msg_type == "debug_request":
            parts = interpreter.cell_files.inward(parts)
        await interpreter.send(message.channel, parts)

    def _abort(self, message: Message) -> None:
        self._say(Channel.IOPUB, "status", {"execution_state": "busy"}, message)
        self._say(message.channel, "execute_reply", {"status": "aborted"}, message)
        self._say(Channel.IOPUB, "status", {"execution_state": "idle"}, message)

    async def _interrupt(self, message: Message) -> None:
        await self._interrupts.take(Aim.parse(message.parts[3]), message.seen)
        self._say(message.channel, "interrupt_reply", {"status": "ok"}, message)

    def _shut_down(self, message: Message) -> None:
        restart = bool(parse_object(message.parts[3]).get("restart", False))
        self._say(message.channel, "shutdown_reply", {"status": "ok", "restart": restart}, message)
        _log.info(LogEvent("interpreter stopped", kernel=self.name, restart=restart))
        self._end(Event.RESTART if restart else Event.SHUTDOWN)

    def _say(self, channel: Channel, msg_type: str, content: Mapping[str, object], parent: Message) -> None:
        parts = self._author.write(msg_type, content, parent=parent.parts[0], date=utc_now())
        self._receive(channel, parts)
