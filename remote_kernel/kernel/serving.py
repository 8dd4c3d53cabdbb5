"""Life of the local kernel after its sockets are bound, until its end."""

import asyncio
import logging
import secrets
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from urllib.parse import urlsplit

from remote_kernel import __version__
from remote_kernel.core.errors import RemoteKernelError
from remote_kernel.core.jupyter.messages import Author
from remote_kernel.core.settings import Settings, Start, log_level
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.core.wire.frames import Channel
from remote_kernel.io.local_pools import this_environment
from remote_kernel.io.log_files import log_to_stderr
from remote_kernel.io.system.signals import handling, wanted
from remote_kernel.io.tasks import go_on, start
from remote_kernel.kernel.before_session.history import History
from remote_kernel.kernel.folders import Folders
from remote_kernel.kernel.frontend.channels import Channels
from remote_kernel.kernel.frontend.connection_file import Connection
from remote_kernel.kernel.frontend.kernel_info_cache import KernelInfoCache
from remote_kernel.kernel.frontend.sockets import Sockets
from remote_kernel.kernel.own_log import open_log
from remote_kernel.kernel.parent import Parent
from remote_kernel.kernel.relay import Relay
from remote_kernel.kernel.session.session import Session

_log = logging.getLogger(__name__)

# A front end that was killed leaves its kernels behind; they notice within this time.
PARENT_POLL_SECONDS = 1.0


async def serve(connection: Connection, sockets: Sockets, parent: Parent, environ: Mapping[str, str]) -> int:
    """Serve the bound sockets until a shutdown request, a signal that asks for it, or the end of `parent`.

    Args:
        environ: variables of this process.

    Returns the exit status.
    """
    if sys.platform != "win32":
        from remote_kernel.io.system.open_files import allow_many_files

        allow_many_files()  # each connection to a port is one, whoever has made it
    channels = Channels(connection, sockets)
    log_to_stderr("remote-kernel", log_level(environ))
    folders = Folders.of_user()
    open_log(folders, connection.path, environ)
    settings = _readable_settings(environ)
    session = Session(
        environ,
        folders,
        connection_file=connection.path,
        connection_key=connection.key,
        parent=parent.pid,
        history=History(folders.data if settings.keeps_history else None),
    )
    endpoint, kernelspec = settings.endpoint or this_environment().endpoint, settings.pod_kernel
    _log.info(
        LogEvent(
            "started", version=__version__, python=".".join(map(str, sys.version_info[:3])), kernel_in_pod=kernelspec,
            pool=urlsplit(endpoint).hostname or "local",
        )
    )  # fmt: skip
    known = KernelInfoCache(folders.runtime, endpoint=endpoint, kernelspec=kernelspec)
    relay = Relay(channels, session, known, kernelspec=kernelspec, is_eager=settings.start is Start.EAGER)
    interrupt = partial(_interrupt, relay, Author(f"signals-{secrets.token_hex(8)}"))
    if sys.platform == "win32":
        from remote_kernel.kernel.interrupt_event import watch_interrupt_event

        watch_interrupt_event(environ, interrupt)
    with handling(dict.fromkeys(wanted(), relay.stopped.set) | {signal.SIGINT: interrupt}):
        try:
            async with asyncio.TaskGroup() as tasks:  # whose failure ends this process: Jupyter starts another then
                serving = tasks.create_task(go_on(channels.serve(relay.handle)))
                watching = tasks.create_task(_watch_parent(parent, relay.stopped))
                channels.admit()
                await relay.start()
                await relay.stopped.wait()
                await relay.aclose()
                serving.cancel()
                watching.cancel()
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # front ends interrupt a kernel that is to end
            channels.close()
            session.history.close()
    _log.info(LogEvent("stopped", has_died=relay.has_died))
    return int(relay.has_died)


def _interrupt(relay: Relay, author: Author) -> None:
    """Do what an `interrupt_request` asks for, with nobody to reply to: so a front end interrupts where somebody has
    changed the kernelspec's `interrupt_mode`, and Ctrl-C where a kernel was started in a terminal."""
    parts = author.write("interrupt_request", {}, date=datetime.now(UTC))
    start(relay.handle(Channel.CONTROL, [], parts), "interrupt")


def _readable_settings(environ: Mapping[str, str]) -> Settings:
    """Return the settings, or those by default: what cannot be used is told in the first cell, not here.

    Nobody knows then whether a history is wanted.
    """
    try:
        return Settings.from_environ(environ)
    except RemoteKernelError:
        return Settings(keeps_history=False)


async def _watch_parent(parent: Parent, stopped: asyncio.Event) -> None:
    while not parent.has_ended():  # noqa: ASYNC110 - no event tells of it
        await asyncio.sleep(PARENT_POLL_SECONDS)
    stopped.set()
