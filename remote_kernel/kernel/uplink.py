"""Uplink to the session: opened by the first message that needs it, which waits meanwhile."""

import asyncio

from remote_kernel.client.link.events import Failed, OnEvent
from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.core.wire.frames import Channel, Message
from remote_kernel.io.tasks import start
from remote_kernel.kernel.defects import report_defect
from remote_kernel.kernel.frontend.channels import Channels
from remote_kernel.kernel.identity.notebook_path import Hints
from remote_kernel.kernel.preparation.preparation import Preparation
from remote_kernel.kernel.requests.facts import SessionFacts
from remote_kernel.kernel.requests.table import RequestTable
from remote_kernel.kernel.session.attachment import Attachment
from remote_kernel.kernel.session.session import Session

# A front end whose kernel was replaced connects again within a tenth of a second; one that never listens is no reason
# to wait for long.
REJOIN_SECONDS = 5.0

# Who takes a session at the start of the kernel waits so long for a front end to say which notebook it is, where nobody
# else does: VS Code's first hidden cells tell it.
NAMING_SECONDS = 1.0


class Uplink:
    """Sends messages to the session, and finds it.

    Args:
        on_event: takes what the link brings.
        hints: what cells have told of the notebook.
        preparation: of the session for cells.
    """

    def __init__(
        self, channels: Channels, session: Session, table: RequestTable, attachment: Attachment, on_event: OnEvent,
        hints: Hints, preparation: Preparation,
    ) -> None:  # fmt: skip
        self._channels = channels
        self._session = session
        self._table = table
        self._attachment = attachment
        self._on_event = on_event
        self._hints = hints
        self._preparation = preparation
        self._early: list[Message] = []
        self._opening: asyncio.Task[None] | None = None
        self._is_eager = False
        self._naming: asyncio.TimerHandle | None = None

    def look(self, *, begins_cell: bool = True) -> SessionFacts:
        """Return what is known of the session now.

        Args:
            begins_cell: whether a cell may be begun by it, which takes a look at the workspace.
        """
        link, hello, binding = self._session.link, self._attachment.hello, self._session.binding
        is_known = binding.is_known
        is_sought = self._opening is not None if link is None else link.is_wanted
        return SessionFacts(
            exists=is_known or bool(self._early),
            is_ahead=self._is_eager and (self._naming is not None or self._opening is not None or is_sought),
            is_there=link is not None and link.position is not None,
            is_attached=link is not None and link.is_attached,
            is_sought=is_sought,
            is_kept=link is not None and link.keep_alive.is_wanted,
            is_inherited=is_known and hello is None,
            is_shared=link is not None and link.peers > 0,
            waiting_bytes=sum(each.size for each in self._early) + (link.waiting_bytes if link else 0),
            hello=hello,
            untold=binding.untold,
            is_prepared=begins_cell and not self._preparation.is_needed,
            brings_files=self._preparation.brings_files,
        )

    def send(self, message: Message, *, is_use: bool = True) -> None:
        """Send a message; `is_use` says whether it shows that somebody uses the session."""
        if self._session.link is None:
            self._early.append(message)
            self.open()
        else:
            self._session.link.send(message, is_use=is_use)

    def send_ahead(self, message: Message) -> None:
        """Send a message on control ahead of the cells that are sent behind it."""
        if self._session.link is not None:
            self._session.link.send(message, behind=Channel.SHELL)

    def open_ahead(self) -> None:
        """Look for the session although nothing needs it so far, as soon as it can be known which notebook's it is."""
        self._is_eager = True
        if self._session.is_named:
            self.open()
        else:
            self._naming = asyncio.get_running_loop().call_later(NAMING_SECONDS, self.open)

    def open(self) -> None:
        """Look for the session, if that has not been begun."""
        if self._naming is not None:
            self._naming.cancel()
            self._naming = None
        if self._session.link is not None:
            self._session.link.open()
        elif self._opening is None:
            self._opening = start(self._open_session(), "opening")

    async def _open_session(self) -> None:
        try:
            if self._session.binding.is_known:  # there may be output that nobody has seen
                await self._channels.wait_heard(REJOIN_SECONDS)
            await self._preparation.look()  # before interpreters are started, which it may be about
            link = await self._session.open(self._on_event, self._hints)
        except Exception as error:  # whatever it is, those who wait are the ones to be told
            self._early.clear()
            await self._on_event(Failed(error if isinstance(error, RemoteKernelError) else report_defect(error)))
        else:
            early, self._early = self._early, []
            for message in early:
                link.send(message)
            self._session.note_busy(self._table.is_busy)
            if self._table.has_open or self._attachment.is_awaited or self._session.binding.is_known or self._is_eager:
                link.open()
        finally:
            self._opening = None

    async def reach(self) -> None:
        """Return when the session can be reached; raises `RemoteKernelError` when there is none to be had."""
        awaited = self._attachment.expect()
        self.open()
        try:
            await awaited
        except asyncio.CancelledError:
            self._give_up_first()
            raise
        finally:
            self._attachment.forget()

    def _give_up_first(self) -> None:
        """Stop looking for a session that has never been there."""
        link = self._session.link
        if link is not None and link.position is None:
            link.give_up()

    def forget_unsent(self) -> None:
        """Send nothing of what waits, and look for the session no more where it has never been there."""
        self._early.clear()
        self._give_up_first()
        if self._session.link is not None:
            self._session.link.forget_unsent()

    def take_unsent(self) -> list[Message]:
        """Return the cells and other requests that the pod has not accepted, and do not send them."""
        return self._session.link.forget_unsent(Channel.SHELL) if self._session.link is not None else []

    async def settle(self) -> None:
        """Return when no opening is under way."""
        if self._opening is not None:
            await asyncio.gather(self._opening, return_exceptions=True)

    async def aclose(self) -> None:
        """Stop looking."""
        self._is_eager = False
        if self._naming is not None:
            self._naming.cancel()
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
