"""One life of one Jupyter kernel: its process and its ZeroMQ channels."""

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import zmq
from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
from jupyter_client.manager import AsyncKernelManager

from remote_kernel.core.errors import RemoteKernelError, WireError
from remote_kernel.core.jupyter.debugger_files import CellFiles
from remote_kernel.core.jupyter.messages import Author, Signer, parse_header, parse_object
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.core.text.tally import Tally
from remote_kernel.core.wire.frames import Channel
from remote_kernel.io.tasks import go_on, start
from remote_kernel.io.zmq_socket import ZmqSocket
from remote_kernel.pod.clock import utc_now
from remote_kernel.pod.kernels.guard import Guard

_log = logging.getLogger(__name__)

# A loaded machine needs seconds to start an interpreter; more than a minute means that it hangs.
START_TIMEOUT_SECONDS = 60.0

# A kernel that has just bound its sockets may miss the first subscription: ask again this often.
NUDGE_SECONDS = 0.2

# How long a kernel that has a debugger may take to say where it puts the files of cells; it is asked as it starts.
DEBUG_INFO_SECONDS = 5.0

# Nothing else is ever renamed: what the folder is called, the interpreter has told.
CELL_FOLDER = "ipykernel_"

# What a process wrote before its end is on its way through ZeroMQ's own thread for less than this.
QUIET_SECONDS = 0.05

# How long a reader may be at it without a pause before the others have a turn, and before the process has to wait.
TURN_SECONDS = 0.005
BEHIND_SECONDS = 0.05

# What ipykernel publishes while we cannot read is dropped from 1,000 messages on, and there is no setting for it. But
# the thread that owns the socket may be asked, also for a connection that is there. It leaves no name and no history.
_LIFT_LIMIT = "(lambda thread: thread.schedule(lambda: thread.socket.set_hwm(0)))(get_ipython().kernel.iopub_thread)"
# ipykernel looks every second whether we are there, which it cannot while we hold it: if we are killed then, it would
# stand there for ever. On Linux the system ends it with us (prctl(2), PR_SET_PDEATHSIG); elsewhere this is an error
# that nobody sees.
_END_WITH_US = f"__import__('ctypes').CDLL(None).prctl(1, {int(signal.SIGKILL)})"

_SOCKET_TYPES = {
    Channel.SHELL: zmq.DEALER,
    Channel.CONTROL: zmq.DEALER,
    Channel.STDIN: zmq.DEALER,
    Channel.IOPUB: zmq.SUB,
}

Receive = Callable[[Channel, tuple[bytes, ...]], None]


class UnknownKernel(RemoteKernelError):
    """The image has no kernelspec of that name."""


class StartFailed(RemoteKernelError):
    """The kernel's process ended, or said nothing, before it was ready."""


