"""A kernel without an agent: says for a built-in interpreter what a kernel says, from what becomes of its executions.

One request is answered after the other. At most once and "lost state is never silent" hold: the interpreter itself
remembers the name of its life and the cells that it was given.
"""

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from remote_kernel.client.interpreter.cells import Cells, Found, Lost
from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.core.interpreter_api.versions import SYNC_LIMIT_SECONDS
from remote_kernel.core.jupyter.interrupt_aim import Aim
from remote_kernel.core.jupyter.messages import Author, Header, parse_object
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.core.wire import codec
from remote_kernel.core.wire import frames as wire
from remote_kernel.core.wire.frames import Channel, Message
from remote_kernel.io.tasks import start

_log = logging.getLogger(__name__)

NO_AGENT = "The session has no agent; {what} needs one."

NOT_INTERRUPTED = "[This cell cannot be interrupted, as the session has no agent; the cells behind it were not run.]\n"

ENDED = f"[The cell was ended from outside, most likely after {SYNC_LIMIT_SECONDS:g} s, the limit for cells here.]\n"

# The methods of an ipykernel, and what of a request they take.
QUESTIONS = {
    "complete_request": ("do_complete", ("code", "cursor_pos")),
    "inspect_request": ("do_inspect", ("code", "cursor_pos", "detail_level")),
    "is_complete_request": ("do_is_complete", ("code",)),
}
WITHOUT_INTERPRETER: Mapping[str, Mapping[str, object]] = {
    "comm_info_request": {"status": "ok", "comms": {}},
    "history_request": {"status": "ok", "history": []},
}


@dataclass(frozen=True, slots=True)
class Request:
    """A message that waits for its turn."""

    message: Message
    header: Header


