"""The pool as a program: `remote-kernel pool` and `python -m remote_kernel.pool`."""

import asyncio
import contextlib
import json
import logging
import os
import secrets
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_core.paths import jupyter_runtime_dir

from remote_kernel import __version__
from remote_kernel.core.pools.flavor import Flavor
from remote_kernel.core.pools.local_pool import RunningPool
from remote_kernel.core.pools.pod_environment import pod_environment
from remote_kernel.core.settings import log_level
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.io.local_pools import folder_of, this_environment
from remote_kernel.io.log_files import POOL_LOG, log_folder, log_to_file, log_to_stderr
from remote_kernel.pool.daemon.detach import detach, release_standard_streams
from remote_kernel.pool.daemon.registration import Registration
from remote_kernel.pool.options import Options

if TYPE_CHECKING:
    from remote_kernel.pool.processes.pod_forks import PodForks
    from remote_kernel.pool.processes.pods import PodCommand

_log = logging.getLogger(__name__)


def run(options: Options, environ: Mapping[str, str]) -> int:
    """Run a pool in a process with these variables until it is stopped; return the exit status of the program."""
    try:
        return _run(options, environ)
    except KeyboardInterrupt:  # before the event loop takes care of signals
        return 130


def _run(options: Options, environ: Mapping[str, str]) -> int:
    if options.mounts_data and not _can_mount():
        return _fail("This system lets no pod have a /mnt/data of its own: leave --mount-data out.")
    log = log_folder(environ, Path(jupyter_runtime_dir())) / POOL_LOG
    registration = Registration(folder_of(this_environment().name))
    if options.is_daemon:
        if registration.find_live_pool() is not None:
            return _fail(
                "A pool of this environment is running already: 'remote-kernel pool status' shows it, "
                "'remote-kernel pool stop' stops it."
            )
        try:
            detach(log)
        except OSError as error:
            return _fail(f"The log of the pool cannot be written in {log.parent}: {error.strerror}.")
    # Not before the fork: these take most of a second, and what they might raise belongs in the log.
    from remote_kernel.io.http1.listening import open_listener, reason
    from remote_kernel.pool.server import endpoint_of, serve
    from remote_kernel.pool.session_pool import SessionPool

    _set_up_logging(options, log, environ)
    try:
        listener = open_listener(options.host, options.port)
    except OSError as error:
        return _fail(
            f"The pool cannot listen on {options.host}, port {options.port}: {reason(error)}. "
            "Choose another --port (0 takes a free one) or --host."
        )
    with listener:
        pool = RunningPool(
            endpoint=endpoint_of(listener),
            token=secrets.token_urlsafe(32),
            pid=os.getpid(),
            python=sys.executable,
            version=__version__,
        )
        other = None if options.is_daemon else registration.find_live_pool()
        try:
            return asyncio.run(
                serve(
                    options,
                    listener,
                    pool.token,
                    partial(
                        SessionPool,
                        options.limits,
                        pod_environment(environ),
                        _pod_command(options),
                        # So that who has the token, and may do anything, can tell the sessions from one another.
                        label_key=pool.token.encode(),
                        forks=_forks(options),
                    ),
                    partial(_announce, options, pool, registration, other),
                )
            )
        finally:
            registration.remove(pool)
            _log.info(LogEvent("stopped"))


def _can_mount() -> bool:
    from remote_kernel.pool.processes.mounts import can_mount

    return can_mount()


def _mounts_data(options: Options) -> bool:
    """Return whether pods get a `/mnt/data` of their own."""
    from remote_kernel.pool.processes.mounts import costs_nothing

    if options.mounts_data is not None:
        return options.mounts_data  # that it can be done was seen at the start
    return (options.flavor is Flavor.INTERPRETER or costs_nothing()) and _can_mount()


def _pod_command(options: Options) -> "PodCommand":
    from remote_kernel.pool.processes.pods import agent_command

    limit = [] if options.sync_limit is None else ["--sync-limit", str(options.sync_limit)]
    return agent_command(
        "--flavor", options.flavor, "--sandbox", options.sandbox, *limit, mounts_data=_mounts_data(options)
    )


def _forks(options: Options) -> "PodForks | None":
    from remote_kernel.pool.processes.pod_forks import PodForks

    return PodForks() if options.forks and sys.platform == "linux" else None


def _announce(options: Options, pool: RunningPool, registration: Registration, other: RunningPool | None) -> None:
    """Register the pool, unless an `other` one is, and say that it is ready."""
    limits = options.limits
    _log.info(
        LogEvent(
            "started",
            endpoint=pool.endpoint,
            max_sessions=limits.max_sessions,
            cooldown_seconds=limits.cooldown_seconds,
            flavor=options.flavor,
            is_daemon=options.is_daemon,
        )
    )
    is_registered = other is None and _register(options, pool, registration)
    if options.prints_json:
        text = json.dumps({"endpoint": pool.endpoint, "token": pool.token})
    else:
        text = _describe(options, pool, is_registered, other)
    # Whoever started a daemon may have given up; others will use it.
    with contextlib.suppress(BrokenPipeError) if options.is_daemon else contextlib.nullcontext():
        print(text, flush=True)
    if options.is_daemon:
        release_standard_streams()


def _register(options: Options, pool: RunningPool, registration: Registration) -> bool:
    try:
        registration.write(pool)
    except OSError as error:
        if options.is_daemon:
            raise  # nobody could find it
        _fail(
            f"Kernels cannot find this pool, as Jupyter's runtime folder cannot be written ({error.strerror}): "
            "set JUPYTER_RUNTIME_DIR to a folder of yours."
        )
        return False
    return True


def _describe(options: Options, pool: RunningPool, is_registered: bool, other: RunningPool | None) -> str:
    limits = options.limits
    if is_registered:
        who = (
            "Kernels of this environment find it by themselves. "
            "For others, 'remote-kernel pool status --json' shows the token."
        )
    else:
        why = "" if other is None else f", as they find the pool that runs already at {other.endpoint}"
        who = f"Your kernels do not find this one by themselves{why}; start it with --json to see its token."
    if options.is_daemon:
        end = f"It leaves after {options.idle_exit_seconds:g} s without a session; 'remote-kernel pool stop' stops it."
    else:
        end = "Ctrl-C stops it and its sessions."
    return (
        f"Session pool at {pool.endpoint}: up to {limits.max_sessions} sessions, "
        f"each kept for {limits.cooldown_seconds:g} s after its last call.\n{who}\n{end}"
    )


def _set_up_logging(options: Options, log: Path, environ: Mapping[str, str]) -> None:
    """Log to the file, and, in the foreground, to the terminal."""
    if not options.is_daemon:  # whose standard error is the file
        log_to_stderr("pool", log_level(environ))
    log_to_file(log, "pool", log_level(environ, "INFO"), _log)
    # The pool's page shows what a terminal should not.
    logging.getLogger("remote_kernel.pool").setLevel(min(logging.INFO, logging.root.level))


def _fail(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 1
