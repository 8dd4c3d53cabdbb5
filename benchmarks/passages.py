"""Notes when a message passes certain functions, in whichever process this is loaded; see `benchmarks.timeline`.

A copy of this file named `sitecustomize.py`, in a folder on `PYTHONPATH`, is loaded by every Python that starts. It
writes one line of JSON for each passage to a file of the process's own beside itself. It imports nothing of the
package, and wraps a function when its module has been loaded.
"""

import atexit
import functools
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

POINTS = {
    "remote_kernel.kernel.relay": ("Relay.handle",),
    "remote_kernel.io.http1.connection": ("Connection.request", "Connection.data_received"),
    "remote_kernel.io.http1.server": ("ServerProtocol.data_received", "OneWriteTransport.write"),
    "remote_kernel.pod.kernels.pod_kernel": ("PodKernel._receive",),
    "remote_kernel.io.zmq_socket": ("ZmqSocket.send",),
}

# Every message passes as its own bytes. What a cell prints has the request in its parent header; so look for it first.
_TYPES = {name: re.compile(rb'"msg_type": ?"%b"' % name.encode()) for name in ("stream", "execute_request")}

_passages: list[tuple[str, str, int]] = []


def note(point: str, arguments: Sequence[object]) -> None:
    """Note when which message passes; the time is the machine's, in nanoseconds, the same for all processes."""
    now = time.monotonic_ns()
    data = b"".join(_bytes_in(arguments))
    for name, pattern in _TYPES.items():
        if pattern.search(data):
            _passages.append((point, name, now))
            return


def _bytes_in(values: Sequence[object]) -> Iterator[bytes]:
    for value in values:
        if isinstance(value, bytes | memoryview):
            yield bytes(value)
        elif isinstance(value, list | tuple):
            yield from _bytes_in(value)


def _wrapped(function: Callable[..., Any], point: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def passes(*arguments: Any, **options: Any) -> Any:
        note(point, arguments)
        return function(*arguments, **options)

    return passes


class _Wrapping(Loader):
    """Loads a module as its own loader does, then wraps its functions."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        for point in POINTS[module.__name__]:
            owner_name, _, name = point.partition(".")
            owner = getattr(module, owner_name)
            setattr(owner, name, _wrapped(getattr(owner, name), point))


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in POINTS:
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _Wrapping(spec.loader)
        return spec


def _write() -> None:
    if _passages:
        lines = [json.dumps(passage) + "\n" for passage in _passages]
        Path(__file__).with_name(f"{os.getpid()}.jsonl").write_text("".join(lines), encoding="utf-8")


if __name__ == "sitecustomize":
    sys.meta_path.insert(0, _Finder())
    atexit.register(_write)
