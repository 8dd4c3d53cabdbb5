"""Queue of cells and commands: a command waits for the cells before it, and the cells behind it for the command."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.core.jupyter.messages import is_error, parse_object
from remote_kernel.io.tasks import start
from remote_kernel.kernel.before_session import local_answers
from remote_kernel.kernel.defects import report_defect
from remote_kernel.kernel.magics import session_command
from remote_kernel.kernel.magics.session_command import Command
from remote_kernel.kernel.requests.replies import Replies
from remote_kernel.kernel.requests.request import Interrupted, Request

NOT_DONE = "The command was interrupted; the session is as it was."

Parts = tuple[bytes, ...]


class CellQueue:
    """The cells and commands that wait for a command, and the command that is being done.

    Args:
        perform: does a command and shows what comes of it; raises `RemoteKernelError` when it cannot be done.
        execute: passes a cell on.
        is_executing: says whether cells before this one have no reply yet.

    Attributes:
        current: the cell whose command is being done.
    """

    def __init__(
        self,
        replies: Replies,
        *,
        perform: Callable[[Request, Command], Awaitable[None]],
        execute: Callable[[Request, Parts], Awaitable[None]],
        is_executing: Callable[[], bool],
    ) -> None:
        self.current: Request | None = None
        self._replies = replies
        self._perform = perform
        self._execute = execute
        self._is_executing = is_executing
        self._held: deque[tuple[Request, Parts]] = deque()
        self._commanding: asyncio.Task[None] | None = None
        self._last_reply = b"{}"

    async def take(self, request: Request, parts: Parts, code: object) -> None:
        """Do what a cell asks for, now or in its turn."""
        command = session_command.parse(code)
        if self._held or self._commanding or (command and self._is_executing()):
            self._held.append((request, parts))
        else:
            await self._begin(request, parts, command)

    async def _begin(self, request: Request, parts: Parts, command: Command | None) -> None:
        if command:
            # In a task of its own, as other requests are answered meanwhile.
            self.current = request
            self._commanding = start(self._run(request, command), "command")
        else:
            await self._execute(request, parts)

    async def _run(self, request: Request, command: Command) -> None:
        self._replies.say_busy(request)
        try:
            await self._perform(request, command)
        except (Exception, asyncio.CancelledError) as error:
            self._commanding = self.current = None
            await self._replies.fail(request, _explain(error))
            await self.abort()
            return
        self._commanding = self.current = None
        await self._replies.answer(request, request.reply_type, local_answers.execute_content(self._last_reply))
        await self._go_on()

    async def cell_ended(self, reply: bytes) -> None:
        """Go on with what waited for a cell, given its reply's content; behind one that failed nothing is run."""
        self._last_reply = reply
        if self._held:
            await (self.abort() if is_error(reply) else self._go_on())

    async def _go_on(self) -> None:
        while self._held and not self._commanding:
            request, parts = self._held[0]
            command = session_command.parse(parse_object(parts[3]).get("code"))
            if command and self._is_executing():
                return
            self._held.popleft()
            try:
                await self._begin(request, parts, command)
            except Exception as error:  # the ones behind it have their turn
                await self._replies.fail(request, report_defect(error))

    async def abort(self) -> None:
        """Abort all that waits."""
        held, self._held = self._held, deque()
        for request, _ in held:
            await self._replies.abort(request)

    def interrupt(self) -> None:
        """Stop the command that is being done."""
        if self._commanding is not None:
            self._commanding.cancel()

    async def aclose(self) -> None:
        """Stop the command that is being done, and wait until it has stopped."""
        if self._commanding is not None:
            commanding = self._commanding
            commanding.cancel()
            await asyncio.gather(commanding, return_exceptions=True)


def _explain(error: BaseException) -> RemoteKernelError:
    match error:
        case RemoteKernelError():
            return error
        case Exception():
            return report_defect(error)
        case _:
            return Interrupted(NOT_DONE)