class Interpreter:
    """A running kernel process of one kernelspec.

    Args:
        kernelspec: name of an installed kernelspec.
        folder: a private folder for the connection file and the sockets; its path must be short, as the system
            limits the names of Unix sockets to about 100 bytes.
        cwd: working folder of the process.
        environ: its whole environment.
        guard: ends it when this process is killed.
    """

    def __init__(self, kernelspec: str, *, folder: Path, cwd: Path, environ: Mapping[str, str], guard: Guard) -> None:
        self.kernelspec = kernelspec
        self.kernel_info: dict[str, Any] = {}
        self.cell_files = CellFiles()
        self.exited: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._pid: int | None = None
        self._received = 0
        self._unreadable = Tally()
        self._holds: set[str] = set()
        self._guard = guard
        self._cwd = cwd
        self._environ = dict(environ)
        name = secrets.token_hex(4)
        self._manager = AsyncKernelManager(kernel_name=kernelspec, connection_file=str(folder / f"{name}.json"))
        self._is_python = _language_of(self._manager) == "python"
        self._signer = self._choose_transport(folder / name)
        self._sockets: dict[Channel, ZmqSocket] = {}
        self._readers: list[asyncio.Task[None]] = []
        self._receive: Receive | None = None
        self._is_heard = asyncio.Event()
        self._has_replied = asyncio.Event()
        self._has_executed = asyncio.Event()
        self._has_debug_info = asyncio.Event()
        self._author = Author(f"agent-{name}")

    def _choose_transport(self, sockets: Path) -> Signer:
        """Talk over Unix sockets where the kernel can, and return what signs its messages.

        IPython's kernel can. Others promise TCP only, and some, such as Deno's, end when they are asked for anything
        else; on loopback their messages are signed with a key of this kernel's own.
        """
        manager = self._manager
        if not self._is_python:
            return Signer(manager.session.key)
        manager.transport, manager.ip = "ipc", str(sockets)
        # The sockets are in a folder that only we can enter: signing everything twice would only cost time.
        manager.session.key = b""
        return Signer(b"")

    @property
    def pid(self) -> int | None:
        """Its process; `None` before it is started."""
        return self._pid

    async def start(self) -> None:
        """Start the process and return when it answers on shell and iopub.

        Raises:
            UnknownKernel: no such kernelspec here.
            StartFailed: the process ended, or was not ready in time.
        """
        try:
            await self._manager.start_kernel(cwd=str(self._cwd), env=self._environ, stdout=DEVNULL, stderr=DEVNULL)
        except NoSuchKernel:
            installed = ", ".join(sorted(KernelSpecManager().find_kernel_specs())) or "none"
            raise UnknownKernel(
                f"The pod has no kernel named {self.kernelspec!r}; it has: {installed}. "
                "Set REMOTE_KERNEL_POD_KERNEL to one of them."
            ) from None
        except OSError as error:
            raise StartFailed(f"The kernel {self.kernelspec!r} cannot be started: {error.strerror}.") from error
        self._watch_exit()
        try:
            self._connect()
        except zmq.ZMQError as error:  # too many open files
            await self.kill()
            raise StartFailed(f"The kernel {self.kernelspec!r} cannot be reached: {error.strerror}.") from error
        try:
            async with asyncio.timeout(START_TIMEOUT_SECONDS):
                await self._wait_ready()
        except TimeoutError:
            await self.kill()
            raise StartFailed(
                f"The kernel {self.kernelspec!r} was not ready after {START_TIMEOUT_SECONDS:.0f} s."
            ) from None

    @property
    def _process(self) -> Any:
        return getattr(self._manager.provisioner, "process", None)

    def _watch_exit(self) -> None:
        """Learn at once when the process ends: a thread waits for it, which costs nothing while it lives."""
        process = self._process
        self._pid = process.pid
        self._guard.add(process.pid)
        loop = asyncio.get_running_loop()

        def wait() -> None:
            code = process.wait()
            with contextlib.suppress(RuntimeError):  # the loop may be closed already
                loop.call_soon_threadsafe(self._note_exit, code)

        threading.Thread(target=wait, daemon=True, name="kernel-exit").start()

    def _note_exit(self, code: int) -> None:
        if not self.exited.done():
            self.exited.set_result(describe_exit(code))

    def _connect(self) -> None:
        identity = secrets.token_bytes(8)
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        for channel, socket_type in _SOCKET_TYPES.items():
            socket = context.socket(socket_type)
            socket.linger = 0
            # At the default limit of 1,000 messages ZeroMQ drops what a busy cell prints.
            socket.set_hwm(0)
            if socket_type == zmq.SUB:
                socket.subscribe(b"")
            else:
                # One identity on all channels, or the kernel does not know where to send an input_request.
                socket.identity = identity
            socket.connect(self._manager._make_url(channel.name.lower()))
            self._sockets[channel] = ZmqSocket(socket)
            reading = go_on(self._read(channel, self._sockets[channel]))
            self._readers.append(start(reading, f"reader of {channel.name.lower()}", on_failure=self._end_deaf))

    async def _read(self, channel: Channel, socket: ZmqSocket) -> None:
        """Hand on what comes on one channel; a process that talks faster than this is held for a moment.

        ZeroMQ would keep all of it, or, with a limit, drop some.
        """
        caught_up_at = turn_at = time.monotonic()
        while True:
            frames = socket.take()
            if frames is None:
                self.hold(channel.name, False)
                frames = await socket.receive()
                caught_up_at = turn_at = time.monotonic()
            else:  # was there already, so that nobody else had a turn
                now = time.monotonic()
                if now - caught_up_at > BEHIND_SECONDS:
                    self.hold(channel.name, True)
                if now - turn_at > TURN_SECONDS:
                    await asyncio.sleep(0)
                    turn_at = time.monotonic()
            try:
                self._hand_on(channel, frames)
            except WireError as error:  # whatever code in the kernel has sent in its place
                if self._unreadable.add():
                    _log.warning(
                        LogEvent(
                            "message refused", channel=channel.name.lower(), reason=str(error),
                            count=self._unreadable.count,
                        )
                    )  # fmt: skip
            except Exception:
                _log.exception(LogEvent("failed inside", channel=channel.name.lower()))

    def _end_deaf(self, _error: Exception) -> None:
        """End the process when nobody can hear it any more, which its clients are told."""
        if self._pid is not None and not self.exited.done():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._pid, signal.SIGKILL)

    def _hand_on(self, channel: Channel, frames: list[bytes]) -> None:
        _, parts = self._signer.from_zmq(frames)
        self._received += 1
        if self._receive is not None:
            self._receive(channel, parts)
        elif channel is Channel.IOPUB:
            self._is_heard.set()
        elif parse_header(parts[0]).msg_type == "kernel_info_reply":
            self.kernel_info = parse_object(parts[3])
            self._has_replied.set()
        elif parse_header(parts[0]).msg_type == "execute_reply":
            self._has_executed.set()
        elif parse_header(parts[0]).msg_type == "debug_reply":
            self.cell_files = CellFiles.from_debug_info(parse_object(parts[3]))
            self._has_debug_info.set()

    def hold(self, reason: str, is_held: bool) -> None:
        """Stop the process where it is, or let it go on when nobody else holds it."""
        was_held = bool(self._holds)
        if is_held:
            self._holds.add(reason)
        else:
            self._holds.discard(reason)
        if was_held != bool(self._holds) and self._pid is not None and not self.exited.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGSTOP if self._holds else signal.SIGCONT)

    async def _wait_ready(self) -> None:
        while not (self._is_heard.is_set() and self._has_replied.is_set()):
            if self.exited.done():
                raise StartFailed(f"The kernel {self.kernelspec!r} ended while it started: {self.exited.result()}.")
            await self.send(Channel.SHELL, self._author.write("kernel_info_request", {}, date=utc_now()))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(NUDGE_SECONDS):
                    await self._has_replied.wait()
                    await self._is_heard.wait()
        if self._is_python:
            await self._prepare()
        await self._settle()

    async def _prepare(self) -> None:
        """Have the kernel keep what it publishes until we have read it, and end when we do.

        Another than ipykernel refuses, and no harm.
        """
        code = f"{_LIFT_LIMIT}\n{_END_WITH_US}"
        content = {"code": code, "silent": True, "store_history": False, "stop_on_error": False}
        await self.send(Channel.SHELL, self._author.write("execute_request", content, date=utc_now()))
        await self._ask_debugger()
        await self._wait_unless_exited(self._has_executed)

    async def _ask_debugger(self) -> None:
        """Ask where the files of cells are; without an answer the debugger works as it comes."""
        features = self.kernel_info.get("supported_features")
        if not (isinstance(features, list) and "debugger" in features):
            return
        content = {"type": "request", "seq": 1, "command": "debugInfo", "arguments": {}}
        await self.send(Channel.CONTROL, self._author.write("debug_request", content, date=utc_now()))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DEBUG_INFO_SECONDS):
                await self._wait_unless_exited(self._has_debug_info)

    async def _wait_unless_exited(self, event: asyncio.Event) -> None:
        happened = asyncio.create_task(event.wait())
        either: set[asyncio.Future[Any]] = {happened, self.exited}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            happened.cancel()

    async def _settle(self) -> None:
        """Let what belongs to our own questions pass, so that the first reader sees none of it."""
        with contextlib.suppress(TimeoutError):
            while True:
                self._is_heard.clear()
                async with asyncio.timeout(0.02):
                    await self._is_heard.wait()

    def listen(self, receive: Receive) -> None:
        """Hand every message from now on to `receive`, as it comes, in order on each channel."""
        self._receive = receive

    def take_cell_files(self, earlier: CellFiles) -> None:
        """Take over the files that an earlier interpreter's debugger was given of cells, as their names stay the same.

        Front ends do not give them again where the names have not changed.
        """
        left, taken = Path(earlier.folder), Path(self.cell_files.folder)
        if left != taken and left.parent == taken.parent and left.name.startswith(CELL_FOLDER):
            with contextlib.suppress(OSError):  # most never had a debugger
                left.rename(taken)

    async def send(self, channel: Channel, parts: tuple[bytes, ...]) -> None:
        """Send one message to the kernel, signed with its key."""
        self._sockets[channel].send(self._signer.to_zmq(parts))

    async def interrupt(self) -> None:
        """Interrupt what the kernel is doing, in the way that its kernelspec asks for."""
        for reason in list(self._holds):
            self.hold(reason, False)
        if not self.exited.done():
            await self._manager.interrupt_kernel()

    async def drain(self) -> None:
        """Return when the last words of a process that has ended have been read."""
        last = -1
        while last != self._received:
            last = self._received
            await asyncio.sleep(QUIET_SECONDS)

    async def shut_down(self, *, restart: bool, interrupts: bool) -> None:
        """Ask the process to end ("Kernel shutdown" in the messaging protocol), and return when it has.

        Nothing that it says is handed on any more. `kill` ends what it has left running.

        Args:
            interrupts: whether to interrupt what it does before, as jupyter_client does; it would be waited for.
        """
        self.listen(_ignore)
        for reason in list(self._holds):
            self.hold(reason, False)
        if interrupts:
            await self.interrupt()
        content = {"restart": restart}
        await self.send(Channel.CONTROL, self._author.write("shutdown_request", content, date=utc_now()))
        await asyncio.shield(self.exited)

    async def kill(self) -> None:
        """End the process and everything that it started in its process group, at once."""
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        for socket in self._sockets.values():
            socket.close()
        if self._pid is None and self._process is not None:
            self._watch_exit()  # its start was given up at the moment of its birth
        if self._pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._pid, signal.SIGKILL)
            await asyncio.shield(self.exited)
            self._guard.remove(self._pid)
        await self._manager.cleanup_resources()  # files, a control socket that we never use, the threads behind that


def _ignore(channel: Channel, parts: tuple[bytes, ...]) -> None:
    """Drop the last words of an interpreter that was asked to end: what follows it may be heard already."""


def _language_of(manager: AsyncKernelManager) -> str:
    """Return the language of the manager's kernelspec; "" for one that is not installed, which ends at the start."""
    try:
        spec = manager.kernel_spec
    except NoSuchKernel:
        return ""
    return spec.language.lower() if spec else ""


def describe_exit(code: int) -> str:
    """Say how a process ended, from its return code as `subprocess` gives it."""
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"signal {-code}"
