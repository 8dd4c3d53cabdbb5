"""`remote-kernel logs`: what kernels and the local pool have logged, in the order in which it happened."""

import argparse
import sys
import time
from pathlib import Path

from remote_kernel.core.errors import UsageError
from remote_kernel.core.text.log_lines import LogEvent, LogLine
from remote_kernel.core.text.terminal_text import PLAIN
from remote_kernel.pool.options import parse_count

DEFAULT_LINES = 200
# How often to look for more; no event of the file system tells of it everywhere.
LOOK_AGAIN_SECONDS = 0.3

DESCRIPTION = """\
Show what your kernels and your local pool have logged, in the order in which it happened: when a notebook was bound to
its session, when the connection broke and came back, which pods came and went. No log holds identifiers, tokens, code
or outputs. REMOTE_KERNEL_LOG_LEVEL=debug makes kernels and pools that start from then on say more.
"""

EPILOG = """\
examples:
  remote-kernel logs --notebook report.ipynb
  remote-kernel logs --follow
  remote-kernel logs --json | jq 'select(.level == "warning")'

exit status: 0, also when there are none; 130 Ctrl-C, which ends --follow
"""

_COLOURS = {"debug": "\x1b[2m", "warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "logs",
        help="show what kernels and the local pool have logged",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    add = parser.add_argument
    add("--notebook", metavar="NOTEBOOK", help="only the kernels of this notebook")
    add("-n", "--lines", metavar="N", type=parse_count(1), default=DEFAULT_LINES,
        help="how many of the last lines (default: %(default)s)")  # fmt: skip
    add("-f", "--follow", action="store_true", help="go on with what comes, until Ctrl-C")
    add("--json", action="store_true", help="print each line as one JSON object")
    parser.set_defaults(handler=handle)


def handle(arguments: argparse.Namespace) -> int:
    """Show the lines."""
    from remote_kernel.io.log_files import log_folder
    from remote_kernel.kernel.folders import Folders
    from remote_kernel.kernel.identity.notebook_path import canonical

    if arguments.notebook == "":
        raise UsageError("--notebook is empty: name a notebook, or leave it out")
    folder = log_folder(arguments.environ, Folders.of_user().runtime)
    notebook = str(canonical(arguments.notebook)) if arguments.notebook else ""
    logs = Logs(folder, notebook)
    lines = logs.read()
    for line in lines[-arguments.lines :]:
        _show(line, arguments)
    if not (lines or arguments.follow or arguments.json):
        whose = f"No kernel of {notebook}" if notebook else "No kernel and no local pool of yours"
        print(f"{whose} has written a log in {folder}.")
    while arguments.follow:
        sys.stdout.flush()
        time.sleep(LOOK_AGAIN_SECONDS)
        for line in logs.read():
            _show(line, arguments)
    return 0


def _show(line: LogLine, arguments: argparse.Namespace) -> None:
    if arguments.json:
        print(line.to_json())
        return
    text = line.to_text()
    colour = _COLOURS.get(line.level, "")
    print(f"{colour}{text}{PLAIN}" if colour else text)


class Logs:
    """The logs in a folder, read as they grow.

    Args:
        notebook: canonical path of the notebook whose kernels' logs are wanted; "" for all, and the pool's.
    """

    def __init__(self, folder: Path, notebook: str) -> None:
        self._folder = folder
        self._notebook = notebook
        self._tails: dict[Path, Tail] = {}

    def read(self) -> list[LogLine]:
        """Return what is new since the last time, in the order of time."""
        from remote_kernel.io.log_files import SUFFIX

        for path in self._folder.glob(f"*{SUFFIX}"):
            self._tails.setdefault(path, Tail(path, self._notebook))
        return sorted((line for tail in self._tails.values() for line in tail.read()), key=lambda line: line.at)


class Tail:
    """One log, with the older one that it has followed."""

    def __init__(self, path: Path, notebook: str) -> None:
        self._path = path
        self._notebook = notebook
        self._offset = 0
        self._older_at: int | None = None
        self._held: list[LogLine] = []
        program = path.stem.partition("-")[0]
        self._last = LogLine(at=0.0, level="error", program=program, pid=0, event=LogEvent(""))

    def read(self) -> list[LogLine]:
        """Return the lines that have come; those of a kernel that is not known to be the notebook's are held back."""
        lines = list(map(self._parse, self._new_lines()))
        if not self._notebook:
            return lines
        if not any(line.event.fields.get("notebook") == self._notebook for line in lines):
            self._held += lines
            return []
        self._notebook = ""
        return self._held + lines

    def _new_lines(self) -> list[str]:
        older = self._new_in_older()
        new = _read(self._path, self._offset)
        whole = new[: new.rfind(b"\n") + 1]
        self._offset += len(whole)
        return (older + whole).decode(errors="replace").splitlines()

    def _new_in_older(self) -> bytes:
        """Return at first all of the older log, later what this one had when it began anew and became the older one."""
        from remote_kernel.io.log_files import MAX_BYTES, OLDER_SUFFIX, rest_of_older

        size = _size(self._path)
        older_at = _changed_at(self._path.with_suffix(OLDER_SUFFIX))  # after the size: a log is copied, then emptied
        if older_at == self._older_at:
            self._offset = self._offset if size >= self._offset else 0  # somebody may have emptied it
            return b""
        if self._older_at is not None and _size(self._path) > MAX_BYTES:
            return b""  # it is not yet emptied
        self._older_at, offset, self._offset = older_at, self._offset, 0
        return rest_of_older(self._path, offset)

    def _parse(self, text: str) -> LogLine:
        """Return a line; what is none, such as the last words of a process that died, goes with the line before it."""
        line = LogLine.from_json(text)
        if line is None:
            return self._last._replace(level="error", event=LogEvent("output", text=text))
        self._last = line
        return line


def _read(path: Path, offset: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read()
    except OSError:  # removed meanwhile
        return b""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _changed_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
