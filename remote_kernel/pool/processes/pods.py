"""A pod as a process: started in a session of its own, noticed at once when it ends, never left behind."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from remote_kernel.core.errors import PoolError
from remote_kernel.io.activity import Activity, ActivityReader
from remote_kernel.io.http1 import Client
from remote_kernel.pool.processes.mounts import DATA, with_data_mounted
from remote_kernel.pool.processes.pod_process import PodProcess, StartPod, start_program

# A cold machine may take many seconds to import what a pod needs; a pod that hangs must not hold a slot for ever.
START_TIMEOUT_SECONDS = 60.0

# Servers in pods close an idle connection after 5 s or more. One that we reuse must never be one that the pod is just
# closing: the request would be lost, and it may not be sent again.
KEEPALIVE_SECONDS = 2.0

# A Unix socket's path has room for about 100 bytes; this much of it goes to what stands below the temporary folder.
MAX_TEMPORARY_FOLDER_LENGTH = 70

# In a pod's folder, of its calls.
ACTIVITY_FILE = "activity"

# -P: the working folder is the user's data folder, and a file of its own there must not replace a module.
AGENT = (sys.executable, "-P", "-m", "remote_kernel.pod")

# From socket, data folder and scratch folder to the command of a pod. It serves HTTP on the socket, prints the line
# {"ready": true, …} when it does, and ends when its standard input does.
PodCommand = Callable[[Path, Path, Path], Sequence[str]]


def agent_command(*options: str, mounts_data: bool = False) -> PodCommand:
    """Return the command of the pod agent, with `options` of its own; `mounts_data` gives it a `/mnt/data`."""

    def command(socket: Path, data: Path, scratch: Path) -> Sequence[str]:
        agent = (*AGENT, "--supervised", *options)
        folders = ("--scratch", str(scratch), "--data", DATA if mounts_data else str(data))
        places = ("--uds", str(socket), *folders, "--activity", str(scratch / ACTIVITY_FILE))
        return with_data_mounted(str(data), [*agent, *places]) if mounts_data else (*agent, *places)

    return command


class PodFailed(PoolError):
    """A pod ended, or was stopped, before it accepted requests."""


class Pod:
    """One pod's process, folder and HTTP connections.

    Attributes:
        http: sends requests to the pod.
        socket: where it listens, for this user alone.
    """

    def __init__(self, scratch: Path, activity: ActivityReader, process: PodProcess) -> None:
        self._activity = activity
        self._scratch = scratch
        self._process = process
        self.socket = scratch / "s"
        self.http = Client.unix(str(self.socket), keepalive_seconds=KEEPALIVE_SECONDS)

    @classmethod
    async def spawn(cls, command: PodCommand, environment: Mapping[str, str], start: StartPod = start_program) -> "Pod":
        """Start the process of a pod; `wait_ready` says when it accepts requests.

        Its standard error is ours. Raises `PodFailed` when the system has no room for another process or folder.
        """
        try:
            scratch = Path(tempfile.mkdtemp(prefix="rk-pod-", dir=_short_temporary_folder()))
        except OSError as error:
            raise PodFailed(f"its folder cannot be made: {error.strerror}") from None
        stack = contextlib.ExitStack()
        try:
            data = scratch / "data"
            data.mkdir(mode=0o700)
            # As in a container, what is put into the temporary folder goes with the pod.
            temporary = scratch / "t"
            temporary.mkdir(mode=0o700)
            activity = ActivityReader(scratch / ACTIVITY_FILE)
            stack.callback(activity.close)
            process = await start(
                command(scratch / "s", data, scratch), cwd=data, environ={**environment, "TMPDIR": str(temporary)}
            )
        except OSError as error:
            stack.close()
            with contextlib.suppress(OSError):
                (scratch / ACTIVITY_FILE).unlink(missing_ok=True)
                for folder in (scratch / "data", scratch / "t", scratch):  # empty, and removed without a descriptor
                    folder.rmdir()
            raise PodFailed(f"its process cannot be started: {error.strerror}") from None
        return cls(scratch, activity, process)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """The exit status, negative for a signal; `None` while the pod lives."""
        return self._process.exit_status

    def read_activity(self) -> Activity | None:
        """Return what the pod says of its calls; `None` where it says nothing."""
        return self._activity.read()

    async def wait_ready(self) -> None:
        """Return when the pod accepts requests; raises `PodFailed` when it ends or is not ready in time."""
        futures = {self._process.ready, self._process.ended}
        await asyncio.wait(futures, timeout=START_TIMEOUT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if self._process.ended.done():
            raise PodFailed(f"it ended before it was ready, exit status {self.exit_status}")
        if not self._process.ready.done():
            raise PodFailed(f"it was not ready within {START_TIMEOUT_SECONDS:.0f} s")

    async def wait_ended(self) -> None:
        """Return when the process has ended."""
        await asyncio.wait({self._process.ended})

    async def stop(self, grace_seconds: float) -> None:
        """End the process if it lives, by force after a while, and remove the pod's folder."""
        self._process.close_stdin()
        if not self._process.ended.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
            await asyncio.wait({self._process.ended}, timeout=grace_seconds)
        # Also after an end by itself: a pod that was killed leaves children in its group.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        await self.wait_ended()
        await self.http.aclose()  # not before: a pod that is stopped may still end its streams properly
        self._process.close()
        self._activity.close()
        await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)


def _short_temporary_folder() -> str | None:
    return None if len(os.fsencode(tempfile.gettempdir())) <= MAX_TEMPORARY_FOLDER_LENGTH else "/tmp"  # noqa: S108
