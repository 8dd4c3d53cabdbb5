"""Pods as copies of a fork server, which starts with the first of them: `pod.fork_server`."""

import asyncio
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.io.system.fork_server import ForkServer, NoForkServer
from remote_kernel.pool.processes.mounts import mounting_of
from remote_kernel.pool.processes.pod_process import ForkedPod, PodProcess, start_program
from remote_kernel.pool.processes.pods import AGENT

_log = logging.getLogger(__name__)

# Its pods have ended before it.
END_SECONDS = 2.0

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
            try:
                return await self._fork(arguments, cwd=cwd, environ=environ, mounting=mounting)
            except NoForkServer as reason:
                _log.info(LogEvent("no fork server", reason=str(reason)))
                self._let_go()
        return await start_program(command, cwd=cwd, environ=environ)

    async def aclose(self) -> None:
        """End the server; its pods have ended."""
        self._let_go()
        for process in self._processes:
            await asyncio.to_thread(_wait_ended, process)

    def _let_go(self) -> None:
        """Have the server end when the last of its pods has."""
        if self._server is not None:
            self._server.close()
        self._server = None

    async def _fork(
        self, arguments: Sequence[str], *, cwd: Path, environ: Mapping[str, str], mounting: Sequence[str]
    ) -> PodProcess:
        if self._server is None:
            self._server = self._start_server(environ)
        (stdin_read, stdin), (stdout, stdout_write) = os.pipe(), os.pipe()
        try:
            process = await asyncio.to_thread(
                self._server.fork,
                arguments, cwd=str(cwd), environ=environ, streams=(stdin_read, stdout_write, sys.stderr.fileno()),
                mounting=mounting,
            )  # fmt: skip
        except BaseException:
            os.close(stdin)
            os.close(stdout)
            raise
        finally:
            os.close(stdin_read)
            os.close(stdout_write)
        return ForkedPod(process, stdin, stdout)

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


def _wait_ended(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
