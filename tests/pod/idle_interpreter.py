"""An interpreter without a process, for tests of what happens around one."""

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from remote_kernel.core.journal.journal import Journal
from remote_kernel.core.jupyter.debugger_files import CellFiles
from remote_kernel.core.jupyter.messages import parse_header
from remote_kernel.core.wire.frames import Channel
from remote_kernel.pod.interpreters.channels import Gathering, Receive
from remote_kernel.pod.interpreters.interpreter import Interpreter
from remote_kernel.pod.interpreters.launching import Launching
from remote_kernel.pod.interpreters.shutdowns import Shutdowns
from remote_kernel.pod.kernels.pod_kernel import PodKernel


class Idle(Interpreter):
    """An interpreter that says and does what it is told.

    Attributes:
        may_start: when its start ends, and how.
        epoch: that of its life; "" before that.
        got: the message ids of what it has been sent, each with the kernel's epoch at that time.
        cells: those that it has not replied to, and whether it has said that it is idle.
        interrupts: how often it was interrupted.
        is_asked_to_end: whether it was, or was killed.
    """

    def __init__(self, epoch: Callable[[], str]) -> None:
        loop = asyncio.get_running_loop()
        self.kernel_info: dict[str, Any] = {}
        self.cell_files = CellFiles()
        self.exited: asyncio.Future[str] = loop.create_future()
        self.may_start: asyncio.Future[None] = loop.create_future()
        self.pid: int | None = None
        self.epoch = ""
        self.got: list[tuple[str, str]] = []
        self.cells: dict[str, bool] = {}
        self.interrupts = 0
        self.is_asked_to_end = False
        self.say: Receive = lambda _channel, _parts: None
        self._epoch = epoch

    @property
    def is_left(self) -> bool:
        """Return whether somebody has to see to its end."""
        has_failed = self.may_start.cancelled() or (self.may_start.done() and self.may_start.exception() is not None)
        return not (self.exited.done() or self.is_asked_to_end or has_failed)

    async def start(self) -> None:
        try:
            await self.may_start
        except BaseException:
            await self.kill()
            raise

    async def started(self) -> Interpreter:
        """Start, and return it."""
        await self.start()
        return self

    def listen(self, receive: Receive, gathering: Gathering = nullcontext) -> None:
        self.say, self.epoch = receive, self.epoch or self._epoch()

    def take_cell_files(self, earlier: CellFiles) -> None:
        pass

    def hold(self, reason: str, is_held: bool) -> None:
        pass

    async def send(self, channel: Channel, parts: tuple[bytes, ...]) -> None:
        msg_id = parse_header(parts[0]).msg_id
        self.got.append((msg_id, self._epoch()))
        self.cells[msg_id] = False

    async def interrupt(self) -> None:
        self.interrupts += 1

    async def drain(self) -> None:
        pass

    async def shut_down(self, *, restart: bool, interrupts: bool) -> None:
        self.is_asked_to_end = True
        await asyncio.shield(self.exited)

    async def kill(self) -> None:
        self.is_asked_to_end = True
        if not self.exited.done():
            self.exited.set_result("killed")


def make_idle_kernel(*, starts_at_once: bool = True) -> tuple[PodKernel, list[Idle]]:
    """Return a kernel, and the interpreters that it will have begun to start."""
    interpreters: list[Idle] = []

    def start(_asked: Launching | None) -> "asyncio.Task[Interpreter]":
        interpreters.append(Idle(lambda: kernel.epoch))
        if starts_at_once:
            interpreters[-1].may_start.set_result(None)
        return asyncio.create_task(interpreters[-1].started())

    kernel = PodKernel("main", "idle", journal=Journal(), start=start, shutdowns=Shutdowns())
    return kernel, interpreters
