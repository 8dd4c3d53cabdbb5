"""Process of a pod: what it prints when it is ready, and its end, as two futures."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from remote_kernel.core.errors import WireError
from remote_kernel.core.json_text import parse_json_object
from remote_kernel.core.limits import ANSWER
from remote_kernel.io.system.fork_server import ForkedProcess

# The line has a few words.
MAX_READY_LINE_BYTES = 4096


class PodProcess(Protocol):
    """A pod's process, which leads a process group.

    Attributes:
        pid: of the process.
        exit_status: negative for a signal; `None` while the process lives.
        ready: done when it has said that it is ready.
        ended: done when it has ended.
    """

    ready: asyncio.Future[None]
    ended: asyncio.Future[None]

    @property
    def pid(self) -> int: ...

    @property
    def exit_status(self) -> int | None: ...

    def close_stdin(self) -> None:
        """End its standard input, which tells it to end."""

    def close(self) -> None:
        """Let go of a process that has ended."""


class StartPod(Protocol):
    """Function that starts the process of a pod."""

    def __call__(self, command: Sequence[str], *, cwd: Path, environ: Mapping[str, str]) -> Awaitable[PodProcess]:
        """Start it in this folder, with all of this environment; raises `OSError`.

        No other child inherits the write end of the pod's standard input: when we are gone, however that came about,
        the pod reads the end of it and leaves. Its standard error is ours.
        """


class ReadyLine:
    """Line with which a pod says that it is ready; what else it prints is read and dropped, so that it never waits."""

    def __init__(self) -> None:
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line = b""

    def feed(self, data: bytes) -> None:
        """Take what was printed."""
        if self.ready.done():
            return
        *lines, rest = (self._line + data).split(b"\n")
        self._line = rest[:MAX_READY_LINE_BYTES]  # a pod that prints something else without an end is not ready
        if any(_is_ready_line(line) for line in lines):
            self.ready.set_result(None)


def _is_ready_line(line: bytes) -> bool:
    try:
        return parse_json_object(line, ANSWER).get("ready") is True
    except WireError:
        return False


async def start_program(command: Sequence[str], *, cwd: Path, environ: Mapping[str, str]) -> PodProcess:
    """Start a pod as a program of the system's; see `StartPod`."""
    process = _Program()
    await asyncio.get_running_loop().subprocess_exec(
        lambda: process,
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=None,
        cwd=cwd,
        env=environ,
        start_new_session=True,
    )
    return process


class _Program(asyncio.SubprocessProtocol):
    """A program that the system has started."""

    _transport: asyncio.SubprocessTransport

    def __init__(self) -> None:
        self._printed = ReadyLine()
        self.ready = self._printed.ready
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.SubprocessTransport)
        self._transport = transport

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._printed.feed(data)

    def process_exited(self) -> None:
        self.ended.set_result(None)

    @property
    def pid(self) -> int:
        return self._transport.get_pid()

    @property
    def exit_status(self) -> int | None:
        return self._transport.get_returncode()

    def close_stdin(self) -> None:
        if (stdin := self._transport.get_pipe_transport(0)) is not None:
            stdin.close()

    def close(self) -> None:
        self._transport.close()


class ForkedPod:
    """A copy of the fork server.

    Args:
        stdin, stdout: our ends of its pipes.
    """

    def __init__(self, process: ForkedProcess, stdin: int, stdout: int) -> None:
        self._process = process
        self._stdin = stdin
        self._stdout = stdout
        self._loop = asyncio.get_running_loop()
        self._printed = ReadyLine()
        self.ready = self._printed.ready
        self.ended: asyncio.Future[None] = self._loop.create_future()
        os.set_blocking(stdout, False)
        self._loop.add_reader(stdout, self._read)
        self._loop.add_reader(process.fileno(), self._note_end)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        return self._process.returncode

    def close_stdin(self) -> None:
        if self._stdin >= 0:
            os.close(self._stdin)
            self._stdin = -1

    def close(self) -> None:
        self.close_stdin()
        if self._stdout >= 0:
            self._loop.remove_reader(self._stdout)
            os.close(self._stdout)
            self._stdout = -1

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._stdout, MAX_READY_LINE_BYTES)
            self._printed.feed(data)
            if not data:
                self._loop.remove_reader(self._stdout)

    def _note_end(self) -> None:
        self._loop.remove_reader(self._process.fileno())
        self._process.wait()
        self.ended.set_result(None)
