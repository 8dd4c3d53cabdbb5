"""Relay between front end and session: answers what must be answered here, and passes on the rest.

What becomes of each message is decided by the table of requests (`requests.table`), without I/O; the relay tells it
what has happened, and does what it decides, in order.

The relay reads headers to route, drops what is no message (`requests.request`), and copies everything else. The
exceptions are requests that must be answered whatever the network does (`kernel_info`, interrupt, shutdown), requests
to a kernel that has run nothing yet (`before_session`), `%session` with its Tab (`magics`), requests that cannot be
passed on, which end with an error like one of the kernel's own, prompts that nobody answers or of what has ended
(`requests.prompts`), and printed text that has piled up, which the link hands over in fewer messages
(`core.text.stream_merging`).
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import count
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from remote_kernel.core.errors import RemoteKernelError, WireError
from remote_kernel.core.jupyter.messages import write_header
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.core.text.tally import Tally
from remote_kernel.core.wire.frames import Channel, Files, Message
from remote_kernel.io.arrival import call_behind
from remote_kernel.io.tasks import start
from remote_kernel.kernel.defects import report_defect
from remote_kernel.kernel.deliveries import Deliveries
from remote_kernel.kernel.frontend.channels import Channels
from remote_kernel.kernel.frontend.kernel_info_cache import KernelInfoCache
from remote_kernel.kernel.identity.notebook_path import Hints
from remote_kernel.kernel.magics.on_demand import CommandsOnDemand
from remote_kernel.kernel.output import style
from remote_kernel.kernel.output.display import Display, note
from remote_kernel.kernel.output.waiting_line import WaitingLine
from remote_kernel.kernel.preparation.preparation import Preparation
from remote_kernel.kernel.requests import effects
from remote_kernel.kernel.requests.effects import BeginLine, Effect, RunCommand, Step
from remote_kernel.kernel.requests.facts import SessionFacts
from remote_kernel.kernel.requests.request import Interrupted, Request
from remote_kernel.kernel.requests.table import LINK_IS_DOWN, MAX_WAITING_BYTES, NOT_SENT, STARTING, RequestTable
from remote_kernel.kernel.saves.on_demand import SavesOnDemand
from remote_kernel.kernel.session.attachment import Attachment
from remote_kernel.kernel.session.session import Session
from remote_kernel.kernel.uplink import Uplink

if TYPE_CHECKING:
    from remote_kernel.kernel.ending import Ending

_log = logging.getLogger(__name__)

NOT_DONE = "The command was interrupted; the session is as it was."

# Cells whose files are on their way, or wait for their turn.
MAX_FETCHING = 20


class Farewell(NamedTuple):
    """A `shutdown_request`, and whether it asks for a restart."""

    message: Message
    restart: bool


class Relay:
    """The local kernel's behaviour.

    Args:
        kernelspec: the kernel in the pod.
        is_eager: whether the session is taken at the start.
        max_waiting_bytes: how much may wait for the session.

    Attributes:
        stopped: is set when the kernel is to end.
        has_died: whether it ends because a session was lost with nobody there to decide what then.
        deliveries: what the link brings from the session.
        preparation: of the session for cells.
    """

    def __init__(
        self, channels: Channels, session: Session, known: KernelInfoCache, *, kernelspec: str, is_eager: bool = False,
        max_waiting_bytes: int = MAX_WAITING_BYTES,
    ) -> None:  # fmt: skip
        self.stopped = asyncio.Event()
        self.has_died = False
        self._is_eager = is_eager
        self._farewell: Farewell | None = None
        self._channels = channels
        self._session = session
        self._hints = Hints()
        self._name = f"kernel-{secrets.token_hex(8)}"
        ids = (f"{self._name}_{number}" for number in count(1))
        self._table = RequestTable(
            known=known, kernelspec=kernelspec, ports=channels.ports, ids=ids, max_waiting_bytes=max_waiting_bytes
        )
        self._line = WaitingLine(channels)
        self._command: asyncio.Task[None] | None = None
        self._preparing: asyncio.Task[None] | None = None
        self._fetching: set[asyncio.Task[None]] = set()
        self._dropped_prompts = Tally()
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = inf
        attachment = Attachment()
        self._saves = SavesOnDemand(
            session, attachment, self._hints,
            files=lambda: self.preparation.files, tell=lambda note: self._do(self._table.tell(note)),
            withdraw=self._table.withdraw,
        )  # fmt: skip
        self.preparation = Preparation(session, attachment, self._hints, self._saves, self._reach)
        self.deliveries = Deliveries(
            channels=channels, session=session, known=known, attachment=attachment, saves=self._saves,
            table=self._table, look=self._look, do=self._do, note_files=self._note_files,
            note_gap=self.preparation.note_gap,
        )  # fmt: skip
        self._uplink = Uplink(
            channels, session, self._table, attachment, self.deliveries.take, self._hints, self.preparation
        )
        self._commands = CommandsOnDemand(
            channels,
            session,
            self._table.orphaned,
            attachment,
            self.preparation,
            self._saves,
            reach=self._reach,
            settle=self._settle,
            answer=self._answer,
            fail=self._fail,
        )

    async def start(self) -> None:
        """Greet the front end; take up the session that an earlier process of this kernel left."""
        self._channels.say("status", {"execution_state": "starting"})
        self._session.tidy()
        if self._session.binding.is_known:
            self._table.orphaned.open()
            self._uplink.open()
        elif self._is_eager:
            self._uplink.open_ahead()

    def _look(self) -> SessionFacts:
        return self._uplink.look(begins_cell=self._table.has_held)

    # From the front end

    async def handle(self, channel: Channel, prefixes: list[bytes], parts: tuple[bytes, ...]) -> None:
        """Take one message of a front end; raises `WireError` when it is none."""
        if self.has_died:
            return
        request = Request.parse(channel, prefixes, parts)
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug(LogEvent("request", type=request.info.msg_type, channel=channel.name.lower()))
        try:
            self._handle(request, parts)
        except WireError:
            raise
        except Exception as error:  # the kernel must hear the next message, whatever this one has brought up
            self._fail(request, report_defect(error))

    def _handle(self, request: Request, parts: tuple[bytes, ...]) -> None:
        match request.info.msg_type:
            case "shutdown_request":
                self._shut_down(request)
                return
            case "interrupt_request":
                _log.info(LogEvent("interrupt"))
            case "complete_request" | "inspect_request" if self._commands.completes(request):
                return
            case "input_reply" if self._commands.takes_reply(request):
                return
        facts = self._uplink.look(begins_cell=request.is_execute)
        note = partial(self._session.history.note, request.content) if request.is_execute else None
        if request.is_execute and not (facts.exists or self._table.has_open):
            self._hints.read(parts[2], parts[3])
        self._do(self._table.arrived(request, facts, time.monotonic()))
        if note is not None:
            call_behind(note)  # behind what sends the cell, with which its thread would compete for the interpreter
        self._session.contact_early()  # behind the answer: a front end's first request asks whether the kernel is there

    def _shut_down(self, request: Request) -> None:
        restart = request.content.get("restart") is True
        self._table.close()
        _log.info(LogEvent("shutdown", restart=restart))
        self._farewell = Farewell(request.take_message(), restart)
        self._answer(request, {"status": "ok", "restart": restart})
        self.stopped.set()

    def _answer(self, request: Request, content: Mapping[str, Any]) -> None:
        self._do(self._table.answer(request, content))

    def _fail(self, request: Request, error: RemoteKernelError) -> None:
        self._do(self._table.fail(request, error))

    # What the table decides

    def _do(self, decided: Sequence[Effect]) -> None:
        for effect in decided:
            self._perform(effect)
        is_busy = self._table.is_busy
        self._session.note_busy(is_busy)
        self._saves.note_busy(is_busy)
        if self._table.deadline < self._wakes_at:
            self._set_timer()

    def _perform(self, effect: Effect) -> None:
        channels = self._channels
        match effect:
            case effects.Publish(parts):
                channels.publish(parts)
            case effects.Forward(request, channel, parts):
                channels.send(channel, request.prefixes, parts)
            case effects.Say(msg_type, content, parent):
                channels.say(msg_type, content, parent)
            case effects.Reply(request, msg_type, content):
                channels.reply(request.channel, request.prefixes, msg_type, content, request.header)
            case effects.Send(message, is_use):
                self._uplink.send(message, is_use=is_use)
            case effects.Show(shown, parent):
                Display(channels, parent).show(shown)
            case BeginLine(wait):
                self._line.begin(wait, self._table.waiting_cell)
            case Step.END_LINE:
                self._line.end()
            case effects.Prepare(request):
                self._preparing = start(self._prepare(request), "preparation")
            case Step.CANCEL_PREPARATION:
                if self._preparing is not None:
                    self._preparing.cancel()
            case effects.Explain(request, name, text):
                start(self._explain(request, name, text), "hint")
            case RunCommand():
                # In a task of its own, as other requests are answered meanwhile.
                self._command = start(self._run_command(effect), "command")
            case Step.CANCEL_COMMAND:
                if self._command is not None:
                    self._command.cancel()
            case effects.SendInterrupt(msg_id, aim):
                self._uplink.send_ahead(self._write(Channel.CONTROL, msg_id, "interrupt_request", aim.to_content()))
            case effects.SendProbe(msg_id, channel, subshell_id):
                subshell = {"subshell_id": subshell_id} if subshell_id else {}
                self._uplink.send(self._write(channel, msg_id, "kernel_info_request", b"{}", **subshell))
            case effects.ReadHistory(request):
                start(self._answer_history(request), "history")
            case Step.OPEN_SESSION:
                self._uplink.open()
            case Step.FORGET_UNSENT:
                self._uplink.forget_unsent()
            case Step.ABORT_UNSENT:
                self._do(self._table.unsent(self._uplink.take_unsent()))
            case effects.NoteUntold(loss):
                self._session.binding.note_untold(loss)
            case Step.NOTE_DROPPED_PROMPT:
                if self._dropped_prompts.add():
                    count, reason = self._dropped_prompts.count, "nobody answers those before it"
                    _log.warning(LogEvent("prompt dropped", reason=reason, count=count))
            case Step.END_KERNEL:
                self.has_died = True
                self.stopped.set()

    async def _answer_history(self, request: Request) -> None:
        try:
            history = await self._session.read_history(request.content, self._hints)
        except Exception as error:
            self._fail(request, report_defect(error))
        else:
            self._answer(request, {"status": "ok", "history": history})

    def _set_timer(self) -> None:
        """Wake at the table's deadline. A timer stays when that is put off, as it is by nearly every cell."""
        self._stop_timer()
        if (deadline := self._table.deadline) < inf:
            self._timer = asyncio.get_running_loop().call_at(deadline, self._wake)
            self._wakes_at = deadline

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._wakes_at = None, inf

    def _wake(self) -> None:
        try:
            if self._table.deadline <= time.monotonic():
                self._do(self._table.wake(self._uplink.look(), time.monotonic()))
        except Exception as error:
            report_defect(error)
        self._set_timer()

    # What is done here before a cell runs, and before it ends

    async def _prepare(self, request: Request) -> None:
        error: RemoteKernelError | None = None
        try:
            for note in await self.preparation.run(
                show=lambda wait: self._do([BeginLine(wait)]),
                remark=lambda text: self._do(self._table.tell(text, colour=style.ACCENT)),
                present=lambda shown: self._do(self._table.present(shown)),
            ):
                self._do(self._table.tell(note))
        except asyncio.CancelledError:
            error = Interrupted(NOT_SENT)
        except RemoteKernelError as failure:
            error = failure
        except Exception as defect:
            error = report_defect(defect)
        self._preparing = None
        self._do(self._table.prepared(request, error, self._look(), time.monotonic()))

    def _note_files(self, files: Files) -> None:
        if not self.preparation.is_news(files):
            self._do(self._table.end_now(files.cell))
            return
        if len(self._fetching) >= MAX_FETCHING:
            self.preparation.note_gap()  # the next one looks for all that has changed
            self._do(self._table.end_now(files.cell))
            return
        self._table.end_soon(files.cell)
        task = start(self._bring_back(files), "files")
        self._fetching.add(task)
        task.add_done_callback(self._fetching.discard)

    async def _bring_back(self, files: Files) -> None:
        notes: Sequence[str] = ()
        try:
            notes = await self.preparation.bring_back(files)
        finally:
            self._do(self._table.end_now(files.cell, notes))

    async def _explain(self, request: Request, name: str, text: str) -> None:
        try:
            if hint := await self.preparation.explain(name, text):
                Display(self._channels, request.header).show(note(hint, is_aside=True))
        finally:
            self._do(self._table.end_now(request.info.msg_id))

    # Commands

    async def _run_command(self, asked: RunCommand) -> None:
        error: RemoteKernelError | None = None
        try:
            await self._commands.perform(asked.request, asked.command)
        except asyncio.CancelledError:
            error = Interrupted(NOT_DONE)
        except RemoteKernelError as failure:
            error = failure
        except Exception as defect:
            error = report_defect(defect)
        self._command = None
        self._do(self._table.command_ended(asked.request, error, self._uplink.look(), time.monotonic()))

    async def _reach(self) -> None:
        """Return when the session can be reached; raises `RemoteKernelError`, which may be an earlier loss."""
        if (loss := self._session.binding.untold) is not None:
            self._session.binding.note_untold(None)
            raise loss
        facts = self._uplink.look()
        if facts.is_attached:
            return
        self._table.is_reaching = True
        self._do([BeginLine(LINK_IS_DOWN if facts.is_there else STARTING)])
        try:
            await self._uplink.reach()
        finally:
            self._table.is_reaching = False
            self._line.end()

    async def _settle(self) -> None:
        """End what stands between a session and its end: an error that was to be told, an opening under way."""
        self._session.binding.note_untold(None)
        await self._uplink.settle()

    # The end

    async def aclose(self) -> None:
        """Part from the session as asked: restart it, give it back, or, when nobody asked for anything, leave it to
        those who can come back to it."""
        from remote_kernel.kernel.ending import Ending  # late, as the start waits for imports

        farewell = self._farewell
        restarts = farewell is not None and farewell.restart
        ending = Ending(began_at=time.monotonic(), is_asked=farewell is not None, is_restart=restarts)
        await self._give_up(ending)
        await asyncio.gather(self._save(ending), self._finish_fetching(ending))
        await self._commands.aclose()
        await self._uplink.aclose()
        self._table.close()
        self._stop_timer()
        self._line.end()
        seconds = ending.farewell_seconds(time.monotonic())
        if farewell is None:
            await self._session.leave()
        elif restarts:
            await self._session.restart(farewell.message, within_seconds=seconds)
        else:
            await self._session.release(within_seconds=seconds)

    async def _give_up(self, ending: "Ending") -> None:
        """Give up a command and a preparation."""
        tasks = {task for task in (self._command, self._preparing) if task is not None}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=ending.stopping_seconds(time.monotonic()))

    async def _save(self, ending: "Ending") -> None:
        """Save what is about to go, where wanted and done in time."""
        if (seconds := ending.saving_seconds(time.monotonic())) > 0:
            await self._saves.finish(within_seconds=seconds)
        await self._saves.aclose()

    async def _finish_fetching(self, ending: "Ending") -> None:
        """Fetch the files of the last cells, which are on their way."""
        if self._fetching:
            await asyncio.wait(self._fetching, timeout=ending.fetching_seconds(time.monotonic()))

    def _write(self, channel: Channel, msg_id: str, msg_type: str, content: bytes, **header: str) -> Message:
        part = write_header(msg_id, msg_type, session=self._name, date=datetime.now(UTC), **header)
        return Message(channel=channel, parts=(part, b"{}", b"{}", content))
