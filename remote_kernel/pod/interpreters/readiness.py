"""Readiness of a kernel that starts: it is asked until it is heard, and made ready for a pod."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from remote_kernel.core.jupyter.debugger_files import CellFiles
from remote_kernel.core.jupyter.messages import Author, parse_header, parse_object
from remote_kernel.core.wire.frames import Channel
from remote_kernel.pod.clock import utc_now
from remote_kernel.pod.interpreters import make_ready
from remote_kernel.pod.interpreters.programs import call_main

# A kernel that has just bound its sockets may miss the first subscription: ask again this often.
NUDGE_SECONDS = 0.2

# How long a kernel that has a debugger may take to say where it puts the files of cells; it is asked as it starts.
DEBUG_INFO_SECONDS = 5.0

# After so long nothing more comes that belongs to our own questions.
SETTLED_SECONDS = 0.02


class Readiness:
    """The agent's own questions to a kernel that starts, and the answers.

    Args:
        sockets: how the paths of the kernel's sockets begin; "" where they are none.
        send: sends one message on a channel.
        wait_stdin: returns when the stdin channel is connected.
        exited: is done when the kernel's process has ended.

    Attributes:
        kernel_info: what the kernel says of itself.
        cell_files: where its debugger has the files of cells.
    """

    def __init__(
        self,
        sockets: str,
        send: Callable[[Channel, tuple[bytes, ...]], None],
        wait_stdin: Callable[[], Coroutine[Any, Any, None]],
        author: Author,
        exited: "asyncio.Future[str]",
    ) -> None:
        self.kernel_info: dict[str, Any] = {}
        self.cell_files = CellFiles()
        self._sockets = sockets
        self._send = send
        self._wait_stdin = wait_stdin
        self._author = author
        self._exited = exited
        self._is_published = asyncio.Event()
        self._replied = {name: asyncio.Event() for name in ("kernel_info_reply", "execute_reply", "debug_reply")}

    def receive(self, channel: Channel, parts: tuple[bytes, ...]) -> None:
        """Take a message of the kernel; raises `WireError`."""
        if channel is Channel.IOPUB:
            self._is_published.set()
            return
        msg_type = parse_header(parts[0]).msg_type
        if msg_type == "kernel_info_reply":
            self.kernel_info = parse_object(parts[3])
        elif msg_type == "debug_reply":
            self.cell_files = CellFiles.from_debug_info(parse_object(parts[3]))
        if msg_type in self._replied:
            self._replied[msg_type].set()

    async def wait(self, *, is_python: bool) -> bool:
        """Return whether the kernel answers on shell and iopub, when it does, and `False` when its process has ended.

        One that is Python's is made ready by `make_ready`; another than ipykernel refuses, and no harm. Its prompts
        would be for nobody before the stdin channel is connected.
        """
        has_replied = self._replied["kernel_info_reply"]
        while not (self._is_published.is_set() and has_replied.is_set()):
            if self._exited.done():
                return False
            self._ask(Channel.SHELL, "kernel_info_request", {})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(NUDGE_SECONDS):
                    await has_replied.wait()
                    await self._is_published.wait()
        if is_python:
            code = call_main(make_ready, {"sockets": self._sockets})
            content = {"code": code, "silent": True, "store_history": False, "stop_on_error": False}
            self._ask(Channel.SHELL, "execute_request", content)
            await self._ask_debugger()
            await self._wait_unless_exited(self._replied["execute_reply"].wait())
            await self._wait_unless_exited(self._wait_stdin())
        if self._sockets:
            make_ready.widen(self._sockets)
        await self._settle()
        return True

    def _ask(self, channel: Channel, msg_type: str, content: Mapping[str, Any]) -> None:
        self._send(channel, self._author.write(msg_type, content, date=utc_now()))

    async def _ask_debugger(self) -> None:
        """Ask where the files of cells are; without an answer the debugger works as it comes."""
        features = self.kernel_info.get("supported_features")
        if not (isinstance(features, list) and "debugger" in features):
            return
        content = {"type": "request", "seq": 1, "command": "debugInfo", "arguments": {}}
        self._ask(Channel.CONTROL, "debug_request", content)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DEBUG_INFO_SECONDS):
                await self._wait_unless_exited(self._replied["debug_reply"].wait())

    async def _wait_unless_exited(self, awaited: Coroutine[Any, Any, object]) -> None:
        happened = asyncio.create_task(awaited)
        either: set[asyncio.Future[Any]] = {happened, self._exited}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            happened.cancel()

    async def _settle(self) -> None:
        """Let what belongs to our own questions pass, so that the first reader sees none of it."""
        with contextlib.suppress(TimeoutError):
            while True:
                self._is_published.clear()
                async with asyncio.timeout(SETTLED_SECONDS):
                    await self._is_published.wait()
