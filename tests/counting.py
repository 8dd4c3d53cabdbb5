"""Runs a program and counts what it does: `counting.py COUNTS MARK MODULE ARGUMENTS`.

Counts, as they are at each call of MARK (`Class.function`, no coroutine), end in the file COUNTS as JSON.
"""

import asyncio
import atexit
import json
import runpy
import selectors
import socket
import statistics
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

# Calls of functions that are counted by themselves, too: pyzmq's own, which are C, no profile shows.
NAMED = {"ZmqSocket.send": "ZeroMQ sent", "ZmqSocket.take": "ZeroMQ looked"}

counts: Counter[str] = Counter()
noted: list[dict[str, int]] = []


def counting(path: Path, mark: str, module: str) -> list[str]:
    """Return the command that runs a program so; its own arguments are to follow."""
    return [sys.executable, __file__, str(path), mark, module]


def cost_of_one(path: Path) -> dict[str, float]:
    """Return what is done from one call of the mark to the next: the middle of all, as a timer goes off now and then.

    The first calls load modules and fill caches.
    """
    at_calls = json.loads(path.read_text())
    steps = [{name: now[name] - before.get(name, 0) for name in now} for before, now in pairwise(at_calls)]
    return {name: statistics.median(step[name] for step in steps) for name in steps[-1]}


def counted(name: str, function: Any) -> Any:
    """Return the function with a count of its calls."""

    def count(*arguments: Any, **options: Any) -> Any:
        counts[name] += 1
        return function(*arguments, **options)

    return count


def count_calls(mark: str) -> None:
    """Count calls of functions, in Python and C, and note all counts at those of `mark`."""

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "c_call":
            counts["calls"] += 1
        elif event == "call":
            counts["calls"] += 1
            name = frame.f_code.co_qualname
            if name in NAMED:
                counts[NAMED[name]] += 1
            elif name == mark:
                noted.append(dict(counts))

    sys.setprofile(note)


def write(path: Path) -> None:
    sys.setprofile(None)
    path.write_text(json.dumps(noted))


if __name__ == "__main__":
    _, path, mark, module, *arguments = sys.argv
    atexit.register(write, Path(path))
    for owner, attribute, name in (
        (selectors.DefaultSelector, "select", "turns"),
        (socket.socket, "send", "writes"),
        (socket.socket, "recv", "reads"),
        (socket.socket, "recv_into", "reads"),
        (asyncio.BaseEventLoop, "create_task", "tasks"),
    ):
        setattr(owner, attribute, counted(name, getattr(owner, attribute)))
    sys.argv = [module, *arguments]
    count_calls(mark)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
