"""Relay between front end and session: answers what must be answered here, and passes on the rest.

The relay reads headers to route and copies everything else. The exceptions are requests that must be answered whatever
the network does (`kernel_info`, interrupt, shutdown), requests to a kernel that has run nothing yet
(`before_session`), `%session` with its Tab (`magics`), requests that cannot be passed on, which end with an error like
one of the kernel's own (`requests.failures`), and printed text that has piled up, which the link hands over in fewer
messages (`core.text.stream_merging`). What comes back is for `requests.deliveries`.
"""

import asyncio
import logging
from dataclasses import dataclass

from remote_kernel.core.errors import PoolUnreachable, SessionLost, WireError
from remote_kernel.core.jupyter.interrupt_aim import Aim
from remote_kernel.core.jupyter.messages import parse_header, parse_object
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.core.wire.frames import Channel, Message
from remote_kernel.kernel.before_session.sessionless import Sessionless
from remote_kernel.kernel.before_session.vscode_cells import VsCodeCells
from remote_kernel.kernel.defects import report_defect
from remote_kernel.kernel.frontend.channels import Channels
from remote_kernel.kernel.frontend.kernel_info_cache import KernelInfoCache
from remote_kernel.kernel.magics.actions import Actions
from remote_kernel.kernel.magics.completion import Completion
from remote_kernel.kernel.magics.session_command import Command, Verb
from remote_kernel.kernel.output.orphaned_output import OrphanedOutput
from remote_kernel.kernel.output.publishing import Publishing
from remote_kernel.kernel.output.session_notices import describe_refusal
from remote_kernel.kernel.output.waiting_line import WaitingLine
from remote_kernel.kernel.requests.cell_queue import CellQueue
from remote_kernel.kernel.requests.deliveries import Deliveries
from remote_kernel.kernel.requests.failures import Failures
from remote_kernel.kernel.requests.in_flight import InFlightRequests
from remote_kernel.kernel.requests.interrupts import Interrupts
from remote_kernel.kernel.requests.replies import Replies
from remote_kernel.kernel.requests.request import Interrupted, Request
from remote_kernel.kernel.requests.uplink import MAX_WAITING_BYTES, Uplink
from remote_kernel.kernel.session.attachment import Attachment
from remote_kernel.kernel.session.notebook_path import Hints
from remote_kernel.kernel.session.session import Session

_log = logging.getLogger(__name__)

NOT_SENT = "The cell was interrupted before it was sent."
LEFT = (
    "The cell was left alone, as the session cannot be reached: it may still run there. The session is looked for; "
    "once it is found, the cell is interrupted there, and the next one runs."
)
NO_ROOM = (
    f"What waits to be sent to the session has come to {MAX_WAITING_BYTES >> 20} MB: wait until the session is there, "
    "then do this again."
)


@dataclass(frozen=True, slots=True)
class Farewell:
    """A `shutdown_request`, and whether it asks for a restart."""

    message: Message
    restart: bool


