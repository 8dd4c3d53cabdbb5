"""Fork server's own side: it answers requests with copies of itself; see `io.system.fork_server`.

There is no `exec` after the fork. So the server has one thread, and opens nothing that a copy of it may not have.
"""

import contextlib
import ctypes
import errno
import gc
import json
import os
import resource
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from remote_kernel.io.system.fork_server import LENGTH, STATUS, Job, receive_exactly

# A request has an environment, which the system bounds at some megabytes; an answer is a number.
_MAX_REQUEST_BYTES = 16_000_000

# Standard streams, and what its exit status is written to.
_STREAMS = 3

_FIRST_OTHER_FILE = 3

_CLONE_NEWNS = 0x20000
_MS_REC, _MS_SLAVE = 0x4000, 0x80000


def serve(connection: socket.socket, loaded: "Loaded") -> Job | None:
    """Fork a process for each request, until there are no more.

    Returns:
        In the server `None`, at the end of requests; and in each new process what it is to be. There, the environment,
        the current folder and the standard streams are those of the job, and nothing else is open.
    """
    server = _Server(connection)
    while (asked := server.next_request()) is not None:
        job, files = asked
        if (process := server.answer(job, files, is_fresh=loaded.is_fresh())) is not None:
            return process
    server.close()
    return None


class Loaded:
    """Packages that a server has loaded: once something else is installed there, it is out of date.

    An installer adds or removes folders beside those of packages; so the folders that hold packages are looked at.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._changed = {path: _changed_at(path) for path in paths}

    def is_fresh(self) -> bool:
        """Return whether the same is installed as was loaded."""
        return all(_changed_at(path) == at for path, at in self._changed.items())


def _changed_at(path: str) -> int:
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return 0


class _Server:
    """The server's own side: its requests, its children, and whom to tell of their ends."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._is_asked = True
        self._exit_pipes: dict[int, int] = {}
        self._ended, self._note_end = os.pipe()
        os.set_blocking(self._ended, False)
        os.set_blocking(self._note_end, False)
        self._before = signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._note_end, warn_on_full_buffer=False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(connection, selectors.EVENT_READ)
        self._selector.register(self._ended, selectors.EVENT_READ)

    def next_request(self) -> tuple[Job, list[int]] | None:
        """Return what is asked for, and the descriptors that came with it.

        Returns `None` when nobody asks any more, and nobody is left of whose end somebody wants to hear.
        """
        while self._is_asked or self._exit_pipes:
            ready = {key.fd for key, _ in self._selector.select()}
            if self._ended in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._ended, 4096)
                self._reap()
            if self._is_asked and self._connection.fileno() in ready:
                if (asked := _receive(self._connection)) is not None:
                    return asked
                self._selector.unregister(self._connection)
                self._connection.close()
                self._is_asked = False
        return None

    def answer(self, job: Job, files: list[int], *, is_fresh: bool) -> Job | None:
        """Fork a process and say which; return its job in that process, and `None` in this one."""
        if len(files) <= _STREAMS:  # the system drops those that this process may not open
            for each in files:
                os.close(each)
            self._tell(-errno.EMFILE)
            return None
        *streams, exit_pipe = files
        began, has_begun = os.pipe()
        try:
            pid = os.fork() if is_fresh else 0
        except OSError as error:
            pid = -(error.errno or 1)
        if pid == 0 and is_fresh:
            os.setsid()
            self.close()
            _become(job, streams)  # which closes `has_begun`
            return job
        os.close(has_begun)
        os.read(began, 1)  # its end: the process leads a group of its own
        for each in (began, *streams):
            os.close(each)
        if pid <= 0:
            os.close(exit_pipe)
            self._tell(pid)
            return None
        self._exit_pipes[pid] = exit_pipe
        try:
            pidfd = _open_process(pid)  # while nobody can have waited for it
        except OSError as error:
            os.kill(pid, signal.SIGKILL)
            self._tell(-(error.errno or 1))
        else:
            self._tell(pid, pidfd)
            os.close(pidfd)
        return None

    def _tell(self, answer: int, *files: int) -> None:
        with contextlib.suppress(OSError):
            socket.send_fds(self._connection, [STATUS.pack(answer)], files)

    def close(self) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, self._before)
        self._selector.close()
        self._connection.close()
        for each in (self._ended, self._note_end, *self._exit_pipes.values()):
            with contextlib.suppress(OSError):
                os.close(each)

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = ended
                if (exit_pipe := self._exit_pipes.pop(pid, None)) is not None:
                    with contextlib.suppress(OSError):
                        os.write(exit_pipe, STATUS.pack(os.waitstatus_to_exitcode(status)))
                    os.close(exit_pipe)


def _open_process(pid: int) -> int:
    if sys.platform == "linux":
        return os.pidfd_open(pid)
    raise OSError(errno.ENOSYS, "processes have no descriptors here")


def _become(job: Job, streams: Sequence[int]) -> None:
    """Make this process what a program of its own would find itself to be."""
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
    os.closerange(_FIRST_OTHER_FILE, os.sysconf("SC_OPEN_MAX"))
    os.chdir(job.cwd)
    environ = os.environ
    environ.clear()
    environ.update(job.environ)
    time.tzset()
    tempfile.tempdir = None
    if job.mounting:
        _unshare_mounts()
        subprocess.run(job.mounting, stdin=subprocess.DEVNULL, check=True)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (job.open_files, hard))
    sys.argv[:] = job.arguments
    paths = job.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:0] = [path for path in paths if path and path not in sys.path]


def _unshare_mounts() -> None:
    """Let nobody else see what is mounted here; what is mounted elsewhere is seen (unshare(2), mount(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) or libc.mount(None, b"/", None, _MS_REC | _MS_SLAVE, None):
        raise OSError(ctypes.get_errno(), "what is mounted cannot be kept apart")


def prepare_to_fork() -> None:
    """Keep what is loaded where it is, so that collecting garbage in a copy does not copy the memory they share."""
    gc.collect()
    gc.freeze()


def package_folders() -> list[str]:
    return [path for path in sys.path if path and Path(path).is_dir()]


def _receive(connection: socket.socket) -> tuple[Job, list[int]] | None:
    try:
        length, files, _, _ = socket.recv_fds(connection, LENGTH.size, _STREAMS + 1)
        if not length:
            return None
        size = LENGTH.unpack(length + receive_exactly(connection, LENGTH.size - len(length)))[0]
        if size > _MAX_REQUEST_BYTES:
            return None
        return Job(**json.loads(receive_exactly(connection, size))), files
    except (OSError, EOFError):
        return None
