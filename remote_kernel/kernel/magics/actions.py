"""Actions of `%session`, except transfers of files and packages: the status card, and requests to the session."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import TYPE_CHECKING

from remote_kernel.client.link.link import Link
from remote_kernel.core.text.human_numbers import count_of, format_seconds
from remote_kernel.kernel.frontend.channels import Channels
from remote_kernel.kernel.frontend.question import Question
from remote_kernel.kernel.magics import session_command
from remote_kernel.kernel.magics.command import Command, Verb
from remote_kernel.kernel.magics.session_command import SyncAction, SyncWish
from remote_kernel.kernel.magics.status_card import look_around
from remote_kernel.kernel.output import style
from remote_kernel.kernel.output.display import Display, Shown, note
from remote_kernel.kernel.output.orphaned_output import OrphanedOutput
from remote_kernel.kernel.preparation.preparation import Preparation
from remote_kernel.kernel.requests.request import Request
from remote_kernel.kernel.saves.on_demand import SavesOnDemand
from remote_kernel.kernel.session.attachment import Attachment
from remote_kernel.kernel.session.session import Session

if TYPE_CHECKING:
    from remote_kernel.kernel.magics.packages import PackageInstalls
    from remote_kernel.kernel.magics.sync_command import SyncCommand
    from remote_kernel.kernel.magics.transfers import Transfers
    from remote_kernel.kernel.saves.save_command import SaveCommand


class Actions:
    """Performs the commands of one kernel.

    Args:
        reach: returns when the session can be reached; raises `RemoteKernelError` when it cannot be.
        settle: ends what stands between a session and its end: an error that was to be told, an opening under way.

    Attributes:
        question: of a command to the user.
    """

    def __init__(
        self, channels: Channels, session: Session, missed: OrphanedOutput, attachment: Attachment,
        preparation: Preparation, saves: SavesOnDemand, *, reach: Callable[[], Awaitable[None]],
        settle: Callable[[], Awaitable[None]],
    ) -> None:  # fmt: skip
        self._channels = channels
        self._session = session
        self._missed = missed
        self._attachment = attachment
        self._preparation = preparation
        self._saves = saves
        self._reach = reach
        self._settle = settle
        self.question = Question(channels)

    @cached_property
    def _transfers(self) -> "Transfers":
        from remote_kernel.kernel.magics.transfers import Transfers  # late, as the start of a kernel waits for imports

        return Transfers(self._channels, self._session)

    @cached_property
    def _packages(self) -> "PackageInstalls":
        from remote_kernel.kernel.magics.packages import PackageInstalls

        return PackageInstalls(self._channels, self._session, self._preparation)

    @cached_property
    def _syncing(self) -> "SyncCommand":
        from remote_kernel.kernel.magics.sync_command import SyncCommand

        return SyncCommand(self._channels, self._preparation)

    @cached_property
    def _saving(self) -> "SaveCommand":
        from remote_kernel.kernel.saves.save_command import SaveCommand

        return SaveCommand(self._channels, self._session, self._saves, self.question, self._reach)

    @property
    def _link(self) -> Link | None:
        """The link, where there is a session."""
        link = self._session.link
        return link if link is not None and link.position is not None else None

    async def perform(self, request: Request, command: Command) -> None:
        """Do a command and show what came of it in its cell; raises `RemoteKernelError`."""
        shown = await self._do(request, command)
        if shown and not request.is_silent:
            Display(self._channels, request.header).show(shown)

    async def _do(self, request: Request, command: Command) -> Shown | None:
        match command.verb:
            case Verb.CARD:
                return (await look_around(self._session, self._attachment.hello, time.time())).shown()
            case Verb.HELP:
                return Shown(style.text(session_command.HELP), session_command.HELP)
            case Verb.MISSED:
                return self._show_missed(request)
            case Verb.KEEP:
                return self._keep(session_command.parse_keep(command))
            case Verb.DETACH:
                return await self._detach()
            case Verb.RESET | Verb.RELEASE:
                return await self._let_go(request, is_reset=command.verb is Verb.RESET)
            case Verb.SAVE:
                return await self._saving.save(request, command)
            case Verb.RESTORE:
                return await self._saving.restore(request, command)
            case Verb.SAVES:
                return await self._saving.list_or_delete(command)
            case Verb.AUTOSAVE:
                return await self._saving.switch_autosave(command)
            case Verb.SYNC:
                return await self._sync(request, session_command.parse_sync(command))
            case Verb.FILES | Verb.UPLOAD | Verb.DOWNLOAD:
                return await self._handle_files(request, command)
            case Verb.INSTALL:
                return await self._install(request, command)

    async def _handle_files(self, request: Request, command: Command) -> Shown | None:
        # Before a session is taken for something that cannot be done; in a thread, as the folder may be a large one.
        plan = await asyncio.to_thread(self._transfers.parse, command)
        if command.verb is not Verb.UPLOAD and not self._session.binding.is_known and self._link is None:
            return note(session_command.NO_FILES)
        await self._reach()
        hello = self._attachment.hello
        return await plan(request, hello.pod if hello else "")

    async def _install(self, request: Request, command: Command) -> Shown | None:
        plan = await self._packages.parse(command)
        await self._reach()
        hello = self._attachment.hello
        return await plan(request, hello.pod if hello else "")

    async def _sync(self, request: Request, wish: SyncWish) -> Shown | None:
        workspace = await self._syncing.choose(wish)
        if wish.action is SyncAction.OFF:
            return note(session_command.SYNC_OFF)
        if workspace is None:
            return note(session_command.NO_WORKSPACE)
        if wish.action is SyncAction.STATUS:
            return await self._syncing.show_status(workspace)
        await self._reach()
        await self._syncing.sync(request, workspace)
        return None

    async def list_remote(self, folder: str) -> list[tuple[str, bool]]:
        """Return names in a folder of the session, and whether each is a folder; nothing where it cannot be asked."""
        hello = self._attachment.hello
        if hello is None or self._link is None or not self._link.is_attached:
            return []
        return await self._transfers.names(folder, hello.pod)

    def _show_missed(self, request: Request) -> Shown | None:
        for message in self._missed.messages:
            self._channels.publish((message.parts[0], request.header, *message.parts[2:]))
        if not self._missed.has_any:
            return note(session_command.NOTHING_MISSED)
        dropped = self._missed.dropped
        return note(f"Not kept, for want of room: {count_of(dropped, 'output')}.") if dropped else None

    def _keep(self, seconds: float) -> Shown:
        if not seconds:
            self._session.keep_until(0.0)
            return note(session_command.KEPT_NO_LONGER)
        until = time.time() + seconds
        self._session.keep_until(until)
        if self._link is not None:  # otherwise it is the next cell that takes a session
            self._link.open()
        when = time.strftime("%a %H:%M" if seconds > 43_200 else "%H:%M", time.localtime(until))
        sentence = session_command.KEPT if self._session.binding.is_known or self._link else session_command.KEPT_AHEAD
        return note(sentence.format(duration=format_seconds(seconds), when=when))

    async def _detach(self) -> Shown:
        if (link := self._link) is None:
            return note(session_command.NO_SESSION)
        await self._session.pause()
        return note(session_command.DETACHED.format(seconds=link.keep_alive.cooldown_seconds))

    async def _let_go(self, request: Request, *, is_reset: bool) -> Shown:
        await self._settle()
        if self._saves.is_save_due:
            await self._saving.save_before_end(request)
        if self._session.binding.has_just_restarted and self._link is None:
            await self._reach()  # there is one that this process has not looked for
        if (link := self._link) is None:
            return note(session_command.NO_SESSION)
        returned = await self._session.let_go()
        self._saves.note_reset()
        if is_reset:
            link.open()
        sentence = session_command.RESET if is_reset else session_command.RELEASED
        return note(
            (session_command.STAYS if returned.kernels else sentence) + session_command.lost_by(returned.others)
        )
