"""Deliveries from the session: events of the link on their way to the table of requests."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from remote_kernel.client.link import events
from remote_kernel.core.errors import RemoteKernelError, SessionLost, WireError
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.core.text.tally import Tally
from remote_kernel.core.wire import frames as wire
from remote_kernel.kernel.defects import report_defect
from remote_kernel.kernel.frontend.channels import Channels
from remote_kernel.kernel.frontend.kernel_info_cache import KernelInfoCache
from remote_kernel.kernel.requests.effects import BeginLine, Effect, Step
from remote_kernel.kernel.requests.facts import SessionFacts
from remote_kernel.kernel.requests.request import KernelMessage
from remote_kernel.kernel.requests.table import RequestTable
from remote_kernel.kernel.saves.on_demand import SavesOnDemand
from remote_kernel.kernel.session.attachment import Attachment
from remote_kernel.kernel.session.session import Session

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliveries:
    """Owner of the session's link: passes each event to the table, and does what that decides.

    Attributes:
        saves: are told of the session's ends, and say what is saved.
        look: returns what is known of the session.
        do: does what was decided.
        note_files: is told what a cell has changed in the folder that the link watches.
        note_gap: is told that something of that may be lost.
        malformed: messages that were none.
        gaps: in what the pod has kept.
    """

    channels: Channels
    session: Session
    known: KernelInfoCache
    attachment: Attachment
    saves: SavesOnDemand
    table: RequestTable
    look: Callable[[], SessionFacts]
    do: Callable[[Sequence[Effect]], None]
    note_files: Callable[[wire.Files], None]
    note_gap: Callable[[], None]
    malformed: Tally = field(default_factory=Tally)
    gaps: Tally = field(default_factory=Tally)

    async def take(self, event: events.Event) -> None:
        """Take an event, in order; see `OnEvent`."""
        match event:
            case events.Received(message):
                try:
                    said = KernelMessage.parse(message)
                except WireError as error:
                    self._refuse(error)
                    return
                if said.is_iopub and not self.channels.has_room:
                    await self.channels.room()
                self._pass_on(said)
            case events.Attached(hello):
                self._note_attached(hello)
            case events.Dropped(gap):
                await self.channels.room()
                self.note_gap()
                if self.gaps.add():
                    _log.warning(LogEvent("output dropped", messages=gap.last - gap.first + 1, count=self.gaps.count))
                self.do(self.table.dropped(gap))
            case events.Joined(peers):
                _log.info(LogEvent("shared", other_kernels=peers))
                self.do(self.table.joined(peers))
            case events.FilesChanged(files):
                self.note_files(files)
            case events.Waiting(wait) if not self.table.is_unreachable_told:
                self.do([BeginLine(wait)])
            case events.Delivered() if not self.table.is_unreachable_told:
                self.do([Step.END_LINE])
            case events.Refused(message, error):
                _log.warning(LogEvent("message refused", error=error.name, text=str(error)))
                self.do(self.table.refused(message, error, self.look(), time.monotonic()))
            case events.Failed(error, unsent):
                await self._note_failure(error, unsent)
            case events.Lost(error):
                await self._note_failure(error)

    def _note_attached(self, hello: wire.Hello) -> None:
        self.attachment.succeed(hello)
        self.known.learn(hello.kernel_info)
        are_files_lost = self.session.note_attached(hello.pod)
        self.saves.note_attached()
        if self.session.launch is not None and (note := self.session.launch.take_note(hello.launch)):
            self.do(self.table.tell(note))
        self.do(self.table.attached(hello, are_files_lost=are_files_lost))

    def _refuse(self, error: WireError) -> None:
        """Count a message that would end what executes a notebook."""
        if self.malformed.add():
            _log.warning(LogEvent("malformed message dropped", reason=str(error), count=self.malformed.count))

    def _pass_on(self, said: KernelMessage) -> None:
        # Before, not after: if this process is killed in between, a front end that saw a message twice would take the
        # second for a replay attack and stop ("Duplicate Signature" in jupyter_client).
        self.session.note_position(is_use=said.is_use)
        now = time.monotonic()
        try:
            if said.is_iopub:
                self.do(self.table.published(said, now))
            else:
                self.do(self.table.replied(said, self.look() if self.table.has_held else None, now))
        except Exception as error:  # the link must go on, whatever this one has brought up
            report_defect(error)

    async def _note_failure(self, error: RemoteKernelError, unsent: Sequence[wire.Message] = ()) -> None:
        _log.warning(LogEvent("failed", error=error.name, text=str(error)))
        is_told, is_loss, now = self.attachment.fail(error), isinstance(error, SessionLost), time.monotonic()
        # At once: a cell that arrives while the saves are looked at was sent for the session that is lost.
        self.do(self.table.failed(error, self.look(), now, unsent, is_told=is_told, is_described=not is_loss))
        if isinstance(error, SessionLost):
            self.session.note_position()
            loss = await self.saves.note_loss(error)
            self.do(self.table.described(loss, self.look()))
