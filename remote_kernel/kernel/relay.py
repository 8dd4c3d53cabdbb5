"""Between front end and link: who asked what, who gets which answer, what is answered here.

The relay reads headers to route and copies everything else. The exceptions are requests that must be answered whatever
the network does (`kernel_info`, interrupt, shutdown), questions to a kernel that has run nothing yet, and requests that
cannot be passed on, which end with an error like one of the kernel's own.
"""

import asyncio
from dataclasses import dataclass, field

from remote_kernel.core import wire
from remote_kernel.core.errors import RemoteKernelError, SessionLost
from remote_kernel.core.jupyter import Header, parse_header, parse_object
from remote_kernel.core.wire import DEFAULT_KERNELSPEC, Channel, Message
from remote_kernel.kernel import answers
from remote_kernel.kernel.channels import Channels
from remote_kernel.kernel.known_info import KnownInfo
from remote_kernel.kernel.notebook import Hints
from remote_kernel.kernel.notices import Notice
from remote_kernel.kernel.session import Session

STARTING = "starting a remote session"
UNREACHABLE = "the session cannot be reached to interrupt it (interrupt again to stop waiting)"

NOT_SENT = "The cell was interrupted before it was sent."
LEFT = (
    "The cell was left alone, as the session cannot be reached: it may still run there. "
    "The next cell finds the session again if it is still there."
)


class Interrupted(RemoteKernelError):
    """The user interrupted a cell that waits for the session."""

    @property
    def name(self) -> str:
        return "KeyboardInterrupt"


@dataclass(slots=True, kw_only=True)
class Request:
    """A request of the front end that has no reply yet.

    Attributes:
        prefixes: ZeroMQ's way back to who asked.
        header: the header part, the parent of everything said about it.
        is_busy: whether the front end has been told that it is being worked on.
        has_begun: whether the pod's kernel has.
    """

    channel: Channel
    prefixes: list[bytes] = field(repr=False)
    header: bytes
    info: Header
    is_silent: bool = False
    is_busy: bool = False
    has_begun: bool = False

    @property
    def is_execute(self) -> bool:
        return self.info.msg_type == "execute_request"

    @property
    def is_cell(self) -> bool:
        """Whether a user sees the result."""
        return self.is_execute and not self.is_silent

    @property
    def reply_type(self) -> str:
        return self.info.msg_type.removesuffix("_request") + "_reply"


@dataclass(frozen=True, slots=True)
class Farewell:
    """A `shutdown_request`, and whether it asks for a restart."""

    message: Message
    restart: bool


