"""Between front end and link: who asked what, who gets which answer, what is answered here.

The relay reads headers to route and copies everything else. The exceptions are requests that must be answered whatever
the network does (`kernel_info`, interrupt, shutdown), questions to a kernel that has run nothing yet, requests that
cannot be passed on, which end with an error like one of the kernel's own, and printed text that has piled up, which the
link hands over in fewer messages (`core.streams`).
"""

import asyncio
import logging
import time
from dataclasses import dataclass, field

from remote_kernel.client.retry import Wait
from remote_kernel.core import wire
from remote_kernel.core.errors import RemoteKernelError, SessionLost
from remote_kernel.core.jupyter import parse_header, parse_object
from remote_kernel.core.log_lines import LogEvent
from remote_kernel.core.wire import DEFAULT_KERNELSPEC, Channel, Message
from remote_kernel.kernel import answers
from remote_kernel.kernel.assistance import Assistance
from remote_kernel.kernel.channels import Channels
from remote_kernel.kernel.commands import Command
from remote_kernel.kernel.hidden import HiddenCells
from remote_kernel.kernel.known_info import KnownInfo
from remote_kernel.kernel.missed import Missed
from remote_kernel.kernel.notebook import Hints
from remote_kernel.kernel.notes import MISSED, SHARED, Notes, describe_gap, describe_refusal
from remote_kernel.kernel.notices import Notice
from remote_kernel.kernel.requests import Interrupted, Replies, Request
from remote_kernel.kernel.session import Session
from remote_kernel.kernel.turns import Turns
from remote_kernel.kernel.verbs import Verbs

_log = logging.getLogger(__name__)

STARTING = Wait("starting a remote session")
LINK_IS_DOWN = Wait("waiting for the session")
UNREACHABLE = Wait("the session cannot be reached to interrupt it (interrupt again to stop waiting)")

# A pod that is there acknowledges an interrupt within milliseconds.
INTERRUPT_SECONDS = 2.0

# "Run All" sends its cells one by one but at once: what comes so soon behind another was sent with it.
TOGETHER_SECONDS = 0.05
# However many there are, the first one's error is not held back for longer.
SETTLE_SECONDS = 1.0

# A front end whose kernel was replaced connects again within a tenth of a second; one that never listens is no reason
# to wait for long.
REJOIN_SECONDS = 5.0

NOT_SENT = "The cell was interrupted before it was sent."
LEFT = (
    "The cell was left alone, as the session cannot be reached: it may still run there. The session is looked for, "
    "and the next cell runs in it once it is found."
)


@dataclass(frozen=True, slots=True)
class Farewell:
    """A `shutdown_request`, and whether it asks for a restart."""

    message: Message
    restart: bool


