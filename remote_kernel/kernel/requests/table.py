"""Table of the front end's requests, from arrival to end, without I/O.

It is told what front ends, the pod and the link say, and returns what is to be done, in order. `kernel.relay` does it.
Times are monotonic seconds.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from remote_kernel.client.retry import Wait
from remote_kernel.core.errors import PoolUnreachable, RemoteKernelError, SessionLost
from remote_kernel.core.jupyter.interrupt_aim import Aim
from remote_kernel.core.jupyter.messages import is_error, parse_reply
from remote_kernel.core.limits import REPLY
from remote_kernel.core.wire import frames as wire
from remote_kernel.core.wire.frames import Channel, Message
from remote_kernel.kernel.before_session import local_answers
from remote_kernel.kernel.before_session.sessionless import Known, Sessionless
from remote_kernel.kernel.magics.command import Verb, parse_command
from remote_kernel.kernel.output import style
from remote_kernel.kernel.output.display import Shown
from remote_kernel.kernel.output.orphaned_output import OrphanedOutput
from remote_kernel.kernel.output.session_notices import (
    FILES_LOST,
    MISSED,
    SHARED,
    SessionNotices,
    describe_refusal,
    show_note,
)
from remote_kernel.kernel.requests.effects import (
    BeginLine,
    Effect,
    Explain,
    Forward,
    NoteUntold,
    Prepare,
    Publish,
    RunCommand,
    Send,
    Step,
)
from remote_kernel.kernel.requests.endings import Endings, Settling
from remote_kernel.kernel.requests.facts import SessionFacts
from remote_kernel.kernel.requests.in_flight import InFlightRequests
from remote_kernel.kernel.requests.interrupts import Interrupts
from remote_kernel.kernel.requests.prompts import Prompts
from remote_kernel.kernel.requests.replies import Replies
from remote_kernel.kernel.requests.request import (
    POLLS,
    SHOWS_WAITING,
    Event,
    Interrupted,
    KernelMessage,
    Origin,
    Request,
    State,
)
from remote_kernel.kernel.requests.unanswered import NO_REPLY, NoReply, UnansweredRequests
from remote_kernel.kernel.requests.withheld_ends import WithheldEnds

STARTING = Wait("starting a remote session")
LINK_IS_DOWN = Wait("waiting for the session")

# When so much waits for the session, nothing joins it but cells, which are what people write: as much as one message
# may have, be it many or one.
MAX_WAITING_BYTES = 256 * 1024 * 1024

# What a page or a prompt asks a kernel for, at which somebody sits, and what executes notebooks by itself does not.
_ASKED_BY_PEOPLE = frozenset(
    {"complete_request", "inspect_request", "is_complete_request", "history_request", "debug_request"}
)

# Errors that a folder or an environment on this machine may explain.
EXPLAINED = frozenset({"FileNotFoundError", "ModuleNotFoundError"})

# Of the text of such an error: a path has 4 KB at most.
MAX_EXPLAINED_CHARS = 10_000

NOT_SENT = "The cell was interrupted before it was sent."
LEFT = (
    "The cell was left alone, as the session cannot be reached: it may still run there. The session is looked for; "
    "once it is found, the cell is interrupted there, and the next one runs."
)
NO_ROOM = (
    f"What waits to be sent to the session has come to {MAX_WAITING_BYTES >> 20} MB: wait until the session is there, "
    "then do this again."
)
GIVEN_BACK = "The session was given back before it could answer this."


class RequestTable:
    """Every request of the front end.

    Args:
        known: what the pod's kernel has said of itself.
        kernelspec: the kernel in the pod.
        ports: of this kernel, as a `connect_reply` names them.
        ids: of messages of our own.
        max_waiting_bytes: how much may wait for the session.

    Attributes:
        orphaned: what was said by cells that have ended here.
        command: the cell whose `%session` command is being done.
        preparing: the cell for which the session is being prepared.
        is_reaching: whether a command waits for the session.
    """

    def __init__(
        self, *, known: Known, kernelspec: str, ports: Mapping[str, int], ids: Iterator[str],
        max_waiting_bytes: int = MAX_WAITING_BYTES,
    ) -> None:  # fmt: skip
        self.orphaned = OrphanedOutput()
        self.command: Request | None = None
        self.preparing: Request | None = None
        self.is_reaching = False
        self._in_flight = InFlightRequests()
        self._replies = Replies()
        self._interrupts = Interrupts(ids)
        self._notes = SessionNotices()
        self._sessionless = Sessionless(self._in_flight, self._replies, known, kernelspec=kernelspec, ports=ports)
        self._held: deque[Request] = deque()
        self._withheld = WithheldEnds()
        self._prompts = Prompts(self._in_flight)
        self._unanswered = UnansweredRequests(self._in_flight, ids)
        self._settling = Settling()
        self._endings = Endings(
            self._in_flight, self._replies, self._withheld, self._interrupts, self._unanswered, self._sessionless,
            self.orphaned,
        )  # fmt: skip
        self._max_waiting_bytes = max_waiting_bytes
        self._last_reply = b"{}"
        self._is_full = False
        self._has_page = False
        self._has_told_of_peers = False

    @property
    def has_held(self) -> bool:
        """Return whether a cell waits here for what is before it."""
        return bool(self._held)

    @property
    def has_open(self) -> bool:
        """Return whether the session owes a reply."""
        return bool(self._in_flight)

    @property
    def is_busy(self) -> bool:
        """Return whether the session runs something."""
        return self._in_flight.is_executing or self._replies.is_left_busy

    @property
    def waiting_cell(self) -> Request | None:
        """The cell that waits for the session."""
        cell = self._in_flight.first_cell or self.preparing or (self.command if self.is_reaching else None)
        return cell if cell is not None and cell.is_cell else None

    @property
    def is_unreachable_told(self) -> bool:
        """Return whether the user knows that an interrupt does not get through, and of nothing else."""
        return self._interrupts.are_told

    # Time

    @property
    def deadline(self) -> float:
        """Return when to call `wake`; infinite for never."""
        return min(
            self._interrupts.deadline, self._settling.deadline, self._withheld.deadline, self._unanswered.deadline
        )

    def wake(self, facts: SessionFacts, now: float) -> list[Effect]:
        interrupts = self._interrupts.wake(is_attached=facts.is_attached, now=now)
        effects = [*interrupts, *self._withheld.wake(now), *self._unanswered.wake(now)]
        loss = self._settling.wake(len(self._in_flight), now)
        return effects + self._tell_loss(loss) if loss is not None else effects

    # What front ends say

    def arrived(self, request: Request, facts: SessionFacts, now: float) -> list[Effect]:
        """Take a message of a front end; raises `WireError` when it is none."""
        self._prompts.note_sender(request)
        self._has_page = self._has_page or request.info.msg_type in _ASKED_BY_PEOPLE
        match request.info.msg_type:
            case "kernel_info_request":
                return self._sessionless.tell_kernel_info(request)
            case "interrupt_request":
                return self._interrupt(request, facts, now)
            case "execute_request":
                return self._take_cell(request, facts, now)
        if self._settling.loss is not None:
            return self._hold_to_settle(request)
        waits = self._sessionless.hold_debugger(request, facts.hello if facts.is_attached else None)
        if waits is not None:
            return waits
        answer = self._do_without_session(request, facts)
        return self._pass_on(request, facts) if answer is None else answer

    def _do_without_session(self, request: Request, facts: SessionFacts) -> list[Effect] | None:
        """Do what can be done without a session; `None` where that is not all. One on its way is waited for."""
        if request.info.msg_type in POLLS and not facts.is_kept:
            return self._sessionless.answer(request)  # each request to the pod would keep it from cooling down
        if facts.exists or self._in_flight:
            return None
        return self._sessionless.answer_hidden(request) if facts.is_ahead else self._sessionless.answer(request)

    def _pass_on(self, request: Request, facts: SessionFacts) -> list[Effect]:
        if not request.is_execute:
            assert request.message is not None
            was_full, self._is_full = self._is_full, not self._has_room_for(request.message, facts)
            if self._is_full:
                return self._turn_away(request, is_news=not was_full)
        if request.is_cell and not request.is_attended and facts.brings_files:
            self._withheld.hold(request)
        effects: list[Effect] = [self._in_flight.send(each) for each in (*self._sessionless.take_waiting(), request)]
        if request.is_cell and not facts.is_attached:
            effects += [*self._replies.busy(request), BeginLine(LINK_IS_DOWN if facts.is_there else STARTING)]
        return effects

    def _has_room_for(self, message: Message, facts: SessionFacts) -> bool:
        """Return whether a message may wait with the others; what answers a prompt or looks into a running cell
        always may."""
        if message.channel is not Channel.SHELL or not facts.waiting_bytes:
            return True
        return facts.waiting_bytes + message.size <= self._max_waiting_bytes

    def _turn_away(self, request: Request, *, is_news: bool) -> list[Effect]:
        """Refuse what there is no room for; of messages to which nobody expects a reply, the first is told."""
        error = PoolUnreachable(NO_ROOM)
        if request.expects_reply:
            return self._replies.fail(request, error)
        return self.tell(describe_refusal(error)) if is_news else []

    def answer(self, request: Request, content: Mapping[str, object]) -> list[Effect]:
        """Reply to a request that is nobody else's to answer."""
        return self._replies.answer(request, content)

    def fail(self, request: Request, error: RemoteKernelError) -> list[Effect]:
        """End a request, whatever its state is, with an error."""
        return self._endings.fail(request, error)

    # Cells, commands and their order

    def _take_cell(self, request: Request, facts: SessionFacts, now: float) -> list[Effect]:
        content = request.content
        request.is_silent = content.get("silent") is True
        takes_input = content.get("allow_stdin") is True
        # A server that runs a page's cells in the page's place can pass no prompt on; other cells without a prompt are
        # an extension's own.
        request.is_attended = takes_input or (self._has_page and content.get("store_history", True) is True)
        request.shows_waiting = request.is_marked(SHOWS_WAITING)
        request.command = parse_command(content.get("code"))
        self._replies.note_audience(request)
        if takes_input:
            self._prompts.note_asked(request)
        if self._settling.loss is not None:
            return self._hold_to_settle(request)
        if self._held or self._is_taken or (request.command and self._in_flight.is_executing):
            self._held.append(request)
            return []
        return self._begin(request, facts, now)

    @property
    def _is_taken(self) -> bool:
        """Return whether cells wait for what is done here for one of them."""
        return self.command is not None or self.preparing is not None

    def _begin(self, request: Request, facts: SessionFacts, now: float) -> list[Effect]:
        if request.command:
            request.move(Event.BEGINS_HERE)
            self.command = request
            return [*self._replies.busy(request), RunCommand(request, request.command)]
        answer = self._do_without_session(request, facts)
        if answer is not None:
            return answer
        if facts.untold is None and request.is_cell and not facts.is_prepared:
            self.preparing = request
            return [*self._replies.busy(request), Prepare(request)]
        return self._pass_on_or_tell(request, facts, now)

    def _pass_on_or_tell(self, request: Request, facts: SessionFacts, now: float) -> list[Effect]:
        """Pass a cell on, or tell in it of a session that is lost."""
        if facts.untold is None:
            return self._pass_on(request, facts)
        if not request.is_cell:
            return self._replies.fail(request, facts.untold)
        request.is_lost = True
        self._in_flight.add(request)
        self._settling.begin(facts.untold, len(self._in_flight), now)
        return [NoteUntold(None)]

    def _go_on(self, facts: SessionFacts, now: float) -> list[Effect]:
        effects: list[Effect] = []
        while self._held and not self._is_taken and self._settling.loss is None:
            if self._held[0].command and self._in_flight.is_executing:
                break
            effects += self._begin(self._held.popleft(), facts, now)
        return effects

    def prepared(
        self, request: Request, error: RemoteKernelError | None, facts: SessionFacts, now: float
    ) -> list[Effect]:
        """Run the cell for which the session was prepared, or end it with what went wrong, and go on."""
        self.preparing = None
        if error is not None:
            return [Step.END_LINE, *self._end_here(request, error)]
        if self._settling.loss is not None:
            return [Step.END_LINE, *self._hold_to_settle(request)]
        return [Step.END_LINE, *self._pass_on_or_tell(request, facts, now), *self._go_on(facts, now)]

    def _end_here(self, request: Request, error: RemoteKernelError) -> list[Effect]:
        """End a cell that was not passed on; behind one that failed nothing is run."""
        request.move(Event.ENDS)
        told: list[Effect] = [NoteUntold(None)] if isinstance(error, SessionLost) else []
        return [*told, *self._replies.fail(request, error), *self._abort_held()]

    def command_ended(
        self, request: Request, error: RemoteKernelError | None, facts: SessionFacts, now: float
    ) -> list[Effect]:
        """Reply to the cell of a command, and go on with what waited for it; behind one that failed nothing is run."""
        self.command = None
        if error is not None:
            return self._end_here(request, error)
        request.move(Event.ENDS)
        effects: list[Effect] = []
        if request.command and request.command.verb in {Verb.RESET, Verb.RELEASE}:
            effects += self._endings.fail_open(SessionLost(GIVEN_BACK))
        effects += self._replies.answer(request, local_answers.execute_content(self._last_reply))
        return effects + self._go_on(facts, now)

    def _abort_held(self) -> list[Effect]:
        held, self._held = self._held, deque()
        return [effect for request in held for effect in self._replies.abort(request)]

    # Interrupts

    def _interrupt(self, request: Request, facts: SessionFacts, now: float) -> list[Effect]:
        message = request.take_message()
        effects = self._replies.answer(request, {"status": "ok"})
        if self.command is not None:
            effects.append(Step.CANCEL_COMMAND)
        if self.preparing is not None:
            effects.append(Step.CANCEL_PREPARATION)
        if self._settling.loss is not None:
            return effects + self._tell_loss(self._settling.loss)
        if self.command is not None and not self.is_busy:
            return effects  # what the command has begun in the session, it ends itself: a second interrupt hits others
        if not self._in_flight and not facts.is_attached:
            # As before every shutdown; reaching for a session only to interrupt it could take a new one. But what was
            # left running, as by an earlier process of this kernel, is looked for already.
            if facts.is_sought and (facts.is_inherited or self._replies.is_left_busy):
                effects.append(Send(message))
            return effects
        if not facts.is_there or self._interrupts.are_told:
            return effects + self._free_cells(facts)
        cells = frozenset(self._in_flight.executing)
        if cells:  # it may arrive when they have ended, and others run
            parts = message.parts
            message = message._replace(parts=(*parts[:3], Aim(cells=cells).to_content(), *parts[4:]))
        if facts.is_attached and facts.is_shared and not self._in_flight.has_begun:
            self._interrupts.send_soon(message, request.info.msg_id, now=now)
            return effects
        return effects + self._interrupts.send(message, request.info.msg_id, is_attached=facts.is_attached, now=now)

    def _free_cells(self, facts: SessionFacts) -> list[Effect]:
        """End what waits for the session, without the session; one that exists is still looked for."""
        self._interrupts.forget()
        asked = self._interrupts.give_up(self._in_flight.executing) if facts.is_there else []
        error = Interrupted(LEFT if facts.is_there else NOT_SENT)
        return [Step.FORGET_UNSENT, *asked, *self.fail_all(error, may_go_on=facts.is_there)]

    def close(self) -> None:
        """Wait for nothing any more: the kernel is about to end."""
        self._interrupts.close()
        self._settling.end()
        self._unanswered.clear()

    # What the pod's kernel says

    def published(self, said: KernelMessage, now: float) -> list[Effect]:
        """Take a message on iopub."""
        alike = self._in_flight.of(said.key)
        if alike and alike[0].origin is not Origin.FRONT_END:
            self._move(said, now)
            return []
        effects: list[Effect] = self._note_status(said, now) if said.state else [Publish(said.message.parts)]
        if said.msg_type == "error":
            effects += self._explain(said)
        if self.orphaned.is_active and self._in_flight.find(said.key) is None and self.orphaned.note(said):
            self._notes.tell(MISSED)
        if self._notes.waiting:
            effects += self._show_notes()
        return effects

    def _move(self, said: KernelMessage, now: float) -> Request | None:
        event = _STATUSES.get(said.state)
        request = self._in_flight.move(said.key, event, said.message.parts[1]) if event else None
        if request is not None:
            self._unanswered.note(request, now)
        return request

    def _note_status(self, said: KernelMessage, now: float) -> list[Effect]:
        request = self._move(said, now)
        publish = Publish(said.message.parts)
        if said.state == "busy":
            return self._note_busy(request, publish)
        if said.state == "idle" and request is not None and request.is_withheld:
            request.is_idle_said = True
            self._withheld.add(request, publish, now)
            return []
        if said.state == "idle":
            return self._note_idle(said, request, publish)
        return [publish]

    def _note_busy(self, request: Request | None, publish: Publish) -> list[Effect]:
        if request is None:
            return [publish]
        if request.state is State.LEFT:
            self._replies.is_left_busy = True
            return self._replies.left_busy()
        if request.is_execute:
            self.orphaned.close()  # what was sent before it has come to its end
        was_said, request.is_busy_said = request.is_busy_said, True
        return [] if was_said else [publish]

    def _note_idle(self, said: KernelMessage, request: Request | None, publish: Publish) -> list[Effect]:
        """Note that a request has ended; the session is not left busy once a cell is idle that nobody waits for."""
        if request is not None and request.is_idle_said:  # of one that has ended here
            return self._replies.end_left_busy()
        if request is not None:
            request.is_idle_said = True
        elif said.parent.msg_type == "execute_request":
            self._replies.is_left_busy = False
        return [publish, *self._replies.left_busy()]

    def replied(self, said: KernelMessage, facts: SessionFacts | None, now: float) -> list[Effect]:
        """Take a message on another channel: a reply, or a prompt.

        Args:
            facts: needed only where a cell waits here (`has_held`).
        """
        if said.message.channel is Channel.STDIN:
            return self._prompts.forward(said)
        if said.msg_type == "interrupt_reply":
            return self._interrupts.acknowledge(said.parent.msg_id)
        request = self._in_flight.move(said.key, Event.REPLY, said.message.parts[1])
        if request is None or request.state is State.LEFT:
            return []  # another front end's, or answered already
        if request.origin is Origin.PROBE:
            return self._end_unanswered(request)
        if request.origin is Origin.HIDDEN:
            return []
        self._unanswered.note_reply(request)
        forward = Forward(request, said.message.channel, said.message.parts)
        effects: list[Effect] = [] if request.is_withheld else [forward]
        if request.is_withheld:
            self._withheld.add(request, forward, now)
        if request.is_execute:
            content = said.message.parts[3]
            self._last_reply = bytes(content) if len(content) <= (REPLY.bytes or 0) else b"{}"
            if self._held:
                assert facts is not None
                effects += self._abort_held() if is_error(content) else self._go_on(facts, now)
        return effects

    # What is done here before a cell ends

    def _explain(self, said: KernelMessage) -> list[Effect]:
        """Explain an error of a cell that somebody looks at, where something can be done about it; one of each cell."""
        request = self._in_flight.find(said.key)
        if request is None or not (request.is_cell and request.is_attended) or request.is_explained:
            return []
        content = parse_reply(said.message.parts[3])
        name, text = content.get("ename"), content.get("evalue")
        if not (isinstance(name, str) and isinstance(text, str)) or name not in EXPLAINED:
            return []
        request.is_explained = True
        self._withheld.hold(request)
        return [Explain(request, name, text[:MAX_EXPLAINED_CHARS])]

    def end_soon(self, msg_id: str) -> None:
        """Note that what is done here for a cell has begun, so that its end waits for as long as that takes."""
        self._withheld.wait(msg_id)

    def end_now(self, msg_id: str, notes: Sequence[str] = ()) -> list[Effect]:
        """Let a cell end for which all has been done here, with notes in it; where it has ended, they wait."""
        request = self._withheld.find(msg_id)
        if request is None:
            return [effect for note in notes for effect in self.tell(note)]
        return [*(show_note(note, request) for note in notes), *self._withheld.let_go(request)]

    def _end_unanswered(self, probe: Request) -> list[Effect]:
        """End the request that a probe stood behind, which was answered first."""
        request = self._unanswered.take_probed(probe)
        if request is None:
            return []
        behind = self._abort_held() if request.is_execute else []
        return [*self.fail(request, NoReply(NO_REPLY)), *behind]

    # What the link says

    def attached(self, hello: wire.Hello, *, are_files_lost: bool) -> list[Effect]:
        """Note that the session can be reached."""
        if are_files_lost:
            self._notes.tell(FILES_LOST)
        ended: list[Effect] = []
        if self._in_flight.is_executing:
            self._replies.is_left_busy = False  # what is said of those tells whether it is busy
        elif hello.is_busy:
            self._replies.is_left_busy = True
        else:
            ended = self._replies.end_left_busy()
        self._interrupts.forget()  # what was sent while the link was down goes out now
        return [
            *self._show_notes(),
            *ended,
            *self._replies.left_busy(),
            *self._interrupts.ask_again(),
            *self._sessionless.attached(hello),
            Step.END_LINE,
        ]

    def tell(self, note: str, *, colour: str = style.WARNING) -> list[Effect]:
        """Show a note in the cell that runs, or in the next one."""
        self._notes.tell(note, colour=colour)
        return self._show_notes()

    def withdraw(self, note: str) -> None:
        """Show a note no more that nobody has seen so far."""
        self._notes.withdraw(note)

    def present(self, shown: Shown) -> list[Effect]:
        """Show something in the cell that runs, or in the next one."""
        self._notes.put(shown)
        return self._show_notes()

    def _show_notes(self) -> list[Effect]:
        return [*self._notes.take(self._in_flight.begun_cell)]

    def dropped(self, gap: wire.Gap) -> list[Effect]:
        """Tell the user that output was dropped."""
        self._notes.count(gap)
        return self._show_notes()

    def joined(self, peers: int) -> list[Effect]:
        """Tell the user, once, that others use the session."""
        if not peers or self._has_told_of_peers:
            return []
        self._has_told_of_peers = True
        return self.tell(SHARED)

    def refused(self, message: Message, error: RemoteKernelError, facts: SessionFacts, now: float) -> list[Effect]:
        """End the request that the pod does not take; what was to run behind a cell is aborted."""
        request = self._in_flight.find_sent(message)
        if request is None:
            return self.tell(describe_refusal(error))
        if request not in self._in_flight:  # nobody waits for it any more
            self._in_flight.end(request)
            return self._end_unanswered(request) if request.origin is Origin.PROBE else []
        effects = self.fail(request, error)
        if request.is_cell:
            return [*effects, Step.ABORT_UNSENT, *self._abort_held()]
        return effects + self._go_on(facts, now)

    def unsent(self, messages: Sequence[Message]) -> list[Effect]:
        """Abort what was not sent behind a cell that failed before it was run."""
        effects: list[Effect] = []
        for message in messages:
            request = self._in_flight.find_sent(message)
            if request is not None and request in self._in_flight:
                self._in_flight.end(request)
                effects += self._replies.abort(request)
        return effects

    def failed(
        self, error: RemoteKernelError, facts: SessionFacts, now: float, unsent: Sequence[Message] = (), *,
        is_told: bool, is_described: bool = True,
    ) -> list[Effect]:  # fmt: skip
        """End what was asked of a session that is lost or cannot be reached.

        Args:
            unsent: what the session has certainly not got.
            is_told: whether a command has the error, and tells it.
            is_described: whether the text of a loss is whole; otherwise no cell is told of it before `described`.
        """
        if not isinstance(error, SessionLost):
            return self.fail_all(error, may_go_on=facts.is_there, unsent=unsent)
        if not is_described:
            self._settling.hold()
        for request in self._in_flight:
            request.is_lost = True
        has_cell = self._in_flight.first_cell is not None
        effects = [*self._endings.lose_session(), NoteUntold(None if is_told or has_cell else error)]
        if has_cell:
            self._settling.begin(error, len(self._in_flight), now)
            return effects
        return effects + self.fail_all(error)

    def described(self, loss: SessionLost, facts: SessionFacts) -> list[Effect]:
        """Tell a loss that was noted before in these words."""
        self._settling.release(loss)
        return [NoteUntold(loss)] if facts.untold is not None else []

    def _hold_to_settle(self, request: Request) -> list[Effect]:
        """Take what was sent before the loss could be seen: it ends with it, and is for no other session."""
        if request.expects_reply:
            request.is_lost = True
            self._in_flight.add(request)
        return []

    def _tell_loss(self, loss: SessionLost) -> list[Effect]:
        """End what was for the session that is lost; there may be another one by now, with requests of its own."""
        self._settling.end()
        return [Step.END_LINE, *self._endings.fail_lost(loss), *self._abort_held()]

    def fail_all(
        self, error: RemoteKernelError, *, may_go_on: bool = False, unsent: Sequence[Message] = ()
    ) -> list[Effect]:
        """End every open request; the first cell says why, the ones behind it are aborted as after any error.

        Args:
            may_go_on: whether the session is there, and may go on with what it has got.
            unsent: what it has certainly not got.
        """
        self._settling.end()
        failed = self._endings.fail_open(error, may_go_on=may_go_on, unsent=unsent)
        return [Step.END_LINE, *failed, *self._abort_held()]


_STATUSES = {"busy": Event.BUSY, "idle": Event.IDLE}
