"""Ends of requests that do not come from the session: it is lost, cannot be reached, or was given back."""

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

from remote_kernel.core.errors import PoolError, PoolFull, RemoteKernelError, SessionLost
from remote_kernel.core.wire.frames import Message
from remote_kernel.kernel.before_session import local_answers
from remote_kernel.kernel.before_session.sessionless import Sessionless
from remote_kernel.kernel.output.orphaned_output import OrphanedOutput
from remote_kernel.kernel.requests.effects import Effect
from remote_kernel.kernel.requests.in_flight import InFlightRequests
from remote_kernel.kernel.requests.interrupts import Interrupts
from remote_kernel.kernel.requests.replies import Replies
from remote_kernel.kernel.requests.request import Event, Request, State
from remote_kernel.kernel.requests.unanswered import UnansweredRequests
from remote_kernel.kernel.requests.withheld_ends import WithheldEnds

# "Run All" sends its cells one by one but at once: what comes so soon behind another was sent with it.
TOGETHER_SECONDS = 0.05
# However many there are, the first one's error is not held back for longer.
SETTLE_SECONDS = 1.0

STILL_RUNS = "The cell may still run in the session, where the next cell runs, too, once it can be reached."


class LeftRunning(RemoteKernelError):
    """The pod turned us away while the session ran a cell, or may have done so."""

    def __init__(self, error: RemoteKernelError) -> None:
        super().__init__(f"{error} {STILL_RUNS}")
        self._name = error.name

    @property
    def name(self) -> str:
        return self._name


class Settling:
    """A lost session that is told as soon as all has arrived that was sent before the loss could be seen.

    Times are monotonic seconds.

    Attributes:
        loss: what is to be told; `None` for nothing.
    """

    def __init__(self) -> None:
        self.loss: SessionLost | None = None
        self._deadline = inf
        self._is_held = False
        self._count = 0
        self._ends_at = 0.0

    def begin(self, loss: SessionLost, count: int, now: float) -> None:
        """Note a loss, of a session with so many requests."""
        if self.loss is None:
            self.loss, self._count = loss, count
            self._deadline, self._ends_at = now + TOGETHER_SECONDS, now + SETTLE_SECONDS

    @property
    def deadline(self) -> float:
        """Return when to call `wake`; infinite for never."""
        return inf if self._is_held else self._deadline

    def hold(self) -> None:
        """Tell nothing before `release`."""
        self._is_held = True

    def release(self, loss: SessionLost) -> None:
        """Tell this in the place of what was to be told."""
        self._is_held = False
        self.loss = loss if self.loss is not None else None

    def wake(self, count: int, now: float) -> SessionLost | None:
        """Return the loss once it is to be told; more requests than before are waited for."""
        if self.deadline > now:
            return None
        if count > self._count and now < self._ends_at:
            self._count, self._deadline = count, now + TOGETHER_SECONDS
            return None
        return self.loss

    def end(self) -> None:
        """Note that it is told, or not to be told any more."""
        self.loss, self._deadline = None, inf


class Endings(NamedTuple):
    """Ends requests with errors of ours, as effects.

    Attributes:
        orphaned: is told of cells that may go on in the session.
    """

    in_flight: InFlightRequests
    replies: Replies
    withheld: WithheldEnds
    interrupts: Interrupts
    unanswered: UnansweredRequests
    sessionless: Sessionless
    orphaned: OrphanedOutput

    def fail(self, request: Request, error: RemoteKernelError) -> list[Effect]:
        """End a request, whatever its state is, with an error."""
        self.in_flight.end(request)
        withheld = self.withheld.let_go(request)
        return [*withheld, *self.replies.fail(request, error)] if request.expects_reply else []

    def lose_session(self) -> list[Effect]:
        """Expect nothing more of a session that is gone."""
        withheld = self.withheld.release_all()
        self.interrupts.forget_given_up()
        self.unanswered.forget_probes()
        idle = [effect for request in self.in_flight.drop_lingering() for effect in self.replies.idle(request)]
        return [*withheld, *idle, *self.replies.end_left_busy()]

    def fail_open(
        self, error: RemoteKernelError, *, may_go_on: bool = False, unsent: Sequence[Message] = ()
    ) -> list[Effect]:
        """End every request under way; the first cell says why, the ones behind it are aborted as after any error.

        Args:
            may_go_on: whether the session is there, and may go on with what it has got.
            unsent: what it has certainly not got.
        """
        self.unanswered.clear()
        self.sessionless.forget_waiting()
        withheld = self.withheld.release_all()
        is_gone = isinstance(error, SessionLost | PoolFull)  # a full pool has given ours to somebody else
        effects = [*withheld, *(self.lose_session() if is_gone else [])]
        not_got = {message.parts[0] for message in unsent}
        outlooks: list[tuple[Request, RemoteKernelError]] = []
        for request in self.in_flight:
            outlook = error
            if may_go_on and not is_gone:
                outlook = self._leave(request, error, is_unsent=request.header in not_got)
            else:
                self.in_flight.end(request)
            outlooks.append((request, outlook))
        return effects + self._reply(outlooks)

    def fail_lost(self, loss: SessionLost) -> list[Effect]:
        """End what was for a session that is lost, in the same way; the next one may be there, with requests of its
        own."""
        lost = [request for request in self.in_flight if request.is_lost]
        for request in lost:
            self.unanswered.note_reply(request)
            self.in_flight.end(request)
        return self._reply([(request, loss) for request in lost])

    def _reply(self, outlooks: Sequence[tuple[Request, RemoteKernelError]]) -> list[Effect]:
        """Reply to requests that have ended; the first cell says why, the ones behind it are aborted."""
        effects: list[Effect] = []
        is_told = False
        for request, outlook in outlooks:
            if request.info.msg_type == "kernel_info_request":
                effects += self.replies.answer(request, local_answers.kernel_info(None))
            elif request.is_cell and is_told:
                effects += self.replies.abort(request)
            else:
                effects += self.replies.fail(request, outlook)
                is_told = is_told or request.is_cell
        return effects

    def _leave(self, request: Request, error: RemoteKernelError, *, is_unsent: bool) -> RemoteKernelError:
        """Leave a request to the session, which may go on with it; return what to say of it."""
        has_begun = request.has_begun
        self.in_flight.end(request, Event.IS_LEFT)
        if not request.is_cell or request.state is not State.LEFT:
            return error
        self.orphaned.expect(request.info.msg_id)
        may_run = has_begun or not is_unsent  # it may have got what has not begun so far
        return LeftRunning(error) if may_run and isinstance(error, PoolError) else error
