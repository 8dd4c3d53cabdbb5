"""Fork server: a process that has loaded what many need, and forks itself for each of them. This is its client's side.

A Python that has imported what an interpreter needs is there in a hundredth of a second as a copy of one that has, and
shares its memory with it. `multiprocessing` has such a server for its own processes; this one is for programs, which
have arguments, an environment and standard streams. On Linux; the server's own side is `io.system.forking`.
"""

import contextlib
import errno
import json
import os
import resource
import select
import signal
import socket
import struct
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

LENGTH = struct.Struct("!I")
STATUS = struct.Struct("!i")

# Of a process whose server was killed before it could say anything.
UNKNOWN_STATUS = -signal.SIGKILL


class NoForkServer(Exception):
    """There is no process to be had from it: it has ended, or what it has loaded is no longer what is installed."""


@dataclass(frozen=True, slots=True)
class Job:
    """Description of a forked process.

    Attributes:
        arguments: as in `sys.argv`.
        environ: all of its environment.
        open_files: its limit of open files.
        mounting: a program that mounts what the process and its own copies alone see; empty for none.
    """

    arguments: Sequence[str]
    cwd: str
    environ: Mapping[str, str]
    open_files: int
    mounting: Sequence[str] = ()


class ForkedProcess:
    """A process that a fork server has forked for us, with as much of `subprocess.Popen` as a waiting parent needs.

    Attributes:
        pid: of the process, which leads a session and a process group.
        returncode: as of `subprocess`; `None` while it lives, or while nobody has waited.

    Args:
        pidfd: of the process; see pidfd_open(2).
        exit_pipe: where the server says how it has ended.
    """

    stdin = stdout = stderr = None

    def __init__(self, pid: int, pidfd: int, exit_pipe: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._pidfd = pidfd
        self._exit_pipe = exit_pipe
        self._lock = threading.Lock()

    def fileno(self) -> int:
        """Return a descriptor that can be read once the process has ended, until somebody has waited."""
        return self._pidfd

    def wait(self) -> int:
        """Return `returncode` when the process has ended."""
        with self._lock:
            if self.returncode is None:
                self._has_ended(None)
                self.returncode = self._read()
        return self.returncode

    def poll(self) -> int | None:
        """Return `returncode`, if the process has ended."""
        if self.returncode is None and self._lock.acquire(blocking=False):
            try:
                if self.returncode is None and self._has_ended(0):
                    self.returncode = self._read()
            finally:
                self._lock.release()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, as long as the process lives."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _has_ended(self, milliseconds: int | None) -> bool:
        ended = select.poll()  # which needs no descriptor of its own
        ended.register(self._pidfd, select.POLLIN)
        return bool(ended.poll(milliseconds))

    def _read(self) -> int:
        status = os.read(self._exit_pipe, STATUS.size)
        os.close(self._exit_pipe)
        os.close(self._pidfd)
        return int(STATUS.unpack(status)[0]) if status else UNKNOWN_STATUS


class ForkServer:
    """The way to a fork server.

    Args:
        connection: to the server, which ends when this is closed and the last of its processes has ended.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def fork(
        self, arguments: Sequence[str], *, cwd: str, environ: Mapping[str, str], streams: Sequence[int],
        mounting: Sequence[str] = (),
    ) -> ForkedProcess:  # fmt: skip
        """Return a new process, which has begun to be what it should; it may take as long as the server has to load.

        Args:
            streams: descriptors of its standard streams.
            mounting: see `Job`.

        Raises:
            NoForkServer: the server has none to give.
        """
        open_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        request = json.dumps(asdict(Job(arguments, cwd, dict(environ), open_files, mounting))).encode()
        exit_pipe, written_by_server = os.pipe()
        try:
            with self._lock:
                _send(self._connection, request, [*streams, written_by_server])
                pid, pidfd = self._receive()
        except (OSError, EOFError) as error:
            os.close(exit_pipe)
            raise NoForkServer(str(error)) from error
        finally:
            os.close(written_by_server)
        if pid > 0 and pidfd < 0:  # the system drops it where this process may open no more
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            pid = -errno.EMFILE
        if pid <= 0:
            os.close(exit_pipe)
            raise NoForkServer(os.strerror(-pid) if pid else "what it has loaded is no longer what is installed")
        return ForkedProcess(pid, pidfd, exit_pipe)

    def _receive(self) -> tuple[int, int]:
        """Return process id and descriptor, -1 for one that did not come; or the negative number of an error, 0 for a
        server that is out of date.
        """
        answer, files, _, _ = socket.recv_fds(self._connection, STATUS.size, 1)
        answer += receive_exactly(self._connection, STATUS.size - len(answer)) if answer else b""
        if not answer:
            raise EOFError("the server has ended")
        return STATUS.unpack(answer)[0], files[0] if files else -1

    def close(self) -> None:
        """Ask for no more, once it has answered who asks just now; whoever asks later is told that there is none."""
        with self._lock:
            self._connection.close()


def _send(connection: socket.socket, message: bytes, files: Sequence[int]) -> None:
    socket.send_fds(connection, [LENGTH.pack(len(message))], files)
    connection.sendall(message)


def receive_exactly(connection: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        if not part:
            raise EOFError("the other end is gone")
        parts += part
    return bytes(parts)
