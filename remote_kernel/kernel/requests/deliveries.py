"""Deliveries from the session: what the link says goes to the table of requests, and what that decides is done."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from remote_kernel.client.retry import Wait
from remote_kernel.core.errors import RemoteKernelError, SessionLost
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.core.wire import frames as wire
from remote_kernel.core.wire.frames import Message
from remote_kernel.kernel.frontend.channels import Channels
from remote_kernel.kernel.frontend.kernel_info_cache import KernelInfoCache
from remote_kernel.kernel.requests.effects import BeginLine, Effect, EndLine
from remote_kernel.kernel.requests.facts import SessionFacts
from remote_kernel.kernel.requests.request import KernelMessage
from remote_kernel.kernel.requests.table import RequestTable
from remote_kernel.kernel.session.attachment import Attachment
from remote_kernel.kernel.session.session import Session

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliveries:
    """The `Listener` of the session's link.

    Attributes:
        look: returns what is known of the session.
        do: does what was decided.
    """

    channels: Channels
    session: Session
    known: KernelInfoCache
    attachment: Attachment
    table: RequestTable
    look: Callable[[], SessionFacts]
    do: Callable[[Sequence[Effect]], None]

    async def attached(self, hello: wire.Hello) -> None:
        """See `Listener`."""
        self.attachment.succeed(hello)
        self.known.learn(hello.kernel_info)
        self.session.note_position()
        are_files_lost = self.session.note_pod(hello.pod)
        self.do(self.table.attached(hello, are_files_lost=are_files_lost))

    async def received(self, message: Message) -> None:
        """See `Listener`."""
        said = KernelMessage.parse(message)
        if said.is_iopub:
            await self.channels.room()
        # Before, not after: if this process is killed in between, a front end that saw a message twice would take the
        # second for a replay attack and stop ("Duplicate Signature" in jupyter_client).
        self.session.note_position()
        now = time.monotonic()
        self.do(self.table.published(said, now) if said.is_iopub else self.table.replied(said, self.look(), now))

    async def dropped(self, gap: wire.Gap) -> None:
        """See `Listener`."""
        _log.warning(LogEvent("output dropped", messages=gap.last - gap.first + 1))
        self.do(self.table.dropped(gap))

    async def joined(self, peers: int) -> None:
        """See `Listener`."""
        _log.info(LogEvent("shared", other_kernels=peers))
        self.do(self.table.joined(peers))

    async def waiting(self, wait: Wait) -> None:
        """See `Listener`."""
        if not self.table.is_unreachable_told:
            self.do([BeginLine(wait)])

    async def delivered(self) -> None:
        """See `Listener`."""
        if not self.table.is_unreachable_told:
            self.do([EndLine()])

    async def refused(self, message: Message, error: RemoteKernelError) -> None:
        """See `Listener`."""
        _log.warning(LogEvent("message refused", error=error.name, text=str(error)))
        self.do(self.table.refused(message, error, self.look(), time.monotonic()))

    async def failed(self, error: RemoteKernelError) -> None:
        """See `Listener`."""
        _log.warning(LogEvent("failed", error=error.name, text=str(error)))
        is_told = self.attachment.fail(error)
        self.do(self.table.failed(error, self.look(), time.monotonic(), is_told=is_told))
        if isinstance(error, SessionLost):
            self.session.note_position()
