"""Detaching a daemon from its terminal."""

import os
from pathlib import Path

from remote_kernel.io.log_files import make_log_folder


def detach(log: Path) -> None:
    """Go on in a process that has no parent to wait for it and no terminal; standard error goes to `log`.

    Standard input and output stay what they were until `release_standard_streams`: whoever started the daemon reads on
    one that it is ready, or sees its end, and may have given it a lock to hold as the other.
    Call it before threads exist. Raises `OSError` when the log cannot be written.
    """
    make_log_folder(log.parent)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    if os.fork():
        os._exit(0)  # without the exit functions, which belong to the process that goes on
    os.setsid()
    os.chdir("/")  # no folder is kept busy
    os.dup2(descriptor, 2)
    os.close(descriptor)


def release_standard_streams() -> None:
    """Let go of what standard input and output were."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
