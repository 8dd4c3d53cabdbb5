"""Uplink to the session: opened by the first message that needs it, which waits meanwhile."""

import asyncio

from remote_kernel.client.link.listener import Listener
from remote_kernel.client.retry import Wait
from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.core.wire.frames import Channel, Message
from remote_kernel.io.tasks import start
from remote_kernel.kernel.before_session.vscode_cells import VsCodeCells
from remote_kernel.kernel.defects import report_defect
from remote_kernel.kernel.frontend.channels import Channels
from remote_kernel.kernel.output.waiting_line import WaitingLine
from remote_kernel.kernel.requests.in_flight import InFlightRequests
from remote_kernel.kernel.session.attachment import Attachment
from remote_kernel.kernel.session.notebook_path import Hints
from remote_kernel.kernel.session.session import Session

STARTING = Wait("starting a remote session")
LINK_IS_DOWN = Wait("waiting for the session")

# When so much waits for the session, nothing joins it but cells, which are what people write: as much as one message
# may have, be it many or one.
MAX_WAITING_BYTES = 256 * 1024 * 1024

# A front end whose kernel was replaced connects again within a tenth of a second; one that never listens is no reason
# to wait for long.
REJOIN_SECONDS = 5.0


# Who takes a session at the start of the kernel waits so long for a front end to say which notebook it is, where nobody
# else does: VS Code's first hidden cells tell it.
NAMING_SECONDS = 1.0


class Uplink:
    """Sends messages to the session, and finds it.

    Args:
        listener: hears what the session says.
        hints: what cells have told of the notebook.
    """

    def __init__(
        self, channels: Channels, session: Session, requests: InFlightRequests, hidden: VsCodeCells,
        attachment: Attachment, line: WaitingLine, listener: Listener, hints: Hints,
    ) -> None:  # fmt: skip
        self._channels = channels
        self._session = session
        self._requests = requests
        self._hidden = hidden
        self._attachment = attachment
        self._line = line
        self._listener = listener
        self._hints = hints
        self._early: list[Message] = []
        self._opening: asyncio.Task[None] | None = None
        self._is_eager = False
        self._naming: asyncio.TimerHandle | None = None

    @property
    def has_session(self) -> bool:
        """Return whether a session exists, or will for the sake of an earlier message."""
        return bool(self._session.is_known or self._early or len(self._requests))

    @property
    def is_ahead(self) -> bool:
        """Return whether a session is on its way that no message has asked for."""
        link = self._session.link
        is_looking = self._naming is not None or self._opening is not None or (link is not None and link.is_wanted)
        return self._is_eager and is_looking

    @property
    def is_attached(self) -> bool:
        """Return whether the session can be reached right now, as far as anybody knows."""
        return self._session.link is not None and self._session.link.is_attached

    @property
    def may_find_it_busy(self) -> bool:
        """Return whether a session is looked for that may run what nobody here waits for."""
        link = self._session.link
        is_looking = self._opening is not None if link is None else link.is_wanted
        is_of_earlier_process = self._session.is_known and self._attachment.hello is None
        return is_looking and (is_of_earlier_process or self._requests.is_left_busy)

    def has_room_for(self, message: Message) -> bool:
        """Return whether a message may wait with the others; what answers a prompt or looks into a running cell
        always may."""
        if message.channel is not Channel.SHELL:
            return True
        link = self._session.link
        waiting = sum(each.size for each in self._early) + (link.waiting_bytes if link else 0)
        return not waiting or waiting + message.size <= MAX_WAITING_BYTES

    def send(self, message: Message) -> None:
        """Send a message, behind the hidden cells that waited for one that needs the session."""
        messages = [*self._hidden.take(), message]
        if self._session.link is None:
            self._early += messages
            self.open()
        else:
            for each in messages:
                self._session.link.send(each)

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
            if self._session.is_known:  # there may be output that nobody has seen
                await self._channels.wait_heard(REJOIN_SECONDS)
            link = await self._session.open(self._listener, self._hints)
        except Exception as error:  # whatever it is, those who wait are the ones to be told
            self._early.clear()
            await self._listener.failed(error if isinstance(error, RemoteKernelError) else report_defect(error))
        else:
            early, self._early = self._early, []
            for message in early:
                link.send(message)
            self._requests.tell()
            if len(self._requests) or self._attachment.is_awaited or self._session.is_known or self._is_eager:
                link.open()
        finally:
            self._opening = None

    def begin_line(self) -> None:
        """Show in the cell that waits what it waits for."""
        link = self._session.link
        self._line.begin(STARTING if link is None or link.position is None else LINK_IS_DOWN)

    async def reach(self) -> None:
        """Return when the session can be reached; raises `RemoteKernelError` when there is none to be had."""
        if self.is_attached:
            return
        awaited = self._attachment.expect()
        self.open()
        self.begin_line()
        try:
            await awaited
        except asyncio.CancelledError:
            self._give_up_first()
            raise
        finally:
            self._attachment.forget()
            await self._line.end()

    def _give_up_first(self) -> None:
        """Stop looking for a session that has never been there."""
        link = self._session.link
        if link is not None and link.position is None:
            link.give_up()

    def forget_unsent(self) -> bool:
        """Send nothing of what waits; whether a session exists, which is still looked for."""
        self._early.clear()
        link = self._session.link
        is_left = link is not None and link.position is not None
        if link is not None:
            link.forget_unsent() if is_left else link.give_up()
        return is_left

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
