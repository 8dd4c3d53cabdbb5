"""Programs that many tests start, as copies of one that has loaded what they import, the most of a start."""

import atexit
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Union

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from tests.error_output import error_output

if TYPE_CHECKING:
    from remote_kernel.io.system.fork_server import ForkedProcess, ForkServer

ROOT = Path(__file__).parent.parent

_Process = Union["ForkedProcess", "subprocess.Popen[bytes]"]


@dataclass
class Copy:
    """A process with its standard input and output."""

    process: _Process
    stdin: IO[str]
    stdout: IO[str]


@contextmanager
def start_copy(server: str, arguments: Sequence[str], *, environ: Mapping[str, str], stderr: int) -> Iterator[Copy]:
    """Give a copy of a fork server, which is to end when its input does.

    Args:
        server: the module that is one.
        arguments: the module that the copy is to be, and its arguments; where there are no fork servers, it is run.
        stderr: a descriptor.
    """
    with ExitStack() as stack:
        (stdin_read, stdin), (stdout, stdout_write) = os.pipe(), os.pipe()
        into = stack.enter_context(os.fdopen(stdin, "w"))
        out_of = stack.enter_context(os.fdopen(stdout))
        try:
            process = _start(server, arguments, environ, (stdin_read, stdout_write, stderr))
        finally:
            os.close(stdin_read)
            os.close(stdout_write)
        try:
            yield Copy(process, into, out_of)
        finally:
            into.close()
            process.wait()


def _start(
    server: str, arguments: Sequence[str], environ: Mapping[str, str], streams: tuple[int, int, int]
) -> _Process:  # fmt: skip
    if sys.platform == "linux":
        return _server(server).fork(arguments, cwd=str(Path.cwd()), environ=environ, streams=streams)
    stdin, stdout, stderr = streams
    command = [sys.executable, "-m", *arguments]
    return subprocess.Popen(command, env=environ, stdin=stdin, stdout=stdout, stderr=stderr)


_looking = threading.Lock()


def _server(module: str) -> "ForkServer":
    """Return the one server of this process, which ends with it."""
    with _looking:
        return _start_server(module)


@cache
def _start_server(module: str) -> "ForkServer":
    from remote_kernel.io.system.fork_server import ForkServer

    ours, of_server = socket.socketpair()
    with of_server, error_output.opened(module) as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", module], stdin=of_server.fileno(), stdout=subprocess.DEVNULL, stderr=errors,
            cwd="/", env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True,
        )  # fmt: skip
    server = ForkServer(ours)

    def end() -> None:
        server.close()
        process.terminate()  # a kernel that a test has left ends with it
        process.wait()

    atexit.register(end)
    return server


class CopyProvisioner(LocalProvisioner):
    """Provisioner of local kernels as copies of a fork server."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start the process; see `LocalProvisioner`."""
        environ: dict[str, str] = kwargs["env"]
        null = os.open(os.devnull, os.O_RDWR)
        try:
            process = _server("tests.kernel_fork_server").fork(
                cmd[cmd.index("remote_kernel") :],
                cwd=kwargs.get("cwd") or str(Path.cwd()),
                environ=environ | {"JPY_PARENT_PID": str(os.getpid())},  # as jupyter_client.launcher
                streams=(null, null, _descriptor(kwargs["stderr"])),
            )
        finally:
            os.close(null)
        self.process = process  # type: ignore[assignment]  # a `Popen` in all that is asked of it
        self.pid = self.pgid = process.pid
        return self.connection_info


def _descriptor(file: IO[bytes] | int) -> int:
    return file if isinstance(file, int) else file.fileno()


def can_copy_kernels(environ: Mapping[str, str]) -> bool:
    """Return whether a copy is what a kernel with these variables would be that is started as a program."""
    return sys.platform == "linux" and not any(name.startswith("PYTHON") for name in environ)
