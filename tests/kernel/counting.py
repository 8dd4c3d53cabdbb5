"""Runs the kernel and counts what it does: `counting.py COUNTS ARGUMENTS`, which end in the file COUNTS as JSON."""

import atexit
import json
import runpy
import selectors
import socket
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

counts: Counter[str] = Counter()

_select = selectors.DefaultSelector.select
_send = socket.socket.send


def select(self: selectors.DefaultSelector, timeout: float | None = None) -> Any:
    counts["turns"] += 1
    return _select(self, timeout)


def send(self: socket.socket, *arguments: Any) -> int:
    counts["writes"] += 1
    return _send(self, *arguments)


def note(_frame: FrameType, event: str, _argument: object) -> None:
    if event in {"call", "c_call"}:
        counts["calls"] += 1


def write(path: Path) -> None:
    sys.setprofile(None)
    path.write_text(json.dumps(counts))


if __name__ == "__main__":
    atexit.register(write, Path(sys.argv.pop(1)))
    selectors.DefaultSelector.select = select  # type: ignore[method-assign]
    socket.socket.send = send  # type: ignore[method-assign,assignment]
    sys.setprofile(note)
    runpy.run_module("remote_kernel", run_name="__main__", alter_sys=True)