@dataclass(slots=True)
class PendingInterrupts:
    """The interrupts that the pod has not acknowledged, and whether the user has been told so."""

    msg_ids: set[str] = field(default_factory=set)
    are_told: bool = False
    timer: asyncio.TimerHandle | None = None

    def clear(self) -> None:
        self.msg_ids.clear()
        self.are_told = False
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class Relay:
    """The local kernel's behaviour; a `Listener` of its link.

    Args:
        kernelspec: the kernel in the pod.
    """

    def __init__(self, channels: Channels, session: Session, known: KnownInfo, *, kernelspec: str) -> None:
        self._channels = channels
        self._replies = Replies(channels)
        self._session = session
        self._known = known
        self._kernelspec = kernelspec
        self._hints = Hints()
        self._hidden = HiddenCells()
        self._requests: dict[str, Request] = {}
        self._early: list[Message] = []
        self._opening: asyncio.Task[None] | None = None
        self._untold: SessionLost | None = None
        self._notice: Notice | None = None
        self._refused_debuggers: dict[str, tuple[str, dict[str, object]]] = {}
        self._has_made_up_debug_info = False
        self._interrupts = PendingInterrupts()
        self._notes = Notes(channels, self._find_begun_cell)
        self._has_told_of_peers = False
        self._settling: asyncio.Task[None] | None = None
        self._missed = Missed()
        self.hello: wire.Hello | None = None
        self._reaching: asyncio.Future[None] | None = None
        self._verbs = Verbs(channels, session, self, self._missed)
        self._assistance = Assistance(self._replies, self._verbs.list_remote)
        self._turns = Turns(
            self._replies,
            perform=self._perform,
            execute=self._execute_now,
            is_executing=lambda: self._is_executing,
        )
        self._farewell: Farewell | None = None
        self.stopped = asyncio.Event()

    async def start(self) -> None:
        """Greet the front end; take up the session that an earlier process of this kernel left."""
        self._channels.say("status", {"execution_state": "starting"})
        if self._session.is_known:
            self._missed.open()
            self._open()

    # From the front end

    async def handle(self, channel: Channel, prefixes: list[bytes], parts: tuple[bytes, ...]) -> None:
        """Take one message of a front end; raises `WireError` when it is none."""
        info = parse_header(parts[0])
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug(LogEvent("request", type=info.msg_type, channel=channel.name.lower()))
        request = Request(channel=channel, prefixes=prefixes, header=parts[0], info=info)
        match info.msg_type:
            case "kernel_info_request":
                await self._tell_kernel_info(request)
            case "interrupt_request":
                await self._interrupt(request, parts)
            case "shutdown_request":
                await self._shut_down(request, parts)
            case "execute_request":
                await self._execute(request, parts)
            case _ if self._assistance.takes(request, parts[3]):
                pass
            case _:
                await self._pass_or_answer(request, parts)

    async def _tell_kernel_info(self, request: Request) -> None:
        known = self._known.content
        if known is None and self._kernelspec != DEFAULT_KERNELSPEC:
            # Only the pod can say which language this is; front ends ask once and believe it.
            self._requests[request.info.msg_id] = request
            self._open()
            return
        await self._replies.answer(request, "kernel_info_reply", answers.kernel_info(known))

    async def _interrupt(self, request: Request, parts: tuple[bytes, ...]) -> None:
        _log.info(LogEvent("interrupt"))
        await self._replies.answer(request, "interrupt_reply", {"status": "ok"})
        self._turns.interrupt()
        link = self._session.link
        if not self._requests and not (link and link.is_attached):
            return  # as before every shutdown; reaching for a session only to interrupt it could take a new one
        if link is None or link.position is None or self._interrupts.are_told:
            await self._free_cells()
            return
        self._interrupts.msg_ids.add(request.info.msg_id)
        link.send(Message(channel=Channel.CONTROL, parts=parts))
        if not link.is_attached:
            self._tell_unreachable()
        elif self._interrupts.timer is None:
            loop = asyncio.get_running_loop()
            self._interrupts.timer = loop.call_later(INTERRUPT_SECONDS, self._tell_unreachable)

    def _tell_unreachable(self) -> None:
        self._interrupts.are_told = True
        self._begin_notice(UNREACHABLE)

    async def _free_cells(self) -> None:
        """End what waits for the session, without the session; one that exists is still looked for."""
        self._interrupts.clear()
        self._early.clear()
        link = self._session.link
        is_left = link is not None and link.position is not None
        if link is not None:
            link.forget_unsent() if is_left else link.give_up()
        await self._fail_requests(Interrupted(LEFT if is_left else NOT_SENT))

    async def _shut_down(self, request: Request, parts: tuple[bytes, ...]) -> None:
        restart = parse_object(parts[3]).get("restart") is True
        _log.info(LogEvent("shutdown", restart=restart))
        await self._replies.answer(request, "shutdown_reply", {"status": "ok", "restart": restart})
        self._farewell = Farewell(Message(channel=Channel.CONTROL, parts=parts), restart)
        self.stopped.set()

    async def aclose(self) -> None:
        """Part from the session as asked: restart it, give it back, or, when nobody asked for anything, leave it."""
        await self._turns.aclose()
        await self._assistance.aclose()
        for task in (self._opening, self._settling):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        self._interrupts.clear()
        await self._end_notice()
        if self._farewell is None:
            await self._session.detach()
        elif self._farewell.restart:
            await self._session.restart(self._farewell.message)
        else:
            await self._session.release(self._farewell.message)

    async def _execute(self, request: Request, parts: tuple[bytes, ...]) -> None:
        if not self._has_session:
            self._hints.read(parts[2], parts[3])
        content = parse_object(parts[3])
        request.is_silent = content.get("silent") is True
        request.is_attended = content.get("allow_stdin") is True
        if self._settling is not None:
            self._requests[request.info.msg_id] = request  # sent before the loss could be seen
        else:
            await self._turns.take(request, parts, content.get("code"))

    @property
    def _is_executing(self) -> bool:
        return any(request.is_execute for request in self._requests.values())

    async def _execute_now(self, request: Request, parts: tuple[bytes, ...]) -> None:
        message = Message(channel=request.channel, parts=parts)
        if not self._has_session and (answer := self._hidden.answer(request.info.msg_type, message)):
            await self._replies.answer(request, *answer)
            return
        if self._untold is None:
            await self._pass_on(request, parts)
        elif request.is_cell:
            self._requests[request.info.msg_id] = request
            self._begin_to_settle(self._untold)
            self._untold = None
        else:
            await self._replies.fail(request, self._untold)

    def _begin_to_settle(self, loss: SessionLost) -> None:
        """Tell of a lost session as soon as all that was sent together has arrived, and abort what stands behind."""
        if self._settling is None:
            self._settling = asyncio.create_task(self._settle(loss))

    async def _settle(self, loss: SessionLost) -> None:
        ends_at = time.monotonic() + SETTLE_SECONDS
        count = 0
        while count < len(self._requests) and time.monotonic() < ends_at:
            count = len(self._requests)
            await asyncio.sleep(TOGETHER_SECONDS)
        self._settling = None
        await self._fail_requests(loss)

    async def _perform(self, request: Request, command: Command) -> None:
        try:
            await self._verbs.perform(request, command)
        except SessionLost:
            self._untold = None  # what the link has to say of it, too, has been told
            raise

    async def settle(self) -> None:
        """See `Owner`."""
        self._untold = None
        if self._opening is not None:
            await asyncio.gather(self._opening, return_exceptions=True)

    async def reach(self) -> None:
        """See `Owner`."""
        if self._untold is not None:
            untold, self._untold = self._untold, None
            raise untold
        link = self._session.link
        if link is not None and link.is_attached:
            return
        self._reaching = asyncio.get_running_loop().create_future()
        self._open()
        self._begin_notice(STARTING if link is None or link.position is None else LINK_IS_DOWN)
        try:
            await self._reaching
        except asyncio.CancelledError:
            link = self._session.link
            if link is not None and link.position is None:
                link.give_up()
            raise
        finally:
            self._reaching = None
            await self._end_notice()

    async def _pass_or_answer(self, request: Request, parts: tuple[bytes, ...]) -> None:
        is_for_pod = self._has_session and self._may_ask_pod(request, parts)
        if is_for_pod or not await self._answer_without_session(request, parts):
            await self._pass_on(request, parts)

    def _may_ask_pod(self, request: Request, parts: tuple[bytes, ...]) -> bool:
        """Whether the session's answer helps: no debugger finds a cell's file by what we made up of its name."""
        command = answers.debug_command(request.info.msg_type, parts[3])
        if command == "debugInfo":
            self._has_made_up_debug_info = False
        return command != "initialize" or not self._has_made_up_debug_info

    @property
    def _has_session(self) -> bool:
        """Whether a session exists, or will for the sake of an earlier message."""
        return bool(self._session.is_known or self._early or self._requests)

    async def _answer_without_session(self, request: Request, parts: tuple[bytes, ...]) -> bool:
        msg_type, content_part = request.info.msg_type, parts[3]
        if answer := self._hidden.answer(msg_type, Message(channel=request.channel, parts=parts)):
            await self._replies.answer(request, *answer)
            return True
        if answers.is_for_widgets(msg_type, content_part):
            self._replies.say_busy(request)
            if msg_type == "comm_open":
                comm_id = parse_object(content_part).get("comm_id", "")
                self._channels.say("comm_close", {"comm_id": comm_id, "data": {}}, request.header)
            self._replies.say_idle(request)
            return True
        if answer := answers.without_session(msg_type, content_part):
            command = answers.debug_command(msg_type, content_part)
            self._has_made_up_debug_info |= command == "debugInfo"
            if command == "initialize" and not self._is_attached:
                # Refused when trying again helps: who is refused at once tries again too soon.
                self._requests[request.info.msg_id] = request
                self._refused_debuggers[request.info.msg_id] = answer
                self._open()
            else:
                await self._replies.answer(request, *answer)
            return True
        return False

    @property
    def _is_attached(self) -> bool:
        return self._session.link is not None and self._session.link.is_attached

    async def _pass_on(self, request: Request, parts: tuple[bytes, ...]) -> None:
        if request.info.msg_type.endswith("_request"):
            self._requests[request.info.msg_id] = request
        messages = [*self._hidden.take(), Message(channel=request.channel, parts=parts)]
        link = self._session.link
        if link is None:
            self._early += messages
            self._open()
        else:
            for message in messages:
                link.send(message)
            self._tell_link()
        if request.is_cell and not (link and link.is_attached):
            self._replies.say_busy(request)
            self._begin_notice(STARTING if link is None or link.position is None else LINK_IS_DOWN)

    # The link

    def _open(self) -> None:
        if self._session.link is not None:
            self._session.link.open()
        elif self._opening is None:
            self._opening = asyncio.create_task(self._open_session())

    async def _open_session(self) -> None:
        if self._session.is_known:  # there may be output that nobody has seen
            await self._channels.wait_heard(REJOIN_SECONDS)
        try:
            link = await self._session.open(self, self._hints)
        except RemoteKernelError as error:
            self._early.clear()
            await self.failed(error)
        else:
            early, self._early = self._early, []
            for message in early:
                link.send(message)
            self._tell_link()
            if self._requests or self._reaching is not None or self._session.is_known:
                link.open()
        finally:
            self._opening = None

    def _tell_link(self) -> None:
        if self._session.link is not None:
            self._session.link.is_busy = self._is_executing or self._replies.is_left_busy

    async def attached(self, hello: wire.Hello) -> None:
        """See `Listener`."""
        self.hello = hello
        if self._reaching is not None and not self._reaching.done():
            self._reaching.set_result(None)
        self._known.learn(hello.kernel_info)
        self._session.note_position()
        self._replies.is_left_busy = hello.is_busy and not self._is_executing
        self._tell_link()
        self._replies.say_left_busy()
        self._interrupts.clear()  # what was sent while the link was down goes out now
        await self._answer_waiting()
        await self._end_notice()

    async def _answer_waiting(self) -> None:
        """Answer what waited for the session to be there, and not for a word of its kernel."""
        for request in list(self._requests.values()):
            answer = self._refused_debuggers.pop(request.info.msg_id, None)
            if request.info.msg_type == "kernel_info_request":
                answer = "kernel_info_reply", answers.kernel_info(self._known.content)
            if answer is not None:
                del self._requests[request.info.msg_id]
                await self._replies.answer(request, *answer)

    async def received(self, message: Message) -> None:
        """See `Listener`."""
        if message.channel is Channel.IOPUB:
            await self._channels.room()
        # Before, not after: if this process is killed in between, a front end that saw a message twice would take the
        # second for a replay attack and stop ("Duplicate Signature" in jupyter_client).
        self._session.note_position()
        if message.channel is Channel.IOPUB:
            if not self._hidden.has_ended_before(message) and not self._is_second_busy(message):
                self._channels.publish(message.parts)
            if self._replies.is_left_busy and b'"idle"' in message.parts[3]:
                parent = parse_header(message.parts[1])
                self._replies.is_left_busy = parent.msg_type != "execute_request" or parent.msg_id in self._requests
                self._replies.say_left_busy()
                self._tell_link()
            self._notes.show()
            self._note_missed(message)
            return
        msg_id = parse_header(message.parts[1]).msg_id
        if msg_id in self._interrupts.msg_ids:
            was_told = self._interrupts.are_told
            self._interrupts.clear()
            if was_told:
                await self._end_notice()
        request = self._requests.get(msg_id)
        if request is None:
            return  # another front end's, or answered already
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug(LogEvent("reply", to=request.info.msg_type, channel=message.channel.name.lower()))
        await self._channels.send(message.channel, request.prefixes, message.parts)
        if message.channel is Channel.STDIN:
            return
        del self._requests[request.info.msg_id]
        self._tell_link()
        if request.is_execute:
            await self._turns.cell_ended(message.parts[3])

    def _note_missed(self, message: Message) -> None:
        if not self._missed.is_active or parse_header(message.parts[1]).msg_id in self._requests:
            return
        had_any = bool(self._missed.messages)
        self._missed.note(message)
        if self._missed.messages and not had_any:
            self._notes.tell(MISSED)

    def _is_second_busy(self, message: Message) -> bool:
        """Note that the pod begins with a request; whether the front end has been told already."""
        if b'"status"' not in message.parts[0] or b'"busy"' not in message.parts[3]:
            return False
        msg_id = parse_header(message.parts[1]).msg_id
        request = self._requests.get(msg_id)
        if request is not None:
            request.has_begun = True
            if request.is_execute:
                self._missed.close()  # what was sent before it has come to its end
                self._hidden.close()
        return self._replies.was_said_busy(msg_id)

    async def dropped(self, gap: wire.Gap) -> None:
        """See `Listener`."""
        _log.warning(LogEvent("output dropped", messages=gap.last - gap.first + 1))
        self._notes.tell(describe_gap(gap))

    async def joined(self, peers: int) -> None:
        """See `Listener`."""
        _log.info(LogEvent("shared", other_kernels=peers))
        if peers and not self._has_told_of_peers:
            self._has_told_of_peers = True
            self._notes.tell(SHARED)

    def _find_begun_cell(self) -> Request | None:
        return next((request for request in self._requests.values() if request.is_cell and request.has_begun), None)

    async def waiting(self, wait: Wait) -> None:
        """See `Listener`."""
        if not self._interrupts.are_told:
            self._begin_notice(wait)

    async def refused(self, message: Message, error: RemoteKernelError) -> None:
        """See `Listener`."""
        _log.warning(LogEvent("message refused", error=error.name, text=str(error)))
        request = self._requests.pop(parse_header(message.parts[0]).msg_id, None)
        if request is None:
            self._notes.tell(describe_refusal(error))
            return
        await self._replies.fail(request, error)
        if request.is_cell:
            await self._abort_unsent()
            await self._turns.abort()
        self._tell_link()

    async def _abort_unsent(self) -> None:
        """Abort the cells that were to run behind one that failed before it was run."""
        assert self._session.link is not None
        unsent = {parse_header(message.parts[0]).msg_id for message in self._session.link.forget_unsent(Channel.SHELL)}
        for msg_id in unsent & self._requests.keys():
            request = self._requests.pop(msg_id)
            await self._replies.abort(request)

    async def failed(self, error: RemoteKernelError) -> None:
        """See `Listener`."""
        _log.warning(LogEvent("failed", error=error.name, text=str(error)))
        is_told = any(request.is_cell for request in self._requests.values())
        is_awaited = self._reaching is not None and not self._reaching.done()
        if self._reaching is not None and is_awaited:
            self._reaching.set_exception(error)
        if isinstance(error, SessionLost):
            self._replies.is_left_busy = False
            self._session.note_position()
            self._untold = None if is_told or is_awaited else error
            if is_told:
                self._begin_to_settle(error)
                return
        await self._fail_requests(error)

    # Requests that end here

    async def _fail_requests(self, error: RemoteKernelError) -> None:
        """End every open request; the first cell says why, the ones behind it are aborted as after any error."""
        await self._end_notice()
        requests, self._requests = list(self._requests.values()), {}
        self._refused_debuggers.clear()
        self._tell_link()
        await self._turns.abort()
        is_told = False
        for request in requests:
            if request.info.msg_type == "kernel_info_request":
                await self._replies.answer(request, "kernel_info_reply", answers.kernel_info(None))
            elif request.is_cell and is_told:
                await self._replies.abort(request)
            else:
                await self._replies.fail(request, error)
                is_told = is_told or request.is_cell

    # The waiting line

    def _begin_notice(self, wait: Wait) -> None:
        if self._notice is not None:
            self._notice.wait = wait
            return
        cell = next((request for request in self._requests.values() if request.is_cell), None)
        if cell is None and self._reaching is not None:
            cell = self._turns.current
        if cell is not None and cell.is_cell:
            self._notice = Notice(self._channels, cell.header, wait, has_output=cell.has_begun)

    async def _end_notice(self) -> None:
        notice, self._notice = self._notice, None
        if notice is not None:
            await notice.aclose()
