"""A kernel that says what a kernel says, and runs nothing: to have hundreds of sessions on a small machine."""

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from remote_kernel.core.jupyter.debugger_files import CellFiles
from remote_kernel.core.jupyter.messages import Author, parse_header
from remote_kernel.core.wire.frames import DEFAULT_KERNELSPEC, Channel
from remote_kernel.pod.interpreters.channels import Gathering
from remote_kernel.pod.interpreters.interpreter import Interpreter
from remote_kernel.pod.interpreters.launching import Launching
from remote_kernel.pod.kernels.registry import Registry

KERNEL_INFO = {
    "status": "ok",
    "protocol_version": "5.4",
    "implementation": "light",
    "implementation_version": "1",
    "language_info": {"name": "python", "version": "3", "mimetype": "text/x-python", "file_extension": ".py"},
    "banner": "",
}

PRINTED = "light\n"

Receive = Callable[[Channel, tuple[bytes, ...]], None]


class LightKernel:
    """Stands where an `Interpreter` stands, without a process: every cell prints `PRINTED`."""

    def __init__(self) -> None:
        self.kernel_info = KERNEL_INFO
        self.cell_files = CellFiles()
        self.startup_failure = ""
        self.exited: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._author = Author("light")
        self._receive: Receive = lambda _channel, _parts: None
        self._count = 0

    def listen(self, receive: Receive, gathering: Gathering = nullcontext) -> None:
        self._receive = receive

    async def send(self, channel: Channel, parts: tuple[bytes, ...]) -> None:
        msg_type = parse_header(parts[0]).msg_type
        reply = msg_type.replace("_request", "_reply")
        self._say(parts[0], "status", {"execution_state": "busy"})
        if msg_type == "execute_request":
            self._count += 1
            self._say(parts[0], "stream", {"name": "stdout", "text": PRINTED})
        content = {"status": "ok", "execution_count": self._count, "user_expressions": {}}
        self._say(parts[0], reply, content, channel)
        self._say(parts[0], "status", {"execution_state": "idle"})

    def _say(self, parent: bytes, msg_type: str, content: dict[str, Any], channel: Channel = Channel.IOPUB) -> None:
        self._receive(channel, self._author.write(msg_type, content, parent=parent, date=datetime.now(UTC)))

    def take_cell_files(self, earlier: CellFiles) -> None:
        """Nothing here is debugged."""

    def hold(self, reason: str, is_held: bool) -> None:
        """Nothing here could be stopped."""

    async def interrupt(self) -> None:
        """Nothing here lasts."""

    async def drain(self) -> None:
        """Everything is said at once."""

    async def shut_down(self, *, restart: bool, interrupts: bool) -> None:
        await self.kill()

    async def kill(self) -> None:
        if not self.exited.done():
            self.exited.set_result("exit status 0")


class LightRegistry(Registry):
    """The kernels of a pod, none of which runs anything."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder=folder, data=folder, environ={})

    async def prepare(self, kernelspec: str) -> None:
        """Keep no spare interpreter, which would be a real one."""

    def _start(
        self, kernelspec: str = DEFAULT_KERNELSPEC, asked: Launching | None = None
    ) -> "asyncio.Task[Interpreter]":
        async def start() -> Interpreter:
            return cast(Interpreter, LightKernel())

        return asyncio.create_task(start())
