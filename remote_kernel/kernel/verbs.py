"""What the commands do to the session."""

from collections.abc import Awaitable, Callable

from remote_kernel.client.link import Listener
from remote_kernel.kernel import commands
from remote_kernel.kernel.channels import Channels
from remote_kernel.kernel.commands import Command
from remote_kernel.kernel.missed import Missed
from remote_kernel.kernel.requests import Request
from remote_kernel.kernel.session import Session


class Verbs:
    """Performs the commands of one kernel.

    Args:
        listener: the owner of the session's link.
        settle: ends what stands between a session and its end: an error that was to be told, an opening under way.
    """

    def __init__(
        self,
        channels: Channels,
        session: Session,
        listener: Listener,
        missed: Missed,
        settle: Callable[[], Awaitable[None]],
    ) -> None:
        self._channels = channels
        self._session = session
        self._listener = listener
        self._missed = missed
        self._settle = settle

    async def perform(self, request: Request, command: Command) -> None:
        """Do a command and show what came of it in its cell; raises `RemoteKernelError`."""
        text = await self._do(request, command)
        if text and not request.is_silent:
            self._channels.say("stream", {"name": "stdout", "text": text}, request.header)

    async def _do(self, request: Request, command: Command) -> str:
        match command:
            case Command.HELP:
                return commands.HELP
            case Command.MISSED:
                return self._show_missed(request)
            case Command.DETACH:
                return await self._detach()
            case Command.RESET | Command.RELEASE:
                return await self._let_go(is_reset=command is Command.RESET)

    def _show_missed(self, request: Request) -> str:
        for message in self._missed.messages:
            self._channels.publish((message.parts[0], request.header, *message.parts[2:]))
        if not self._missed.messages:
            return commands.NOTHING_MISSED
        return f"[{self._missed.dropped:,} older outputs are not kept]\n" if self._missed.dropped else ""

    async def _detach(self) -> str:
        link = self._session.link
        if link is None or link.position is None:
            return commands.NO_SESSION
        await self._session.pause(self._listener)
        return commands.DETACHED.format(seconds=link.cooldown_seconds)

    async def _let_go(self, *, is_reset: bool) -> str:
        await self._settle()
        link = self._session.link
        if link is None or link.position is None:
            return commands.NO_SESSION
        kernels = await self._session.let_go(self._listener)
        if is_reset:
            link.open()
        if kernels:
            return commands.STAYS
        return commands.RESET if is_reset else commands.RELEASED
