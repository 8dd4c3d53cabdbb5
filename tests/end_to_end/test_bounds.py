"""Memory has a bound, whatever a cell prints and whoever reads slowly; and what is busy stays interruptible."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.driver import Notebook, Pool, wait_until
from tests.faults.proxy import FaultProxy

pytestmark = pytest.mark.slow

# As docs/reliability.md states them, for messages of 1 MB.
MAX_KERNEL_BYTES = 200e6
MAX_AGENT_BYTES = 400e6

MEGABYTE = 1_000_000
# A megabyte at a time, until it is interrupted.
FLOOD = f"import sys\nwhile True: sys.stdout.write('x' * {MEGABYTE - 1} + '\\n'); sys.stdout.flush()"


@contextmanager
def watched(*pids: int) -> Iterator[list[int]]:
    """Note the greatest memory of each process while the block runs."""
    peaks = [0] * len(pids)
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(0.05):
            for index, pid in enumerate(pids):
                peaks[index] = max(peaks[index], psutil.Process(pid).memory_info().rss)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peaks
    finally:
        is_over.set()
        thread.join()


def test_a_front_end_that_does_not_read_costs_no_memory_and_is_told_what_it_missed() -> None:
    with (
        Pool.start() as pool,
        pool.client() as client,
        Notebook.start(
            environ={**pool.environ(), "REMOTE_KERNEL_IDENTIFIER": "flooded"}, receives=10, is_program=True
        ) as notebook,
    ):
        notebook.run("pass")
        (session,) = pool.sessions()

        def status() -> dict[str, int]:
            answer = client.get("/api/v2/session?identifier=flooded").raise_for_status()
            status: dict[str, int] = answer.json()["kernels"][0]
            return status

        with watched(notebook.pid, session["pid"]) as peaks:
            started = status()["cursor"]
            msg_id = notebook.client.execute(FLOOD)
            # More than memory and disk may hold: the cell was slowed down, then let go on without its reader.
            wait_until(lambda: status()["cursor"] > started + 400)
            notebook.manager.interrupt_kernel()
            wait_until(lambda: not status()["is_busy"])
        kernel_bytes, agent_bytes = peaks
        assert kernel_bytes < MAX_KERNEL_BYTES
        assert agent_bytes < MAX_AGENT_BYTES

        received, dropped = read_to_the_end(notebook, msg_id)
        assert dropped > 0
        # The replies to the cell and to the interrupt came on other channels.
        assert received + dropped == status()["cursor"] - started - 2
        assert notebook.reply_to(msg_id)["ename"] == "KeyboardInterrupt"
        assert notebook.run("1 + 1").result == "2"


def test_a_reply_is_not_lost_with_the_output_behind_it(pool: Pool, tmp_path: Path) -> None:
    """While the network is down, a cell ends, and what it left running says more than the pod keeps."""
    go, done = tmp_path / "go", tmp_path / "done"
    code = f"""
import pathlib, threading, time
has_ended = threading.Event()
get_ipython().events.register("post_execute", has_ended.set)
def flood():
    has_ended.wait()
    for _ in range(300): print("x" * {MEGABYTE}, flush=True)
    pathlib.Path({str(done)!r}).touch()
threading.Thread(target=flood).start()
print("begun", flush=True)
while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.01)
"""
    with FaultProxy.before(pool.endpoint) as proxy, Notebook.start(environ=pool.environ(proxy.endpoint)) as notebook:
        msg_id = notebook.client.execute(code)
        notebook.wait_iopub(lambda message: message["msg_type"] == "stream")
        proxy.refuse(True)
        proxy.cut()
        go.touch()
        wait_until(done.exists)
        proxy.refuse(False)
        assert notebook.reply_to(msg_id)["status"] == "ok"
        assert notebook.run("1 + 1").result == "2"


def read_to_the_end(notebook: Notebook, msg_id: str) -> tuple[int, int]:
    """Read what a cell said; return how many messages came, and how many were said to be dropped."""
    received = dropped = 0
    while True:
        message = notebook.wait_iopub(lambda message: message["parent_header"].get("msg_id") == msg_id)
        if message["msg_type"] in {"display_data", "update_display_data"}:  # what the local kernel says itself
            told = re.match(r"\[([\d,]+) messages? of the session", message["content"]["data"]["text/plain"])
            dropped += int(told[1].replace(",", "")) if told else 0
            continue
        received += 1
        if message["content"].get("execution_state") == "idle":
            return received, dropped


def test_a_flood_leaves_the_pod_s_other_kernels_their_turn_and_can_be_interrupted(pool: Pool) -> None:
    environ = pool.environ()
    environ |= {"REMOTE_KERNEL_SCOPE": "project", "REMOTE_KERNEL_PROJECT": "flood"}
    flooding, other = (
        Notebook.start(environ={**environ, "REMOTE_KERNEL_NOTEBOOK": f"/{name}.ipynb"}) for name in ("a", "b")
    )
    is_over = threading.Event()
    reader = threading.Thread(target=lambda: read_until(flooding, is_over))
    try:
        which_pod = "__import__('os').environ['REMOTE_KERNEL_POD']"
        assert flooding.run(which_pod).result == other.run(which_pod).result
        msg_id = flooding.client.execute(FLOOD)
        flooding.wait_iopub(lambda message: message["msg_type"] == "stream")
        reader.start()
        for number in range(20):
            assert other.run(f"{number}").result == str(number)
        flooding.manager.interrupt_kernel()
        assert flooding.reply_to(msg_id)["ename"] == "KeyboardInterrupt"
    finally:
        is_over.set()
        reader.join()
        flooding.close()
        other.close()


def read_until(notebook: Notebook, is_over: threading.Event) -> None:
    """Read what comes on iopub, as a front end does that draws it elsewhere."""
    socket = notebook.client.iopub_channel.socket
    while not is_over.is_set():
        if socket.poll(50):
            socket.recv_multipart()
