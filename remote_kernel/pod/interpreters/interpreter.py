"""One life of one Jupyter kernel: its process, and what may be done with it."""

import asyncio
import contextlib
import os
import secrets
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import zmq
from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
from jupyter_client.manager import AsyncKernelManager

from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.core.jupyter.debugger_files import CellFiles
from remote_kernel.core.jupyter.messages import Author
from remote_kernel.core.wire.frames import Channel
from remote_kernel.io.system.fork_server import ForkServer
from remote_kernel.pod.clock import utc_now
from remote_kernel.pod.interpreters.channels import Channels, Gathering, Receive, choose_transport
from remote_kernel.pod.interpreters.launching import Launching, describe_failure
from remote_kernel.pod.interpreters.processes.forked import ForkProvisioner
from remote_kernel.pod.interpreters.processes.guard import Guard
from remote_kernel.pod.interpreters.processes.hold import Hold
from remote_kernel.pod.interpreters.readiness import Readiness
from remote_kernel.pod.interpreters.silent_code import SilentCode

# A loaded machine needs seconds to start an interpreter; more than a minute means that it hangs.
START_TIMEOUT_SECONDS = 60.0

# More cells than run in the second after which `make_ready` has their lines of the history written.
HISTORY_LINES = 1000

# Nothing else is ever renamed: what the folder is called, the interpreter has told.
CELL_FOLDER = "ipykernel_"


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
        launching: how it is to be started.
        environ: the pod's, on top of which it has its own variables.
        guard: ends it when this process is killed.
        forks: who may have a process of IPython's kernel ready; `None` where there is nobody.
        packages: folder of packages that it is to find besides.

    Attributes:
        is_python: whether it is one of Python's.
        is_ipython: whether it is IPython's.
        startup_failure: what its startup file has failed of, until that is told; "" for nothing.
        kernel_info: what it says of itself.
        cell_files: where its debugger has the files of cells.
        exited: how its process has ended, when it has.
        pid: its process; `None` before it is started.
        channels: to its process.
    """

    startup_failure = ""

    def __init__(
        self, kernelspec: str, *, folder: Path, launching: Launching, environ: Mapping[str, str], guard: Guard,
        forks: ForkServer | None = None, packages: Path | None = None,
    ) -> None:  # fmt: skip
        self.kernelspec = kernelspec
        self.kernel_info: dict[str, Any] = {}
        self.cell_files = CellFiles()
        self.exited: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.pid: int | None = None
        self._guard = guard
        self._forks = forks
        self._packages = packages
        self._launching = launching
        name = secrets.token_hex(4)
        self._manager = AsyncKernelManager(kernel_name=kernelspec, connection_file=str(folder / f"{name}.json"))
        self.is_python = _language_of(self._manager) == "python"
        self.is_ipython = _is_ipython(self._manager)
        self._environ = launching.process_environ(environ, is_ipython=self.is_ipython)
        self._arguments = _history_arguments(folder) if self.is_ipython else []
        self._author = Author(f"agent-{name}")
        self._hold = Hold()
        self.channels = Channels(
            choose_transport(self._manager, folder / name, is_python=self.is_python),
            hold=self.hold,
            on_deaf=self._kill_group,
        )
        sockets = f"{self._manager.ip}-" if self._manager.transport == "ipc" else ""
        self._readiness = Readiness(sockets, self.channels.send, self.channels.wait_stdin, self._author, self.exited)
        self.listen(self._readiness.receive)

    async def start(self) -> None:
        """Start the process and return when it answers on shell and iopub.

        Raises:
            UnknownKernel: no such kernelspec here.
            StartFailed: the process ended, or was not ready in time.
        """
        try:
            await self._launching.make_folder()
            if self._forks is not None and self._packages is not None and self._launching.can_be_told(is_ipython=True):
                self._manager.provisioner = ForkProvisioner(self._manager, self._forks, self._packages)
            await self._manager.start_kernel(
                cwd=str(self._launching.cwd),
                env=self._environ,
                extra_arguments=self._arguments,
                stdout=DEVNULL,
                stderr=DEVNULL,
            )
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
            self.channels.connect(self._manager)
            async with asyncio.timeout(START_TIMEOUT_SECONDS):
                is_ready = await self._readiness.wait(is_python=self.is_python)
        except zmq.ZMQError as error:  # too many open files
            await self.kill()
            raise StartFailed(f"The kernel {self.kernelspec!r} cannot be reached: {error.strerror}.") from error
        except TimeoutError:
            await self.kill()
            raise StartFailed(
                f"The kernel {self.kernelspec!r} was not ready after {START_TIMEOUT_SECONDS:.0f} s."
            ) from None
        if not is_ready:
            raise StartFailed(f"The kernel {self.kernelspec!r} ended while it started: {self.exited.result()}.")
        self.kernel_info, self.cell_files = self._readiness.kernel_info, self._readiness.cell_files

    async def set_up(self, launching: Launching) -> None:
        """Make it one of these launch options, as far as its process is not already, before anybody listens.

        Raises:
            StartFailed: it ended meanwhile, or the startup file did not.
        """
        program = launching.program(is_ipython=self.is_ipython)
        if not program:
            return
        try:
            await launching.make_folder()
        except OSError as error:
            raise StartFailed(f"The folder {launching.launch.cwd!r} cannot be made: {error.strerror}.") from error
        first = SilentCode(self.channels.send, self._author, self.exited)
        self.listen(first.receive)
        reply = await first.run(program, interrupt=self.interrupt)
        if reply is None:
            ended = f"it ended, {self.exited.result()}" if self.exited.done() else "it did not end"
            raise StartFailed(f"The startup file kept the kernel {self.kernelspec!r} from starting: {ended}.")
        self.startup_failure = describe_failure(reply)

    @property
    def _process(self) -> Any:
        return getattr(self._manager.provisioner, "process", None)

    def _watch_exit(self) -> None:
        """Learn at once when the process ends: a thread waits for it, which costs nothing while it lives."""
        process = self._process
        self.pid = self._hold.pid = process.pid
        self._guard.add(process.pid)
        loop = asyncio.get_running_loop()

        def wait() -> None:
            code = process.wait()
            with contextlib.suppress(RuntimeError):  # the loop may be closed already
                loop.call_soon_threadsafe(self._note_exit, code)

        threading.Thread(target=wait, daemon=True, name="kernel-exit").start()

    def _note_exit(self, code: int) -> None:
        self._hold.pid = None
        if not self.exited.done():
            self.exited.set_result(describe_exit(code))

    def _kill_group(self) -> None:
        """Kill the process and whatever it has started in its process group: its clients are told when it has ended."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def hold(self, reason: str, is_held: bool) -> None:
        """Stop the process where it is, or let it go on when nobody else holds it."""
        self._hold.change(reason, is_held)

    def listen(self, receive: Receive, gathering: Gathering = contextlib.nullcontext) -> None:
        """Hand every message from now on to `receive`, as it comes, in order on each channel.

        Args:
            gathering: gives the context in which all is received that has come at once.
        """
        self.channels.receive, self.channels.gathering = receive, gathering

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
        self.channels.send(channel, parts)

    async def interrupt(self) -> None:
        """Interrupt what the kernel is doing, in the way that its kernelspec asks for."""
        self._hold.end()
        if not self.exited.done():
            await self._manager.interrupt_kernel()

    async def drain(self) -> None:
        """Return when the last words of a process that has ended have been read."""
        await self.channels.drain()

    async def shut_down(self, *, restart: bool, interrupts: bool) -> None:
        """Ask the process to end ("Kernel shutdown" in the messaging protocol), and return when it has.

        `kill` ends what it has left running.

        Args:
            interrupts: whether to interrupt what it does before, as jupyter_client does; it would be waited for.
        """
        self._hold.end()
        if interrupts:
            await self.interrupt()
        self.channels.send(
            Channel.CONTROL, self._author.write("shutdown_request", {"restart": restart}, date=utc_now())
        )
        await asyncio.shield(self.exited)

    async def kill(self) -> None:
        """End the process and everything that it started in its process group, at once."""
        self.channels.close()
        if self.pid is None and self._process is not None:
            self._watch_exit()  # its start was given up at the moment of its birth
        if self.pid is not None:
            self._kill_group()
            await asyncio.shield(self.exited)
            self._guard.remove(self.pid)
        await self._manager.cleanup_resources()  # files, a control socket that we never use, the threads behind that


