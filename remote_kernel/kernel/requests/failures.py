"""Failures of requests to which the session does not reply: one error each, and an abort of what stands behind."""

import asyncio
import time

from remote_kernel.core.errors import PoolError, PoolFull, RemoteKernelError, SessionLost
from remote_kernel.core.jupyter.messages import parse_header
from remote_kernel.core.wire.frames import Channel
from remote_kernel.io.tasks import start
from remote_kernel.kernel.before_session import local_answers
from remote_kernel.kernel.before_session.sessionless import Sessionless
from remote_kernel.kernel.output.orphaned_output import OrphanedOutput
from remote_kernel.kernel.output.waiting_line import WaitingLine
from remote_kernel.kernel.requests.cell_queue import CellQueue
from remote_kernel.kernel.requests.in_flight import InFlightRequests
from remote_kernel.kernel.requests.replies import Replies
from remote_kernel.kernel.requests.request import Interrupted, Request
from remote_kernel.kernel.session.session import Session

# "Run All" sends its cells one by one but at once: what comes so soon behind another was sent with it.
TOGETHER_SECONDS = 0.05
# However many there are, the first one's error is not held back for longer.
SETTLE_SECONDS = 1.0


STILL_RUNS = "The cell may still run in the session, where the next cell runs, too, once it can be reached."


class LeftRunning(RemoteKernelError):
    """The pool turned us away while the session ran a cell."""

    def __init__(self, error: RemoteKernelError) -> None:
        super().__init__(f"{error} {STILL_RUNS}")
        self._name = error.name

    @property
    def name(self) -> str:
        return self._name


class Failures:
    """Ends requests one by one or all at once."""

    def __init__(
        self, session: Session, requests: InFlightRequests, replies: Replies, cell_queue: CellQueue, line: WaitingLine,
        sessionless: Sessionless, missed: OrphanedOutput,
    ) -> None:  # fmt: skip
        self._session = session
        self._requests = requests
        self._replies = replies
        self._cell_queue = cell_queue
        self._line = line
        self._sessionless = sessionless
        self._missed = missed
        self._settling: asyncio.Task[None] | None = None

    @property
    def is_settling(self) -> bool:
        """Return whether cells still arrive that were sent before the loss could be seen."""
        return self._settling is not None

    def begin_to_settle(self, loss: SessionLost) -> None:
        """Tell of a lost session as soon as all that was sent together has arrived, and abort what stands behind."""
        if self._settling is None:
            self._settling = start(self._settle(loss), "settling")

    async def _settle(self, loss: SessionLost) -> None:
        ends_at = time.monotonic() + SETTLE_SECONDS
        count = 0
        while count < len(self._requests) and time.monotonic() < ends_at:
            count = len(self._requests)
            await asyncio.sleep(TOGETHER_SECONDS)
        self._settling = None
        await self.fail_all(loss)

    async def fail_all(self, error: RemoteKernelError) -> None:
        """End every open request; the first cell says why, the ones behind it are aborted as after any error."""
        await self._line.end()
        requests = self._requests.close_all()
        self._sessionless.forget_waiting()
        await self._cell_queue.abort()
        is_told = False
        for request in requests:
            if request.info.msg_type == "kernel_info_request":
                await self._replies.answer(request, "kernel_info_reply", local_answers.kernel_info(None))
            elif request.is_cell and is_told:
                await self._replies.abort(request)
            else:
                await self._replies.fail(request, self._outlook(request, error))
                is_told = is_told or request.is_cell

    def _outlook(self, request: Request, error: RemoteKernelError) -> RemoteKernelError:
        """Return what to say of an error: a cell that the session has begun goes on there, unless that is gone."""
        is_gone = isinstance(error, SessionLost | PoolFull)  # a full pool has given ours to somebody else
        may_run = request.has_begun or isinstance(error, Interrupted)
        if is_gone or not (request.is_cell and may_run):
            return error
        self._missed.expect(request.info.msg_id)
        return LeftRunning(error) if isinstance(error, PoolError) else error

    async def fail(self, request: Request, error: RemoteKernelError) -> None:
        """End one request; what was to run behind a cell is aborted."""
        await self._replies.fail(request, error)
        if request.is_cell:
            await self._abort_unsent()
            await self._cell_queue.abort()

    async def _abort_unsent(self) -> None:
        """Abort the cells that were to run behind one that failed before it was run."""
        assert self._session.link is not None
        for message in self._session.link.forget_unsent(Channel.SHELL):
            request = self._requests.close(parse_header(message.parts[0]).msg_id)
            if request is not None:
                await self._replies.abort(request)

    async def aclose(self) -> None:
        """Stop waiting for more cells."""
        if self._settling is not None:
            self._settling.cancel()
            await asyncio.gather(self._settling, return_exceptions=True)
