"""Prompts of the pod's kernel: who is to answer them."""

from remote_kernel.kernel.requests.effects import Effect, Forward, Step
from remote_kernel.kernel.requests.in_flight import InFlightRequests
from remote_kernel.kernel.requests.request import KernelMessage, Request

# Front ends have one session or a few.
MAX_SESSIONS = 100

# A kernel asks one question at a time, and each of its threads one. Not every front end reads them, and ZeroMQ keeps
# what nobody reads.
MAX_UNANSWERED = 20
MAX_UNANSWERED_BYTES = 1024 * 1024

# What a front end says after which nobody waits for the answers to earlier prompts.
_ENDS_PROMPTS = frozenset({"input_reply", "interrupt_request"})


class Prompts:
    """Sends each prompt to a front end that can show it."""

    def __init__(self, in_flight: InFlightRequests) -> None:
        self._in_flight = in_flight
        self._sessions: dict[str, None] = {}
        self._last_asked: Request | None = None
        self._unanswered = self._unanswered_bytes = 0

    def note_sender(self, request: Request) -> None:
        """Remember the session of a front end, for prompts of what it has asked for.

        Its answer to a prompt, or an interrupt, makes room for others.
        """
        if request.info.msg_type in _ENDS_PROMPTS:
            self._unanswered = self._unanswered_bytes = 0
        self._sessions.pop(request.info.session, None)
        self._sessions[request.info.session] = None
        if len(self._sessions) > MAX_SESSIONS:
            del self._sessions[next(iter(self._sessions))]

    def note_asked(self, request: Request) -> None:
        """Remember a cell that takes input, for whose prompts there is room."""
        self._last_asked = request
        self._unanswered = self._unanswered_bytes = 0

    def forward(self, said: KernelMessage) -> list[Effect]:
        """Send a prompt to who asked for what prompts; where that has ended, to who asked for the cell that runs.

        Else it is the one that was asked for last. The prompt becomes that cell's own, as front ends show no other.
        What is more than may wait for answers is dropped.
        """
        channel, parts = said.message.channel, said.message.parts
        request = self._in_flight.find(said.key)
        other = request or self._in_flight.begun_cell or self._last_asked
        if other is None or (request is None and said.parent.session not in self._sessions):
            return []  # another kernel's
        if not self._has_room_for(said.message.size):
            return [Step.NOTE_DROPPED_PROMPT]
        own = parts if request is not None else (parts[0], other.header, *parts[2:])
        return [Forward(other, channel, own)]

    def _has_room_for(self, size: int) -> bool:
        """Take the room that a prompt needs, if there is any."""
        if self._unanswered == MAX_UNANSWERED or self._unanswered_bytes + size > MAX_UNANSWERED_BYTES:
            return False
        self._unanswered += 1
        self._unanswered_bytes += size
        return True
