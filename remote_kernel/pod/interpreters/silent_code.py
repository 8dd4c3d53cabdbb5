"""Code of the agent's own, run silently: before anybody else speaks to an interpreter, or between cells."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from remote_kernel.core.jupyter.messages import Author, parse_header, parse_object, parse_parent
from remote_kernel.core.wire.frames import Channel
from remote_kernel.pod.clock import utc_now

# A startup file that takes longer is interrupted, so that the notebook can be used; then it has a moment to end.
PATIENCE_SECONDS = 60.0
ENDING_SECONDS = 5.0


class SilentCode:
    """Runs some code once, and hears when it has ended.

    Args:
        send: sends one message on a channel.
        exited: is done when the kernel's process has ended.
        patience_seconds: how long it may take before it is interrupted.
        ending_seconds: how long it may take then.

    Attributes:
        has_begun: whether the kernel has come to it.
    """

    has_begun = False

    def __init__(
        self, send: Callable[[Channel, tuple[bytes, ...]], None], author: Author, exited: "asyncio.Future[str]", *,
        patience_seconds: float = PATIENCE_SECONDS, ending_seconds: float = ENDING_SECONDS,
    ) -> None:  # fmt: skip
        self._patience_seconds = patience_seconds
        self._ending_seconds = ending_seconds
        self._send = send
        self._author = author
        self._exited = exited
        self._msg_id = ""
        self._reply: dict[str, Any] | None = None
        self._is_idle = False
        self._happened = asyncio.Event()

    def receive(self, channel: Channel, parts: tuple[bytes, ...]) -> None:
        """Take a message of the kernel; raises `WireError`, also for content that cannot be read."""
        if not self._msg_id or parse_parent(parts[1]).msg_id != self._msg_id:
            return
        msg_type = parse_header(parts[0]).msg_type
        if msg_type == "execute_reply":
            self._reply = parse_object(parts[3])
        elif msg_type == "status" and channel is Channel.IOPUB:
            self._is_idle = parse_object(parts[3]).get("execution_state") == "idle"
            self.has_begun = True
        if self._is_over:
            self._happened.set()

    @property
    def _is_over(self) -> bool:
        return self._reply is not None and self._is_idle

    async def run(
        self, code: str, *, interrupt: Callable[[], Awaitable[None]], expressions: Mapping[str, str] | None = None
    ) -> dict[str, Any] | None:
        """Return the content of the reply once nothing more comes of it; `None` when it does not end, or ends all.

        Args:
            expressions: by name, what is evaluated behind the code ("Execute" in the messaging protocol).
        """
        content = {
            "code": code, "silent": True, "store_history": False, "stop_on_error": False, "allow_stdin": False,
            "user_expressions": dict(expressions or {}),
        }  # fmt: skip
        parts = self._author.write("execute_request", content, date=utc_now())
        self._msg_id = parse_header(parts[0]).msg_id
        self._send(Channel.SHELL, parts)
        if not await self._has_ended(self._patience_seconds) and not self._exited.done():
            await interrupt()
            await self._has_ended(self._ending_seconds)
        return self._reply if self._is_over else None

    async def _has_ended(self, seconds: float) -> bool:
        """Return whether it has, once it has, or its process has, or so much time has gone."""
        self._exited.add_done_callback(self._note_exit)
        try:
            async with asyncio.timeout(seconds):
                await self._happened.wait()
        except TimeoutError:
            return False
        finally:
            self._exited.remove_done_callback(self._note_exit)
        return self._is_over

    def _note_exit(self, _exited: "asyncio.Future[str]") -> None:
        self._happened.set()
