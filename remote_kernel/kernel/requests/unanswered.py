"""Requests that the pod's kernel says are over, and gives no reply to: asked about, as no time-out could tell.

A reply may be behind "idle", as they come through two sockets, and a slow line may hold it for long. But what is asked
behind the request is answered behind its reply.
"""

from collections.abc import Iterator
from math import inf

from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.core.jupyter.messages import Header
from remote_kernel.kernel.requests.effects import Effect, SendProbe
from remote_kernel.kernel.requests.in_flight import InFlightRequests
from remote_kernel.kernel.requests.request import Origin, Request, State

# A reply that "idle" has overtaken follows within milliseconds.
REPLY_SECONDS = 0.5

NO_REPLY = (
    "The kernel in the session has ended this request and given no reply: it could not read the request, or was "
    "interrupted before it could reply."
)


class NoReply(RemoteKernelError):
    """The pod's kernel has said "idle" of a request, and never replies to it."""


class UnansweredRequests:
    """Requests that are idle without a reply, and the probes behind them. Times are monotonic seconds.

    Args:
        ids: of messages of our own.

    Attributes:
        deadline: when to call `wake`; infinite for never.
    """

    def __init__(self, in_flight: InFlightRequests, ids: Iterator[str]) -> None:
        self._in_flight = in_flight
        self._ids = ids
        self._asks_at: dict[Request, float] = {}
        self._probed: dict[str, Request] = {}
        self.deadline = inf

    def _set_deadline(self) -> None:
        self.deadline = min(self._asks_at.values(), default=inf)

    def note(self, request: Request, now: float) -> None:
        """Note that a request may be idle without a reply."""
        if request.state is State.UNANSWERED and request in self._in_flight:
            self._asks_at[request] = now + REPLY_SECONDS
            self._set_deadline()

    def note_reply(self, request: Request) -> None:
        if self._asks_at.pop(request, None) is not None:
            self._set_deadline()

    def wake(self, now: float) -> list[Effect]:
        """Ask about those whose replies have not come."""
        late = [request for request, time in self._asks_at.items() if time <= now]
        probes: list[Effect] = [self._probe(request) for request in late]
        self._set_deadline()
        return probes

    def _probe(self, request: Request) -> SendProbe:
        """Ask something behind a request: its own reply would be there before the reply to that."""
        del self._asks_at[request]
        msg_id, subshell_id = next(self._ids), request.info.subshell_id
        info = Header(msg_id=msg_id, msg_type="kernel_info_request", session="", subshell_id=subshell_id)
        probe = Request(
            channel=request.channel, prefixes=[], header=b"{}", info=info, origin=Origin.PROBE, state=State.SENT
        )
        self._in_flight.add(probe)
        self._probed[msg_id] = request
        return SendProbe(msg_id, request.channel, subshell_id)

    def take_probed(self, probe: Request) -> Request | None:
        """Return the request that a probe stands behind which has ended, if it has no reply still."""
        request = self._probed.pop(probe.info.msg_id, None)
        return request if request is not None and request in self._in_flight else None

    def clear(self) -> None:
        """Ask about none of them any more."""
        self._asks_at.clear()
        self._set_deadline()

    def forget_probes(self) -> None:
        """Expect no answers any more, of a session that is gone."""
        self._probed.clear()
