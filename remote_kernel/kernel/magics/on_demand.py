"""Commands of one kernel, loaded when the first is typed: every start of a kernel waits for what it imports."""

from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.kernel.frontend.channels import Channels
from remote_kernel.kernel.magics.command import NAME, Command
from remote_kernel.kernel.output.orphaned_output import OrphanedOutput
from remote_kernel.kernel.preparation.preparation import Preparation
from remote_kernel.kernel.requests.request import Request
from remote_kernel.kernel.saves.on_demand import SavesOnDemand
from remote_kernel.kernel.session.attachment import Attachment
from remote_kernel.kernel.session.session import Session

if TYPE_CHECKING:
    from remote_kernel.kernel.magics.actions import Actions
    from remote_kernel.kernel.magics.completion import Completion


class CommandsOnDemand:
    """Performs `%session` commands, and answers requests about their lines.

    Args:
        reach, settle: see `Actions`.
        answer, fail: see `Completion`.
    """

    def __init__(
        self, channels: Channels, session: Session, missed: OrphanedOutput, attachment: Attachment,
        preparation: Preparation, saves: SavesOnDemand, *, reach: Callable[[], Awaitable[None]],
        settle: Callable[[], Awaitable[None]], answer: Callable[[Request, Mapping[str, Any]], None],
        fail: Callable[[Request, RemoteKernelError], None],
    ) -> None:  # fmt: skip
        self._has_performed = self._has_completed = False

        def make_actions() -> "Actions":
            from remote_kernel.kernel.magics.actions import Actions

            return Actions(channels, session, missed, attachment, preparation, saves, reach=reach, settle=settle)

        def make_completion() -> "Completion":
            from remote_kernel.kernel.magics.completion import Completion

            return Completion(
                self._actions.list_remote, saves.names, saves.variables,
                totals=lambda: preparation.totals, answer=answer, fail=fail,
            )  # fmt: skip

        self._make_actions, self._make_completion = make_actions, make_completion

    @cached_property
    def _actions(self) -> "Actions":
        self._has_performed = True
        return self._make_actions()

    @cached_property
    def _completion(self) -> "Completion":
        self._has_completed = True
        return self._make_completion()

    async def perform(self, request: Request, command: Command) -> None:
        """Do a command and show what came of it in its cell; raises `RemoteKernelError`."""
        await self._actions.perform(request, command)

    def completes(self, request: Request) -> bool:
        """Answer a `complete_request` or `inspect_request` if it is about a line of ours; whether it is."""
        code = request.content.get("code")
        return isinstance(code, str) and NAME in code and self._completion.takes(request)

    def takes_reply(self, reply: Request) -> bool:
        """Take an `input_reply`, if it is the answer to a question of a command; whether it is."""
        return self._has_performed and self._actions.question.takes(reply)

    async def aclose(self) -> None:
        if self._has_completed:
            await self._completion.aclose()