def _history_arguments(folder: Path) -> list[str]:
    """Return the options by which IPython keeps its history in the pod, and does not write it with each cell.

    Pods of one machine would share the history in its user's home, write in it what the user never typed, and wait for
    each other: SQLite gives a lock five seconds, at the start and at the end of an interpreter. And the thread that
    writes each cell's line runs while the cell does, which takes a fifth of the time of a short one.
    """
    file = folder / "history.sqlite"
    return [f"--HistoryManager.hist_file={file}", f"--HistoryManager.db_cache_size={HISTORY_LINES}"]


def _language_of(manager: AsyncKernelManager) -> str:
    """Return the language of the manager's kernelspec; "" for one that is not installed, which ends at the start."""
    try:
        spec = manager.kernel_spec
    except NoSuchKernel:
        return ""
    return spec.language.lower() if spec else ""


def _is_ipython(manager: AsyncKernelManager) -> bool:
    """Return whether the manager's kernelspec is one of IPython's kernel."""
    with contextlib.suppress(NoSuchKernel):
        return bool(manager.kernel_spec and "ipykernel_launcher" in manager.kernel_spec.argv)
    return False


def describe_exit(code: int) -> str:
    """Say how a process ended, from its return code as `subprocess` gives it."""
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"signal {-code}"
