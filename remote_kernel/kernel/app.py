"""The local kernel's process: from the command line to the last message."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.core.settings import Settings, log_level
from remote_kernel.kernel.channels import Channels, Connection
from remote_kernel.kernel.folders import Folders
from remote_kernel.kernel.known_info import KnownInfo
from remote_kernel.kernel.relay import Relay
from remote_kernel.kernel.session import Session

# A front end that was killed leaves its kernels behind; they notice within this time.
PARENT_POLL_SECONDS = 1.0
# Whose children orphans become; it may be the front end, in a container.
INIT_PID = 1


async def run(connection_file: Path) -> None:
    """Serve one connection file until a shutdown request, SIGTERM, or the end of the parent process."""
    connection = Connection.read(connection_file)
    channels = Channels(connection)
    channels.bind()
    parent = os.getppid()
    folders = Folders.of_user()
    session = Session(
        os.environ, folders, connection_file=connection_file, connection_key=connection.key, parent=parent
    )
    endpoint, kernelspec = _what_is_served()
    known = KnownInfo(folders.runtime, endpoint=endpoint, kernelspec=kernelspec)
    relay = Relay(channels, session, known, kernelspec=kernelspec)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, relay.stopped.set)
    # An interrupt is a message here; Ctrl-C in a terminal is for the front end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serving = asyncio.create_task(channels.serve(relay.handle))
    watching = asyncio.create_task(_watch_parent(parent, relay.stopped))
    await relay.start()
    await relay.stopped.wait()
    await relay.aclose()
    for task in (serving, watching):
        task.cancel()
    await asyncio.gather(serving, watching, return_exceptions=True)
    channels.close()


def _what_is_served() -> tuple[str, str]:
    """Return endpoint and kernelspec; settings that cannot be used are told in the first cell, not here."""
    try:
        settings = Settings.from_environ(os.environ)
    except RemoteKernelError:
        settings = Settings()
    return settings.endpoint, settings.pod_kernel


async def _watch_parent(parent: int, stopped: asyncio.Event) -> None:
    while os.getppid() == parent and not _is_orphan(parent, os.environ):  # noqa: ASYNC110 - no event tells of it
        await asyncio.sleep(PARENT_POLL_SECONDS)
    stopped.set()


def _is_orphan(parent: int, environ: Mapping[str, str]) -> bool:
    """Whether the front end had ended before this process could look who it was; jupyter_client says who."""
    return parent == INIT_PID and environ.get("JPY_PARENT_PID", str(INIT_PID)) != str(INIT_PID)


def main(argv: list[str] | None = None) -> int:
    """Run the kernel; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m remote_kernel",
        description="A Jupyter kernel whose cells run in a remote session; front ends start it.",
    )
    parser.add_argument("-f", metavar="FILE", dest="connection_file", type=Path, required=True, help="connection file")
    arguments, _ = parser.parse_known_args(argv)
    logging.basicConfig(level=log_level(os.environ), format="[remote-kernel] %(message)s")
    # These write URLs and what servers answer to the log, and so identifiers and parts of logins.
    for name in ("httpx", "httpcore", "azure", "msal", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        asyncio.run(run(arguments.connection_file))
    except RemoteKernelError as error:
        print(f"remote-kernel: {error}", file=sys.stderr)
        return 2
    return 0