class Relay:
    """The local kernel's behaviour; a `Listener` of its link.

    Args:
        kernelspec: the kernel in the pod.
    """

    def __init__(self, channels: Channels, session: Session, known: KnownInfo, *, kernelspec: str) -> None:
        self._channels = channels
        self._session = session
        self._known = known
        self._kernelspec = kernelspec
        self._hints = Hints()
        self._requests: dict[str, Request] = {}
        self._early: list[Message] = []
        self._opening: asyncio.Task[None] | None = None
        self._untold: SessionLost | None = None
        self._notice: Notice | None = None
        self._is_wanted = False
        self._is_interrupted = False
        self._farewell: Farewell | None = None
        self.stopped = asyncio.Event()

    async def start(self) -> None:
        """Greet the front end; take up the session that an earlier process of this kernel left."""
        await self._channels.say("status", {"execution_state": "starting"})
        if self._session.is_known:
            self._open()

    # From the front end

    async def handle(self, channel: Channel, prefixes: list[bytes], parts: tuple[bytes, ...]) -> None:
        """Take one message of a front end; raises `WireError` when it is none."""
        info = parse_header(parts[0])
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
            case _:
                await self._pass_or_answer(request, parts)

    async def _tell_kernel_info(self, request: Request) -> None:
        known = self._known.content
        if known is None and self._kernelspec != DEFAULT_KERNELSPEC:
            # Only the pod can say which language this is; front ends ask once and believe it.
            self._requests[request.info.msg_id] = request
            self._open()
            return
        await self._answer(request, "kernel_info_reply", answers.kernel_info(known))

    async def _answer(self, request: Request, msg_type: str, content: dict[str, object]) -> None:
        """Reply to a request ourselves, between the two status messages that belong to it."""
        await self._say_busy(request)
        await self._channels.reply(request.channel, request.prefixes, msg_type, content, request.header)
        await self._say_status(request, "idle")

    async def _say_busy(self, request: Request) -> None:
        if not (request.is_busy or request.has_begun):
            request.is_busy = True
            await self._say_status(request, "busy")

    async def _say_status(self, request: Request, state: str) -> None:
        await self._channels.say("status", {"execution_state": state}, request.header)

    async def _interrupt(self, request: Request, parts: tuple[bytes, ...]) -> None:
        await self._answer(request, "interrupt_reply", {"status": "ok"})
        link = self._session.link
        if not self._requests and not (link and link.is_attached):
            return  # as before every shutdown; reaching for a session only to interrupt it could take a new one
        message = Message(channel=Channel.CONTROL, parts=parts)
        if link is not None and link.is_attached:
            link.send(message)
        elif link is not None and link.position is not None and not self._is_interrupted:
            self._is_interrupted = True
            link.send(message)
            self._begin_notice(UNREACHABLE)
        else:
            await self._free_cells(LEFT if link and link.position else NOT_SENT)

    async def _free_cells(self, what_happened: str) -> None:
        """End what waits for the session, without the session."""
        self._early.clear()
        if self._session.link is not None:
            self._session.link.give_up()
        await self._fail_requests(Interrupted(what_happened))

    async def _shut_down(self, request: Request, parts: tuple[bytes, ...]) -> None:
        restart = parse_object(parts[3]).get("restart") is True
        await self._answer(request, "shutdown_reply", {"status": "ok", "restart": restart})
        self._farewell = Farewell(Message(channel=Channel.CONTROL, parts=parts), restart)
        self.stopped.set()

    async def aclose(self) -> None:
        """Part from the session as asked: restart it, give it back, or, when nobody asked for anything, leave it."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        await self._end_notice()
        if self._farewell is None:
            await self._session.detach()
        elif self._farewell.restart:
            await self._session.restart(self._farewell.message)
        else:
            await self._session.release(self._farewell.message)

    async def _execute(self, request: Request, parts: tuple[bytes, ...]) -> None:
        content = parse_object(parts[3])
        request.is_silent = content.get("silent") is True
        if not self._has_session:
            self._hints.read(parts[2], parts[3])
        if self._untold is not None:
            await self._fail(request, self._untold)
            if request.is_cell:
                self._untold = None
            return
        await self._pass_on(request, parts)

    async def _pass_or_answer(self, request: Request, parts: tuple[bytes, ...]) -> None:
        if not self._has_session and await self._answer_without_session(request, parts):
            return
        await self._pass_on(request, parts)

    @property
    def _has_session(self) -> bool:
        """Whether a session exists, or will for the sake of an earlier message."""
        return bool(self._session.is_known or self._early or self._requests)

    async def _answer_without_session(self, request: Request, parts: tuple[bytes, ...]) -> bool:
        msg_type, content_part = request.info.msg_type, parts[3]
        if answers.is_for_widgets(msg_type, content_part):
            await self._say_busy(request)
            if msg_type == "comm_open":
                comm_id = parse_object(content_part).get("comm_id", "")
                await self._channels.say("comm_close", {"comm_id": comm_id, "data": {}}, request.header)
            await self._say_status(request, "idle")
            return True
        if answer := answers.without_session(msg_type, content_part):
            await self._answer(request, *answer)
            if answers.starts_debugger(msg_type, content_part):
                self._is_wanted = True
                self._open()
            return True
        return False

    async def _pass_on(self, request: Request, parts: tuple[bytes, ...]) -> None:
        if request.info.msg_type.endswith("_request"):
            self._requests[request.info.msg_id] = request
        message = Message(channel=request.channel, parts=parts)
        link = self._session.link
        if link is None:
            self._early.append(message)
            self._open()
        else:
            link.send(message)
            self._tell_link()
        if request.is_cell and not (link and link.is_attached):
            await self._say_busy(request)
            self._begin_notice(STARTING if link is None or link.position is None else "waiting for the session")

    # The link

    def _open(self) -> None:
        if self._session.link is not None:
            self._session.link.open()
        elif self._opening is None:
            self._opening = asyncio.create_task(self._open_session())

    async def _open_session(self) -> None:
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
            if self._requests or self._is_wanted or self._session.is_known:
                link.open()
        finally:
            self._opening = None

    def _tell_link(self) -> None:
        if self._session.link is not None:
            self._session.link.is_busy = any(request.is_execute for request in self._requests.values())

    async def attached(self, hello: wire.Hello) -> None:
        """See `Listener`."""
        self._known.learn(hello.kernel_info)
        self._session.note_position()
        self._is_interrupted = False
        for request in [
            request for request in self._requests.values() if request.info.msg_type == "kernel_info_request"
        ]:
            del self._requests[request.info.msg_id]
            await self._answer(request, "kernel_info_reply", answers.kernel_info(self._known.content))
        await self._end_notice()

    async def received(self, message: Message) -> None:
        """See `Listener`."""
        # Before, not after: if this process is killed in between, a front end that saw a message twice would take the
        # second for a replay attack and stop ("Duplicate Signature" in jupyter_client).
        self._session.note_position()
        await self._hand_on(message)

    async def _hand_on(self, message: Message) -> None:
        if message.channel is Channel.IOPUB:
            if not self._is_second_busy(message):
                await self._channels.publish(message.parts)
            return
        request = self._requests.get(parse_header(message.parts[1]).msg_id)
        if request is None:
            return  # another front end's, or answered already
        await self._channels.send(message.channel, request.prefixes, message.parts)
        if message.channel is not Channel.STDIN:
            del self._requests[request.info.msg_id]
            self._tell_link()

    def _is_second_busy(self, message: Message) -> bool:
        """Note that the pod begins with a request; whether the front end has been told already."""
        if b'"status"' not in message.parts[0] or b'"busy"' not in message.parts[3]:
            return False
        request = self._requests.get(parse_header(message.parts[1]).msg_id)
        if request is None or request.has_begun:
            return False
        request.has_begun = True
        return request.is_busy

    async def dropped(self, gap: wire.Gap) -> None:
        """See `Listener`."""
        count = gap.last - gap.first + 1
        text = f"\n[{count:,} messages of the session were dropped here: it said more than it can keep]\n"
        parent = next((request.header for request in self._requests.values() if request.is_cell), b"{}")
        await self._channels.say("stream", {"name": "stderr", "text": text}, parent)

    async def waiting(self, reason: str) -> None:
        """See `Listener`."""
        if not self._is_interrupted:
            self._begin_notice(reason)

    async def failed(self, error: RemoteKernelError) -> None:
        """See `Listener`."""
        is_told = any(request.is_cell for request in self._requests.values())
        if isinstance(error, SessionLost):
            self._session.note_position()
            self._untold = None if is_told else error
        await self._fail_requests(error)

    # Requests that end here

    async def _fail_requests(self, error: RemoteKernelError) -> None:
        """End every open request; the first cell says why, the ones behind it are aborted as after any error."""
        await self._end_notice()
        requests, self._requests = list(self._requests.values()), {}
        self._tell_link()
        is_told = False
        for request in requests:
            if request.info.msg_type == "kernel_info_request":
                await self._answer(request, "kernel_info_reply", answers.kernel_info(None))
            elif request.is_cell and is_told:
                await self._answer(request, request.reply_type, {"status": "aborted"})
            else:
                await self._fail(request, error)
                is_told = is_told or request.is_cell

    async def _fail(self, request: Request, error: RemoteKernelError) -> None:
        content = answers.error_content(error)
        await self._say_busy(request)
        if request.is_cell:
            shown = {name: content[name] for name in ("ename", "evalue", "traceback")}
            await self._channels.say("error", shown, request.header)
        if request.is_execute:
            content |= {"execution_count": 0, "user_expressions": {}, "payload": []}
        await self._answer(request, request.reply_type, content)

    # The waiting line

    def _begin_notice(self, reason: str) -> None:
        if self._notice is not None:
            self._notice.reason = reason
            return
        cell = next((request for request in self._requests.values() if request.is_cell), None)
        if cell is not None:
            self._notice = Notice(self._channels, cell.header, reason, has_output=cell.has_begun)

    async def _end_notice(self) -> None:
        notice, self._notice = self._notice, None
        if notice is not None:
            await notice.aclose()
