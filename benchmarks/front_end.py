"""A front end that looks at the clock: it sends requests, and reads what comes on every channel until one is done."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import psutil

TIMEOUT_SECONDS = 120.0

# How often a kernel that has just started is asked for its first word on iopub.
NUDGE_SECONDS = 0.2

Message = dict[str, Any]
OnMessage = Callable[[str, Message], None]


class CellFailed(Exception):
    """A request whose reply is not "ok"; the text says what it was."""


class ConnectionLost(Exception):
    """What carried the messages is gone; the text says what is known."""


class Connection(Protocol):
    """The way to one kernel, which it has started: ZeroMQ, or whatever else carries Jupyter's messages."""

    @property
    def pid(self) -> int | None:
        """Of the kernel's process, where it is one of this machine's that stands for the kernel."""

    def send(self, channel: str, msg_type: str, content: Message, buffers: Sequence[bytes] = ()) -> str:
        """Send a message and return its id."""

    def receive(self, timeout_seconds: float) -> Sequence[tuple[str, Message]]:
        """Return channel and message of what has come; nothing only when nothing comes for so long.

        Raises `ConnectionLost`.
        """

    def interrupt(self) -> None:
        """Interrupt the kernel without waiting for the answer."""

    def close(self) -> None:
        """Shut the kernel down as a front end does."""


class FrontEnd:
    """A user at a kernel; times are of `time.perf_counter`, in seconds.

    Args:
        patience_seconds: how long nothing may come while something is expected.
    """

    def __init__(self, connection: Connection, patience_seconds: float = TIMEOUT_SECONDS) -> None:
        self._connection = connection
        self._patience_seconds = patience_seconds
        self.send = connection.send
        self.interrupt = connection.interrupt
        self.close = connection.close

    def wait_ready(self) -> None:
        """Return when the kernel has answered on shell and iopub."""
        heard: set[str] = set()
        gives_up_at = time.perf_counter() + self._patience_seconds
        while heard < {"shell", "iopub"}:
            if time.perf_counter() > gives_up_at:
                raise TimeoutError(f"no answer for {self._patience_seconds:g} s")
            self.send("shell", "kernel_info_request", {})
            ends_at = time.perf_counter() + NUDGE_SECONDS
            while heard < {"shell", "iopub"} and time.perf_counter() < ends_at:
                heard.update(name for name, _ in self._connection.receive(NUDGE_SECONDS))

    def messages(self) -> Iterator[tuple[str, Message]]:
        """Yield channel and message as they come; raises `TimeoutError` when nothing comes for too long."""
        while True:
            arrived = self._connection.receive(self._patience_seconds)
            if not arrived:
                raise TimeoutError(f"nothing came for {self._patience_seconds:g} s")
            yield from arrived

    def execute(self, code: str, *, allow_stdin: bool = False) -> str:
        """Send a cell and return the message's id."""
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": allow_stdin}
        return self.send("shell", "execute_request", content)

    def finish(self, msg_id: str, on_message: OnMessage | None = None) -> list[Message]:
        """Return what a request has said on iopub, once its reply and its idle have come.

        Raises `CellFailed`; a benchmark of failures measures nothing.
        """
        said: list[Message] = []
        has_reply, is_idle, failure = False, False, ""
        for channel, message in self.messages():
            if message["parent_header"].get("msg_id") != msg_id:
                continue
            if on_message is not None:
                on_message(channel, message)
            if channel == "iopub":
                said.append(message)
                is_idle = is_idle or message["content"].get("execution_state") == "idle"
            elif channel != "stdin":
                has_reply, failure = True, _failure(message["content"])
            if has_reply and is_idle:
                if failure:
                    raise CellFailed(failure)
                return said
        raise AssertionError  # messages end with TimeoutError only

    def run(self, code: str, on_message: OnMessage | None = None) -> list[Message]:
        """Run a cell to its end and return what it has said."""
        return self.finish(self.execute(code), on_message)

    def settle(self) -> None:
        """Return when a cell runs again; for a moment after an error kernels abort what comes."""
        while True:
            with contextlib.suppress(CellFailed):
                self.run("pass")
                return

    @property
    def process(self) -> psutil.Process:
        """The process that stands for the kernel on this machine."""
        pid = self._connection.pid
        assert pid is not None, "the kernel is somewhere else"
        return psutil.Process(pid)


def _failure(content: Message) -> str:
    """Return what a reply says went wrong, or ""."""
    status = content.get("status", "ok")
    return "" if status == "ok" else f"{status} {content.get('ename', '')} {content.get('evalue', '')}".strip()


def text_of(messages: Sequence[Message]) -> str:
    """Return what was printed."""
    return "".join(message["content"]["text"] for message in messages if message["msg_type"] == "stream")
