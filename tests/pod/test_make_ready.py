"""Interpreters that are made ready for a pod: wide sockets, and nothing that a cell would wait for."""

import socket
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from remote_kernel.pod.interpreters.interpreter import HISTORY_LINES
from remote_kernel.pod.interpreters.make_ready import widen
from tests.driver import run_in_pod, stdout_of

pytestmark = pytest.mark.unix


def size_of(end: socket.socket) -> int:
    return end.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)


def test_both_ends_of_a_connection_are_made_wide_and_nothing_else(tmp_path: Path) -> None:
    with ExitStack() as stack:
        ends = []
        for name in ("k-1", "other"):
            listener, end = (stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(2))
            listener.bind(str(tmp_path / name))
            listener.listen()
            end.connect(str(tmp_path / name))
            ends += [end, stack.enter_context(listener.accept()[0])]
        usual = size_of(ends[0])
        widen(str(tmp_path / "k-"))
        assert all(size_of(end) > usual for end in ends[:2])
        assert [size_of(end) for end in ends[2:]] == [usual] * 2


def test_an_interpreter_s_own_for_cells_and_output_are(client: httpx.Client) -> None:
    code = """
import os, socket, stat
with socket.socket(socket.AF_UNIX) as other:
    usual = other.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
app = __import__("ipykernel.kernelapp").kernelapp.IPKernelApp.instance()
paths = [f"{app.ip}-{port}" for port in (app.shell_port, app.iopub_port)]
sizes = {path: [] for path in paths}
for descriptor in range(3, 200):
    try:
        found = socket.socket(fileno=os.dup(descriptor))
    except OSError:
        continue
    name = found.getsockname() if found.family == socket.AF_UNIX else ""
    if name in paths and not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sizes[name].append(found.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) > usual)
print(all(sizes[path] and all(sizes[path]) for path in paths))
"""
    assert stdout_of(run_in_pod(client, code)) == "True\n"


def test_a_cell_waits_neither_for_its_output_to_be_heard_nor_for_its_history_to_be_written(
    client: httpx.Client,
) -> None:
    code = "shell = get_ipython(); print(shell.kernel._execute_sleep, shell.history_manager.db_cache_size)"
    assert stdout_of(run_in_pod(client, code)) == f"0.0 {HISTORY_LINES}\n"
