"""Pods as copies of a fork server, which starts with the first of them: `pod.fork_server`."""

import asyncio
import contextlib
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.io.system.fork_server import ForkedProcess, ForkServer, NoForkServer
from remote_kernel.pool.processes.mounts import mounting_of
from remote_kernel.pool.processes.pod_process import ForkedPod, PodProcess, start_program
from remote_kernel.pool.processes.pods import AGENT

_log = logging.getLogger(__name__)

# Its pods have ended before it.
END_SECONDS = 2.0

# Ours is theirs, wherever it leads.
_STDERR = 2

_SERVER = (sys.executable, "-m", "remote_kernel.pod.fork_server")


class PodForks:
    """Starts pods as copies of one fork server, and as programs where there is none."""

    def __init__(self) -> None:
        self._server: ForkServer | None = None
        self._processes: list[subprocess.Popen[bytes]] = []

    async def start(self, command: Sequence[str], *, cwd: Path, environ: Mapping[str, str]) -> PodProcess:
        """Start a pod; see `StartPod`."""
        mounting, agent = mounting_of(command)
        if tuple(agent[: len(AGENT)]) != AGENT:
            return await start_program(command, cwd=cwd, environ=environ)
        arguments = [AGENT[-1], *agent[len(AGENT) :]]
        for _ in range(2):  # one that has loaded what is no longer installed is followed by another
            server = self._server = self._server or self._start_server(environ)
            try:
                return ForkedPod(*await asyncio.to_thread(_fork, server, arguments, str(cwd), environ, mounting))
            except NoForkServer as reason:
                _log.info(LogEvent("no fork server", reason=str(reason)))
                await self._let_go(server)
        return await start_program(command, cwd=cwd, environ=environ)

    async def aclose(self) -> None:
        """End the server; its pods have ended."""
        if self._server is not None:
            await self._let_go(self._server)
        for process in self._processes:
            await asyncio.to_thread(_wait_ended, process)

    async def _let_go(self, server: ForkServer) -> None:
        """Have a server end when the last of its pods has; others may have another one by now."""
        if self._server is server:
            self._server = None
        await asyncio.to_thread(server.close)

    def _start_server(self, environ: Mapping[str, str]) -> ForkServer:
        """Start a server with a pod's environment: a module may look at it when it is imported."""
        ours, of_server = socket.socketpair()
        with of_server:
            process = subprocess.Popen(
                _SERVER,
                stdin=of_server.fileno(),
                stdout=subprocess.DEVNULL,
                cwd="/",
                env=environ,
                start_new_session=True,
            )
        self._processes = [*(each for each in self._processes if each.poll() is None), process]
        return ForkServer(ours)


def _fork(
    server: ForkServer, arguments: Sequence[str], cwd: str, environ: Mapping[str, str], mounting: Sequence[str]
) -> tuple[ForkedProcess, int, int]:
    """Return the process of a pod, and our ends of its standard input and output."""
    with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
        stdin_read, stdin = _pipe(theirs, ours)
        stdout, stdout_write = _pipe(ours, theirs)
        streams = (stdin_read, stdout_write, _STDERR)
        process = server.fork(arguments, cwd=cwd, environ=environ, streams=streams, mounting=mounting)
        ours.pop_all()
        return process, stdin, stdout


def _pipe(of_reader: contextlib.ExitStack, of_writer: contextlib.ExitStack) -> tuple[int, int]:
    reader, writer = os.pipe()
    of_reader.callback(os.close, reader)
    of_writer.callback(os.close, writer)
    return reader, writer


def _wait_ended(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