class Relay:
    """The local kernel's behaviour.

    Args:
        kernelspec: the kernel in the pod.
        is_eager: whether the session is taken at the start.

    Attributes:
        stopped: is set when the kernel is to end.
        has_died: whether it ends because a session was lost with nobody there to decide what then.
        listener: what the link tells of the session.
    """

    def __init__(
        self, channels: Channels, session: Session, known: KernelInfoCache, *, kernelspec: str, is_eager: bool = False
    ) -> None:
        self.stopped = asyncio.Event()
        self.has_died = False
        self._is_eager = is_eager
        self._farewell: Farewell | None = None
        self._is_full = False
        self._channels = channels
        self._session = session
        self._hints = Hints()
        self._missed = OrphanedOutput()
        self._attachment = Attachment()
        self._requests = InFlightRequests(session.note_busy)
        self._replies = Replies(channels, self._requests, die=self._die)
        self._line = WaitingLine(channels, self._find_waiting_cell)
        self._interrupts = Interrupts(self._line)
        hidden = VsCodeCells()
        self._sessionless = Sessionless(
            channels, self._requests, self._replies, hidden, known, kernelspec=kernelspec,
            open_session=lambda: self._uplink.open(), send=lambda message: self._uplink.send(message),
            read_history=lambda request: session.read_history(request, self._hints),
        )  # fmt: skip
        self._cell_queue = CellQueue(
            self._replies,
            perform=self._perform,
            execute=self._execute_now,
            is_executing=lambda: self._requests.is_executing,
        )
        self._failures = Failures(
            session, self._requests, self._replies, self._cell_queue, self._line, self._sessionless, self._missed
        )
        self.listener = Deliveries(
            channels=channels, session=session, known=known, requests=self._requests, replies=self._replies,
            cell_queue=self._cell_queue, line=self._line, interrupts=self._interrupts, attachment=self._attachment,
            publishing=Publishing(channels, self._requests, self._replies, hidden, self._missed),
            sessionless=self._sessionless, failures=self._failures,
        )  # fmt: skip
        self._uplink = Uplink(
            channels, session, self._requests, hidden, self._attachment, self._line, self.listener, self._hints
        )
        self._actions = Actions(
            channels, session, self._missed, self._attachment, self.listener, reach=self._reach, settle=self._settle
        )
        self._completion = Completion(self._replies, self._actions.list_remote)

    def _find_waiting_cell(self) -> Request | None:
        cell = self._requests.first_cell
        if cell is None and self._attachment.is_awaited:
            cell = self._cell_queue.current
        return cell if cell is not None and cell.is_cell else None

    def _die(self) -> None:
        self.has_died = True
        self.stopped.set()

    async def start(self) -> None:
        """Greet the front end; take up the session that an earlier process of this kernel left."""
        self._channels.say("status", {"execution_state": "starting"})
        self._session.tidy()
        if self._session.is_known:
            self._missed.open()
            self._uplink.open()
        elif self._is_eager:
            self._uplink.open_ahead()

    async def handle(self, channel: Channel, prefixes: list[bytes], parts: tuple[bytes, ...]) -> None:
        """Take one message of a front end; raises `WireError` when it is none."""
        if self.has_died:
            return
        info = parse_header(parts[0])
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug(LogEvent("request", type=info.msg_type, channel=channel.name.lower()))
        request = Request(channel=channel, prefixes=prefixes, header=parts[0], info=info)
        try:
            await self._handle(request, parts)
        except WireError:
            raise
        except Exception as error:  # the kernel must hear the next message, whatever this one has brought up
            failure = report_defect(error)
            if info.msg_type.endswith("_request"):
                self._requests.close(info.msg_id)
                await self._replies.fail(request, failure)

    async def _handle(self, request: Request, parts: tuple[bytes, ...]) -> None:
        match request.info.msg_type:
            case "kernel_info_request":
                await self._sessionless.tell_kernel_info(request)
            case "interrupt_request":
                await self._interrupt(request, parts)
            case "shutdown_request":
                await self._shut_down(request, parts)
            case "execute_request":
                await self._execute(request, parts)
            case _ if self._completion.takes(request, parts[3]):
                pass
            case _:
                await self._pass_or_answer(request, parts)

    async def _interrupt(self, request: Request, parts: tuple[bytes, ...]) -> None:
        _log.info(LogEvent("interrupt"))
        await self._replies.answer(request, "interrupt_reply", {"status": "ok"})
        self._cell_queue.interrupt()
        if not len(self._requests) and not self._uplink.is_attached:
            # As before every shutdown; reaching for a session only to interrupt it could take a new one. But what was
            # left running, as by an earlier process of this kernel, is looked for already.
            if self._uplink.may_find_it_busy:
                self._uplink.send(Message(channel=Channel.CONTROL, parts=parts))
            return
        link = self._session.link
        if link is None or link.position is None or self._interrupts.are_told:
            await self._free_cells()
        else:
            cells = self._requests.executing
            if cells:  # it may arrive when they have ended, and others run
                parts = (*parts[:3], Aim(cells=frozenset(cells)).to_content(), *parts[4:])
            is_for_others = link.is_attached and link.peers and not self._requests.has_begun
            send = self._interrupts.send_soon if is_for_others else self._interrupts.send
            send(link, Message(channel=Channel.CONTROL, parts=parts), request.info.msg_id)

    async def _free_cells(self) -> None:
        """End what waits for the session, without the session; one that exists is still looked for."""
        self._interrupts.forget()
        is_left = self._uplink.forget_unsent()
        if is_left and self._session.link is not None:
            self._interrupts.give_up(self._session.link, self._requests.executing)
        await self._failures.fail_all(Interrupted(LEFT if is_left else NOT_SENT))

    async def _shut_down(self, request: Request, parts: tuple[bytes, ...]) -> None:
        restart = parse_object(parts[3]).get("restart") is True
        self._interrupts.close()
        _log.info(LogEvent("shutdown", restart=restart))
        await self._replies.answer(request, "shutdown_reply", {"status": "ok", "restart": restart})
        self._farewell = Farewell(Message(channel=Channel.CONTROL, parts=parts), restart)
        self.stopped.set()

    async def aclose(self) -> None:
        """Part from the session as asked: restart it, give it back, or, when nobody asked for anything, leave it to
        those who can come back to it."""
        await self._cell_queue.aclose()
        await self._completion.aclose()
        await self._uplink.aclose()
        await self._failures.aclose()
        self._interrupts.close()
        await self._line.end()
        if self._farewell is None:
            await self._session.leave()
        elif self._farewell.restart:
            await self._session.restart(self._farewell.message)
        else:
            await self._session.release()

    # Cells and commands

    async def _execute(self, request: Request, parts: tuple[bytes, ...]) -> None:
        if not self._uplink.has_session:
            self._hints.read(parts[2], parts[3])
        content = parse_object(parts[3])
        self._session.history.note(content)
        request.is_silent = content.get("silent") is True
        request.is_attended = content.get("allow_stdin") is True
        self._replies.note_audience(request)
        if self._failures.is_settling:
            self._requests.add(request)  # sent before the loss could be seen
        else:
            await self._cell_queue.take(request, parts, content.get("code"))

    async def _execute_now(self, request: Request, parts: tuple[bytes, ...]) -> None:
        message = Message(channel=request.channel, parts=parts)
        if not self._uplink.has_session and await self._do_without_session(request, message):
            return
        loss = self._session.untold
        if loss is None:
            await self._pass_on(request, message)
        elif request.is_cell:
            self._session.note_untold(None)
            self._requests.add(request)
            self._failures.begin_to_settle(loss)
        else:
            await self._replies.fail(request, loss)

    async def _perform(self, request: Request, command: Command) -> None:
        try:
            await self._actions.perform(request, command)
        except SessionLost:
            self._session.note_untold(None)  # what the link has to say of it, too, has been told
            raise
        if command.verb in {Verb.RESET, Verb.RELEASE}:
            self._replies.end_left_busy()
            self._interrupts.forget_given_up()

    async def _reach(self) -> None:
        """Return when the session can be reached; raises `RemoteKernelError`, which may be an earlier loss."""
        if (loss := self._session.untold) is not None:
            self._session.note_untold(None)
            raise loss
        await self._uplink.reach()

    async def _settle(self) -> None:
        """End what stands between a session and its end: an error that was to be told, an opening under way."""
        self._session.note_untold(None)
        await self._uplink.settle()

    # Everything else

    async def _pass_or_answer(self, request: Request, parts: tuple[bytes, ...]) -> None:
        message = Message(channel=request.channel, parts=parts)
        hello = self._attachment.hello if self._uplink.is_attached else None
        if await self._sessionless.hold_debugger(request, message, hello):
            return
        if self._uplink.has_session or not await self._do_without_session(request, message):
            await self._pass_on(request, message)

    async def _do_without_session(self, request: Request, message: Message) -> bool:
        """Do what can be done without a session; whether that is all. One that is on its way is waited for."""
        if self._uplink.is_ahead:
            return await self._sessionless.answer_hidden(request, message)
        return await self._sessionless.answer(request, message)

    async def _pass_on(self, request: Request, message: Message) -> None:
        if not request.is_execute:
            was_full, self._is_full = self._is_full, not self._uplink.has_room_for(message)
            if self._is_full:
                await self._turn_away(request, is_news=not was_full)
                return
        for held, held_message in self._sessionless.take_held():
            self._requests.add(held)
            self._uplink.send(held_message)
        if request.info.msg_type.endswith("_request"):
            self._requests.add(request)
        self._uplink.send(message)
        if request.is_cell and not self._uplink.is_attached:
            self._replies.say_busy(request)
            self._uplink.begin_line()

    async def _turn_away(self, request: Request, *, is_news: bool) -> None:
        """Refuse what there is no room for; of messages to which nobody expects a reply, the first is told."""
        error = PoolUnreachable(NO_ROOM)
        if request.info.msg_type.endswith("_request"):
            await self._replies.fail(request, error)
        elif is_news:
            self.listener.publishing.notes.tell(describe_refusal(error))
