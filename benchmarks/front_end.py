"""A front end that looks at the clock: jupyter_client's sockets and sessions, all channels watched at once."""

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import psutil
import zmq
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

TIMEOUT_SECONDS = 120.0

# How often a kernel that has just started is asked for its first word on iopub.
NUDGE_SECONDS = 0.2

CHANNELS = ("shell", "control", "stdin", "iopub")

Message = dict[str, Any]
OnMessage = Callable[[str, Message], None]


class CellFailed(Exception):
    """A request whose reply is not "ok"; the text says what it was."""


class FrontEnd:
    """A kernel's process and every channel to it; times are of `time.perf_counter`, in seconds."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self._manager = manager
        self._session = client.session
        self._client = client
        self._poller = zmq.Poller()
        self._names: dict[Any, str] = {}
        for name in CHANNELS:
            socket = getattr(client, f"{name}_channel").socket
            self._names[socket] = name
            self._poller.register(socket, zmq.POLLIN)

    @classmethod
    def start(cls, kernel_name: str, environ: Mapping[str, str]) -> "FrontEnd":
        """Start the kernel's process; it may not answer yet."""
        manager = KernelManager(kernel_name=kernel_name)
        manager.start_kernel(env={**os.environ, **environ}, stderr=subprocess.DEVNULL)
        client = manager.blocking_client()
        client.context.rcvhwm = 0  # what a front end drops itself is no kernel's loss
        client.start_channels()
        return cls(manager, client)

    def wait_ready(self) -> None:
        """Return when the kernel has answered on shell and iopub."""
        heard: set[str] = set()
        while heard < {"shell", "iopub"}:
            self.send("shell", "kernel_info_request", {})
            ends_at = time.perf_counter() + NUDGE_SECONDS
            while heard < {"shell", "iopub"} and time.perf_counter() < ends_at:
                heard.update(name for name, _ in self._poll(NUDGE_SECONDS))

    def send(self, channel: str, msg_type: str, content: Message, buffers: Sequence[bytes] = ()) -> str:
        """Send a message and return its id."""
        message = self._session.msg(msg_type, content)
        socket = getattr(self._client, f"{channel}_channel").socket
        self._session.send(socket, message, buffers=list(buffers))
        return str(message["header"]["msg_id"])

    def messages(self, timeout_seconds: float = TIMEOUT_SECONDS) -> Iterator[tuple[str, Message]]:
        """Yield channel and message as they come; raises `TimeoutError` when nothing comes for so long."""
        while True:
            arrived = list(self._poll(timeout_seconds))
            if not arrived:
                raise TimeoutError(f"nothing came for {timeout_seconds:g} s")
            yield from arrived

    def _poll(self, timeout_seconds: float) -> Iterator[tuple[str, Message]]:
        for socket, _ in self._poller.poll(int(timeout_seconds * 1000)):
            _, message = self._session.recv(socket, zmq.NOBLOCK)
            if message is not None:
                yield self._names[socket], message

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

    def interrupt(self) -> None:
        """Interrupt in the way that the kernelspec asks for, without waiting for the answer."""
        if self._manager.kernel_spec is not None and self._manager.kernel_spec.interrupt_mode == "message":
            self.send("control", "interrupt_request", {})
        else:
            self._manager.interrupt_kernel()

    @property
    def process(self) -> psutil.Process:
        provisioner = self._manager.provisioner
        assert isinstance(provisioner, LocalProvisioner)
        return psutil.Process(provisioner.pid)

    def close(self) -> None:
        """Shut down as a front end does."""
        self._client.stop_channels()
        if self._manager.has_kernel:
            self._manager.shutdown_kernel()
        self._manager.context.destroy(linger=0)


def _failure(content: Message) -> str:
    """Return what a reply says went wrong, or ""."""
    status = content.get("status", "ok")
    return "" if status == "ok" else f"{status} {content.get('ename', '')} {content.get('evalue', '')}".strip()


def text_of(messages: Sequence[Message]) -> str:
    """Return what was printed."""
    return "".join(message["content"]["text"] for message in messages if message["msg_type"] == "stream")