class AgentlessKernel:
    """One life of an interpreter, as far as this process sees it.

    Args:
        found: the interpreter.
        first: the number of the first message that it says.
        notice: what the first cell says before anything else.

    Attributes:
        epoch: the name of that life.
        notice: "" once it was said.
        is_over: whether the interpreter is gone.
    """

    def __init__(self, cells: Cells, found: Found, *, first: int, notice: str) -> None:
        self.epoch = found.epoch
        self._found = found
        self.notice = notice
        self.is_over = False
        self._cells = cells
        self._author = Author(f"plain-{secrets.token_hex(8)}")
        self._waiting: deque[Request] = deque()
        self._running: Request | None = None
        self._working: asyncio.Task[None] | None = None
        # What was said and not yet passed on: messages from number `_first` on.
        self._said: deque[bytes] = deque()
        self._first = first
        self._wakeups = asyncio.Event()

    @property
    def is_working(self) -> bool:
        return self._working is not None and not self._working.done()

    def accept(self, message: Message, header: Header) -> None:
        """Let a request take its place in the queue. Others are for a conversation that there is not."""
        if header.msg_type == "interrupt_request":
            self._interrupt(Request(message, header))
        elif header.msg_type.endswith("_request"):
            self._waiting.append(Request(message, header))
            if not self.is_working:
                self._working = start(self._work(), "plain kernel", on_failure=lambda _: self.end())

    def end(self) -> None:
        self.is_over = True
        self._waiting.clear()
        self._wakeups.set()

    async def aclose(self) -> None:
        """Stop listening; a cell that runs goes on, and nobody hears of it."""
        if self._working is not None:
            self._working.cancel()
            await asyncio.gather(self._working, return_exceptions=True)

    async def events(self, after: int | None) -> AsyncIterator[bytes]:
        """Yield what a link would read of an agent; what it comes back behind is forgotten."""
        after = self._first + len(self._said) - 1 if after is None else after
        yield codec.encode(
            wire.Hello(
                epoch=self.epoch, cursor=after, cooldown_seconds=self._found.cooldown_seconds, pod="",
                is_busy=self.is_working, kernel_info=self._found.info,
            )
        )  # fmt: skip
        self._forget_until(after)
        while True:
            while self._said:
                last = self._first
                yield self._said[0]
                self._forget_until(last)
            if self.is_over:
                yield codec.encode(wire.End(reason="stopping"))
                return
            if not await self._has_news():
                yield codec.encode(wire.Keepalive())

    def _forget_until(self, last: int) -> None:
        while self._said and self._first <= last:
            self._said.popleft()
            self._first += 1

    async def _has_news(self) -> bool:
        self._wakeups.clear()
        try:
            async with asyncio.timeout(wire.KEEPALIVE_SECONDS):
                return await self._wakeups.wait()
        except TimeoutError:
            return False

    # One request after the other

    async def _work(self) -> None:
        while self._waiting:
            request = self._waiting.popleft()
            self._say(request, Channel.IOPUB, "status", {"execution_state": "busy"})
            try:
                if request.header.msg_type == "execute_request":
                    await self._execute(request)
                else:
                    await self._answer(request)
            except Lost:
                self.end()
                return
            except Exception as error:
                self._say_failed(request, error)  # whatever it is: the next one has its turn
            self._say(request, Channel.IOPUB, "status", {"execution_state": "idle"})

    async def _execute(self, request: Request) -> None:
        content = parse_object(request.message.parts[3])
        code, is_silent = str(content.get("code", "")), content.get("silent") is True
        if not is_silent:
            self._say_notice(request)
        self._running = request
        try:
            ran = await self._cells.run(self.epoch, code, is_silent=is_silent)
        finally:
            self._running = None
        if not is_silent:
            self._say(request, Channel.IOPUB, "execute_input", {"code": code, "execution_count": ran.count})
        for msg_type, shown in ran.shown:
            self._say(request, Channel.IOPUB, msg_type, shown)
        error = ran.error
        if error and error["ename"] == "KeyboardInterrupt":  # which no user can cause here
            self._say(request, Channel.IOPUB, "stream", {"name": "stderr", "text": ENDED})
        outcome = {"status": "error", **error} if error else {"status": "ok"}
        reply = {"execution_count": ran.count, "user_expressions": {}, "payload": [], **outcome}
        self._say(request, Channel.SHELL, "execute_reply", reply)
        if error and content.get("stop_on_error", True) and not is_silent:
            self._abort_waiting()

    def _say_failed(self, request: Request, error: Exception) -> None:
        """Answer a request that could not be served."""
        text = str(error)
        if not isinstance(error, RemoteKernelError):
            _log.error(LogEvent("failed inside"), exc_info=error)
            text = "The remote kernel has failed inside."
        content = {"ename": type(error).__name__, "evalue": text, "traceback": [f"{type(error).__name__}: {text}"]}
        if request.header.msg_type == "execute_request":
            self._say(request, Channel.IOPUB, "error", content)
        kind = request.header.msg_type.removesuffix("_request")
        self._say(request, request.message.channel, f"{kind}_reply", {"status": "error", **content})

    def _interrupt(self, request: Request) -> None:
        """Do what can be done of an interrupt, and say what cannot."""
        aim = Aim.parse(request.message.parts[3])
        if self._running is not None and not (aim.is_exclusive and self._running.header.msg_id not in aim.cells):
            self._say(self._running, Channel.IOPUB, "stream", {"name": "stderr", "text": NOT_INTERRUPTED})
        self._abort_waiting(aim.cells if aim.is_exclusive else None)
        self._say(request, request.message.channel, "interrupt_reply", {"status": "ok"})

    def _say_notice(self, request: Request) -> None:
        if self.notice:
            self._say(request, Channel.IOPUB, "stream", {"name": "stderr", "text": self.notice})
            self.notice = ""

    def _abort_waiting(self, cells: frozenset[str] | None = None) -> None:
        """Abort the cells that wait, or some of them."""
        waiting, self._waiting = self._waiting, deque()
        for request in waiting:
            is_aborted = cells is None or request.header.msg_id in cells
            if request.header.msg_type != "execute_request" or not is_aborted:
                self._waiting.append(request)
                continue
            self._say(request, Channel.IOPUB, "status", {"execution_state": "busy"})
            self._say(request, Channel.SHELL, "execute_reply", {"status": "aborted"})
            self._say(request, Channel.IOPUB, "status", {"execution_state": "idle"})

    async def _answer(self, request: Request) -> None:
        kind = request.header.msg_type.removesuffix("_request")
        content = parse_object(request.message.parts[3])
        if kind == "kernel_info":
            reply: Mapping[str, object] = {"status": "ok", **self._found.info}
        elif question := QUESTIONS.get(request.header.msg_type):
            method, names = question
            reply = await self._cells.ask(self.epoch, method, [content.get(name, 0) for name in names])
        else:
            refusal = {
                "status": "error", "ename": "NoAgent", "evalue": NO_AGENT.format(what=f"'{kind}'"), "traceback": []
            }  # fmt: skip
            reply = WITHOUT_INTERPRETER.get(request.header.msg_type, refusal)
        self._say(request, request.message.channel, f"{kind}_reply", reply)

    def _say(self, request: Request, channel: Channel, msg_type: str, content: Mapping[str, object]) -> None:
        parts = self._author.write(msg_type, content, parent=request.message.parts[0], date=datetime.now(UTC))
        sequence = self._first + len(self._said)
        self._said.append(codec.encode(Message(channel=channel, parts=parts, sequence=sequence)))
        self._wakeups.set()
