"""Starting of the local pool's daemon, on Linux and macOS: once, however many ask for it at the same time."""

import asyncio
import contextlib
import fcntl
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from remote_kernel.core.pools.pod_environment import pod_environment

# How often to look again at a lock that another process holds, of which nothing tells us.
LOOK_AGAIN_SECONDS = 0.05

# The daemon has to find the same runtime folder; a pod has no business there.
_DAEMON_VARIABLES = ("JUPYTER_RUNTIME_DIR", "REMOTE_KERNEL_LOG", "REMOTE_KERNEL_LOG_LEVEL")


async def start_daemon(lock: int, environ: Mapping[str, str], options: Sequence[str]) -> None:
    """Start a daemon and wait until it is ready or has ended.

    The lock is its standard input until it is ready, so that it stays locked even if we give up meanwhile.
    """
    environment = pod_environment(environ)
    environment |= {name: environ[name] for name in _DAEMON_VARIABLES if name in environ}
    # -P: no module comes from the folder that we happen to be in.
    command = [sys.executable, "-P", "-m", "remote_kernel.pool", "--daemon", *options]
    reading, writing = os.pipe()
    with (
        os.fdopen(reading, "rb") as output,
        os.fdopen(writing, "wb") as daemon_output,
        subprocess.Popen(  # noqa: ASYNC220 - it returns at once, and a cancelled wait leaves nothing open
            command,
            stdin=lock,
            stdout=daemon_output,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        ) as process,
    ):
        daemon_output.close()
        try:
            await _wait_readable(output.fileno())
        finally:
            process.kill()  # it has ended, and goes on as a daemon in a child, unless we give up early


@contextlib.asynccontextmanager
async def locked(path: Path) -> AsyncIterator[int]:
    """Hold the lock file, which the system frees however the processes end that have it open."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        # A blocking wait would hold up the event loop, or a thread that cannot be told to give up.
        while not _try_lock(descriptor):  # noqa: ASYNC110 - no event comes from another process
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        yield descriptor
    finally:
        os.close(descriptor)


async def _wait_readable(descriptor: int) -> None:
    """Return when there is something to read, or the end."""
    loop = asyncio.get_running_loop()
    is_readable = asyncio.Event()
    loop.add_reader(descriptor, is_readable.set)
    try:
        await is_readable.wait()
    finally:
        loop.remove_reader(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
