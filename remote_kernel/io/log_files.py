"""Logs on disk: private, bounded, and made of the lines of `core.text.log_lines`.

Every process that writes opens its file anew for each line, so that files may be shortened and removed at any time.
"""

import contextlib
import logging
import os
import sys
import traceback
from collections.abc import Mapping
from io import FileIO
from pathlib import Path

from remote_kernel.core.errors import SettingsError
from remote_kernel.core.text.log_lines import LogEvent, LogLine, redact
from remote_kernel.io.private_files import make_private_folder, open_private
from remote_kernel.io.system.file_locks import hold

LOGS_FOLDER = "remote-kernel/logs"  # inside Jupyter's runtime folder
SUFFIX = ".log"
POOL_LOG = "pool.log"
OLDER_SUFFIX = ".log.1"
KERNEL_PREFIX = "kernel-"

# What is more begins a new file, and this one becomes the older of two.
MAX_BYTES = 1 << 20

# Each kernel has a file of its own. A day of work makes a handful, a day of a CI machine thousands.
MAX_FILES = 200
MAX_AGE_SECONDS = 14 * 86400.0


def log_folder(environ: Mapping[str, str], runtime_folder: Path) -> Path:
    """Return the logs' folder: `REMOTE_KERNEL_LOG`, or one in Jupyter's runtime folder; raises `SettingsError`."""
    chosen = environ.get("REMOTE_KERNEL_LOG", "").strip()
    if not chosen:
        return runtime_folder / LOGS_FOLDER
    try:
        return Path(chosen).expanduser().absolute()
    except RuntimeError:
        raise SettingsError(f"REMOTE_KERNEL_LOG is '{chosen}', and there is no such user.") from None


def make_log_folder(folder: Path) -> None:
    """Make the folder, and what is above it, for its owner alone. Raises `OSError`."""
    make_private_folder(folder.parent)
    make_private_folder(folder)


def append(path: Path, text: str) -> None:
    """Add a line to a file, and begin a new one where it has become long. Raises `OSError`."""
    with open_private(path, "a+") as file:
        if os.fstat(file.fileno()).st_size > MAX_BYTES:
            _set_aside(file, path)
        file.write(f"{text}\n".encode(errors="backslashreplace"))  # in one piece, among other writers


def _set_aside(file: FileIO, path: Path) -> None:
    """Copy the file to the older one and empty it: a process that has it as standard error goes on in the same.

    The copy is whole, so that who follows the file finds the place there; of a flood on standard error it is the end.
    """
    with hold(path):
        size = os.fstat(file.fileno()).st_size
        if size <= MAX_BYTES:
            return  # another process was first
        kept = size if size <= 2 * MAX_BYTES else MAX_BYTES
        file.seek(size - kept)
        with open_private(path.with_suffix(OLDER_SUFFIX), "r+") as older:
            older.truncate()
            older.write(file.read(kept))
        file.truncate(0)


def rest_of_older(path: Path, offset: int) -> bytes:
    """Return what the log at `path` had behind `offset` when it became the older one; all where that is not known."""
    try:
        with path.with_suffix(OLDER_SUFFIX).open("rb") as file:
            is_whole = os.fstat(file.fileno()).st_size > MAX_BYTES
            file.seek(offset if is_whole else 0)
            return file.read()
    except OSError:  # there is none
        return b""


def remove_old(folder: Path, now: float) -> None:
    """Remove kernels' logs that are older than two weeks at `now` (seconds since 1970), and all but the newest ones.

    The folder may be one that the user keeps other things in.
    """
    ages = {}
    for suffix in (SUFFIX, OLDER_SUFFIX):
        for path in folder.glob(f"{KERNEL_PREFIX}*{suffix}"):
            with contextlib.suppress(OSError):
                ages[path] = now - path.stat().st_mtime
    for place, path in enumerate(sorted(ages, key=ages.__getitem__)):
        if place >= MAX_FILES or ages[path] > MAX_AGE_SECONDS:
            with contextlib.suppress(OSError):
                path.unlink()


class LogFile(logging.Handler):
    """Writes records to a file; a disk that does not take them costs the log, and nothing else."""

    def __init__(self, path: Path, program: str) -> None:
        super().__init__()
        self._path = path
        self._program = program

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        with contextlib.suppress(OSError):
            append(self._path, line_of(record, self._program).to_json())


class LineFormatter(logging.Formatter):
    """Formats records for standard error: for people, as Jupyter's own lines, or for programs that collect them."""

    def __init__(self, program: str, *, is_json: bool) -> None:
        super().__init__()
        self._program = program
        self._is_json = is_json

    def format(self, record: logging.LogRecord) -> str:
        line = line_of(record, self._program)
        return line.to_json() if self._is_json else line.to_text()


def log_to_stderr(program: str, level: str, *, is_json: bool = False) -> None:
    """Have what is at least of `level` on standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(program, is_json=is_json))
    handler.setLevel(level)
    _add(handler)


def log_to_file(path: Path, program: str, level: str, log: logging.Logger) -> None:
    """Have what is at least of `level` in a file, too; `log` is told when its folder cannot be made."""
    try:
        make_log_folder(path.parent)
    except OSError as error:
        log.warning(LogEvent("no log file", folder=str(path.parent), reason=error.strerror))
        return
    handler = LogFile(path, program)
    handler.setLevel(level)
    _add(handler)


def _add(handler: logging.Handler) -> None:
    logging.root.addHandler(handler)
    logging.root.setLevel(min(logging.root.level, handler.level))
    quiet_libraries()
    logging.getLogger("asyncio").setLevel(logging.WARNING)  # what it says below that is of no use here


def quiet_libraries() -> None:
    """Have some libraries log nothing, on standard error either.

    Those that speak to pools and logins log URLs and what servers answer, and with them identifiers and parts of
    logins. The one that locks files on Windows would log that it locks a log for a line of it, and need another line.
    """
    for name in ("httpx", "httpcore", "azure", "msal", "msal_extensions", "urllib3", "filelock"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def line_of(record: logging.LogRecord, program: str) -> LogLine:
    event = record.msg if isinstance(record.msg, LogEvent) else _of_others(record)
    if record.exc_info and record.exc_info[1] is not None:
        event = LogEvent(event.name, **event.fields, **_describe(record.exc_info[1]))
    return LogLine(at=record.created, level=record.levelname.lower(), program=program, pid=os.getpid(), event=event)


def _describe(error: BaseException) -> dict[str, str]:
    """Return what may be told of an error that nobody expected: its text may hold what it was about."""
    where = "".join(traceback.format_tb(error.__traceback__))
    return {"error": type(error).__name__, "trace": where}


def _of_others(record: logging.LogRecord) -> LogEvent:
    """Return the event of a library's record: asyncio puts values, and so code, behind the first bracket."""
    words = str(record.msg).splitlines()[:1] or [""]
    for bracket in "(<'\"{[":
        words = words[0].split(bracket)[:1]
    return LogEvent("message", logger=record.name, text=redact(words[0].strip()))
