"""Publishing of iopub messages from the pod, with notices of ours where the user needs them."""

import logging

from remote_kernel.core.jupyter.messages import Header, parse_parent
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.core.wire import frames as wire
from remote_kernel.core.wire.frames import Message
from remote_kernel.kernel.before_session.vscode_cells import VsCodeCells
from remote_kernel.kernel.frontend.channels import Channels
from remote_kernel.kernel.output.orphaned_output import OrphanedOutput
from remote_kernel.kernel.output.session_notices import MISSED, SHARED, SessionNotices, describe_gap
from remote_kernel.kernel.requests.in_flight import InFlightRequests
from remote_kernel.kernel.requests.replies import Replies

_log = logging.getLogger(__name__)


class Publishing:
    """Publishes what the session says on iopub."""

    def __init__(
        self,
        channels: Channels,
        requests: InFlightRequests,
        replies: Replies,
        hidden: VsCodeCells,
        missed: OrphanedOutput,
    ) -> None:
        self.notes = SessionNotices(channels, lambda: requests.begun_cell)
        self._channels = channels
        self._requests = requests
        self._replies = replies
        self._hidden = hidden
        self._missed = missed
        self._has_told_of_peers = False

    def publish(self, message: Message) -> None:
        """Publish a message, unless the front end has been told the same."""
        if not self._hidden.has_ended_before(message) and not self._is_second_busy(message):
            self._channels.publish(message.parts)
        if b'"status"' in message.parts[0] and b'"idle"' in message.parts[3]:
            self._note_idle(parse_parent(message.parts[1]))
        self.notes.show()
        self._note_missed(message)

    def _note_idle(self, parent: Header) -> None:
        self._requests.note_idle(parent.msg_id)
        if self._requests.is_left_busy:
            is_left = parent.msg_type != "execute_request" or self._requests.find(parent.msg_id) is not None
            self._requests.is_left_busy = is_left
            self._replies.say_left_busy()

    def _is_second_busy(self, message: Message) -> bool:
        """Note that the pod begins with a request; whether the front end has been told already."""
        if b'"status"' not in message.parts[0] or b'"busy"' not in message.parts[3]:
            return False
        msg_id = parse_parent(message.parts[1]).msg_id
        request = self._requests.find(msg_id)
        if request is not None:
            request.has_begun = True
            if request.is_execute:
                self._missed.close()  # what was sent before it has come to its end
                self._hidden.close()
        return self._replies.was_said_busy(msg_id)

    def _note_missed(self, message: Message) -> None:
        if not self._missed.is_active or self._requests.find(parse_parent(message.parts[1]).msg_id):
            return
        had_any = bool(self._missed.messages)
        self._missed.note(message)
        if self._missed.messages and not had_any:
            self.notes.tell(MISSED)

    def tell_of_gap(self, gap: wire.Gap) -> None:
        """Tell the user that output was dropped."""
        _log.warning(LogEvent("output dropped", messages=gap.last - gap.first + 1))
        self.notes.tell(describe_gap(gap))

    def tell_of_peers(self, peers: int) -> None:
        """Tell the user, once, that others use the session."""
        _log.info(LogEvent("shared", other_kernels=peers))
        if peers and not self._has_told_of_peers:
            self._has_told_of_peers = True
            self.notes.tell(SHARED)
