"""Prompts of the pod's kernel: who is to answer them."""

from remote_kernel.kernel.requests.effects import Effect, Forward
from remote_kernel.kernel.requests.in_flight import InFlightRequests
from remote_kernel.kernel.requests.request import KernelMessage, Request

# Front ends have one session or a few.
MAX_SESSIONS = 100


class Prompts:
    """Sends each prompt to a front end that can show it."""

    def __init__(self, in_flight: InFlightRequests) -> None:
        self._in_flight = in_flight
        self._sessions: dict[str, None] = {}
        self._last_asked: Request | None = None

    def note_sender(self, request: Request) -> None:
        """Remember the session of a front end, for prompts of what it has asked for."""
        self._sessions.pop(request.info.session, None)
        self._sessions[request.info.session] = None
        if len(self._sessions) > MAX_SESSIONS:
            del self._sessions[next(iter(self._sessions))]

    def note_asked(self, request: Request) -> None:
        """Remember a cell that takes input."""
        self._last_asked = request

    def forward(self, said: KernelMessage) -> list[Effect]:
        """Send a prompt to who asked for what prompts; where that has ended, to who asked for the cell that runs.

        Else it is the one that was asked for last. The prompt becomes that cell's own, as front ends show no other.
        """
        channel, parts = said.message.channel, said.message.parts
        if (request := self._in_flight.find(said.key)) is not None:
            return [Forward(request, channel, parts)]
        other = self._in_flight.begun_cell or self._last_asked
        if other is None or said.parent.session not in self._sessions:
            return []  # another kernel's
        return [Forward(other, channel, (parts[0], other.header, *parts[2:]))]
