"""Deliveries from the session: each message to who is to have it."""

import logging
from dataclasses import dataclass

from remote_kernel.client.retry import Wait
from remote_kernel.core.errors import RemoteKernelError, SessionLost
from remote_kernel.core.jupyter.messages import parse_header, parse_parent
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.core.wire import frames as wire
from remote_kernel.core.wire.frames import Channel, Message
from remote_kernel.kernel.before_session.sessionless import Sessionless
from remote_kernel.kernel.frontend.channels import Channels
from remote_kernel.kernel.frontend.kernel_info_cache import KernelInfoCache
from remote_kernel.kernel.output.publishing import Publishing
from remote_kernel.kernel.output.session_notices import FILES_LOST, describe_refusal
from remote_kernel.kernel.output.waiting_line import WaitingLine
from remote_kernel.kernel.requests.cell_queue import CellQueue
from remote_kernel.kernel.requests.failures import Failures
from remote_kernel.kernel.requests.in_flight import InFlightRequests
from remote_kernel.kernel.requests.interrupts import Interrupts
from remote_kernel.kernel.requests.replies import Replies
from remote_kernel.kernel.session.attachment import Attachment
from remote_kernel.kernel.session.session import Session

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliveries:
    """The `Listener` of the session's link, put together from all that has a part in it."""

    channels: Channels
    session: Session
    known: KernelInfoCache
    requests: InFlightRequests
    replies: Replies
    cell_queue: CellQueue
    line: WaitingLine
    interrupts: Interrupts
    attachment: Attachment
    publishing: Publishing
    sessionless: Sessionless
    failures: Failures

    async def attached(self, hello: wire.Hello) -> None:
        """See `Listener`."""
        self.attachment.succeed(hello)
        self.known.learn(hello.kernel_info)
        self.session.note_position()
        if self.session.note_pod(hello.pod):
            self.publishing.notes.tell(FILES_LOST)
        self.requests.is_left_busy = hello.is_busy and not self.requests.is_executing
        self.replies.say_left_busy()
        self.interrupts.forget()  # what was sent while the link was down goes out now
        if self.session.link is not None:
            self.interrupts.ask_again(self.session.link)
        await self.sessionless.answer_waiting(hello)
        await self.line.end()

    async def received(self, message: Message) -> None:
        """See `Listener`."""
        if message.channel is Channel.IOPUB:
            await self.channels.room()
        # Before, not after: if this process is killed in between, a front end that saw a message twice would take the
        # second for a replay attack and stop ("Duplicate Signature" in jupyter_client).
        self.session.note_position()
        if message.channel is Channel.IOPUB:
            self.publishing.publish(message)
        else:
            await self._reply(message)

    async def _reply(self, message: Message) -> None:
        msg_id = parse_parent(message.parts[1]).msg_id
        await self.interrupts.acknowledge(msg_id)
        request = self.requests.find(msg_id)
        if request is None:
            return  # another front end's, or answered already
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug(LogEvent("reply", to=request.info.msg_type, channel=message.channel.name.lower()))
        await self.channels.send(message.channel, request.prefixes, message.parts)
        if message.channel is Channel.STDIN:
            return
        self.requests.close(msg_id)
        if request.is_execute:
            await self.cell_queue.cell_ended(message.parts[3])

    async def dropped(self, gap: wire.Gap) -> None:
        """See `Listener`."""
        self.publishing.tell_of_gap(gap)

    async def joined(self, peers: int) -> None:
        """See `Listener`."""
        self.publishing.tell_of_peers(peers)

    async def waiting(self, wait: Wait) -> None:
        """See `Listener`."""
        if not self.interrupts.are_told:
            self.line.begin(wait)

    async def delivered(self) -> None:
        """See `Listener`."""
        if not self.interrupts.are_told:
            await self.line.end()

    async def refused(self, message: Message, error: RemoteKernelError) -> None:
        """See `Listener`."""
        _log.warning(LogEvent("message refused", error=error.name, text=str(error)))
        request = self.requests.close(parse_header(message.parts[0]).msg_id)
        if request is None:
            self.publishing.notes.tell(describe_refusal(error))
        else:
            await self.failures.fail(request, error)

    async def failed(self, error: RemoteKernelError) -> None:
        """See `Listener`."""
        _log.warning(LogEvent("failed", error=error.name, text=str(error)))
        is_awaited = self.attachment.fail(error)
        if isinstance(error, SessionLost):
            self.interrupts.forget_given_up()
            self.replies.end_left_busy()
            is_told = is_awaited or self.requests.first_cell is not None
            self.session.note_untold(None if is_told else error)
            self.session.note_position()
            if self.requests.first_cell is not None:
                self.failures.begin_to_settle(error)
                return
        await self.failures.fail_all(error)
