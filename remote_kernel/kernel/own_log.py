"""The log file of this kernel, under the name by which Jupyter's own log calls it."""

import logging
from collections.abc import Mapping
from pathlib import Path

from remote_kernel.core.errors import RemoteKernelError, SettingsError
from remote_kernel.core.settings import log_level
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.io.log_files import KERNEL_PREFIX, SUFFIX, log_folder, log_to_file
from remote_kernel.kernel.folders import Folders

_log = logging.getLogger(__name__)


def open_log(folders: Folders, connection_file: Path, environ: Mapping[str, str]) -> None:
    """Log to a file from now on; where there can be none, standard error is told."""
    try:
        folder = log_folder(environ, folders.runtime)
    except SettingsError as error:
        _log.warning(LogEvent("no log file", text=str(error)))
        return
    path = folder / f"{KERNEL_PREFIX}{connection_file.stem.removeprefix(KERNEL_PREFIX)}{SUFFIX}"
    log_to_file(path, "kernel", log_level(environ, "INFO"), _log)


def log_refusal(connection_file: Path, environ: Mapping[str, str], error: RemoteKernelError) -> None:
    """Write to the log file why the kernel could not start, as few front ends show its standard error."""
    _log.addHandler(logging.NullHandler())  # standard error has the sentence already
    try:
        open_log(Folders.of_user(), connection_file, environ)
    except RemoteKernelError:
        return
    _log.error(LogEvent("not started", error=error.name, text=str(error)))
