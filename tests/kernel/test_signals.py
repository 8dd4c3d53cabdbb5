"""SIGINT to the kernel's process, by which front ends interrupt where a kernelspec's `interrupt_mode` was changed."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.driver import Cell, Content, Notebook, Pool, wait_until, write_connection_file
from tests.kernel.test_channels import connect, wait_ready

SLEEP = "import time; print('sleeps'); time.sleep(60)"


def run_and(do: Callable[[], None], notebook: Notebook) -> Cell:
    """Run a cell that sleeps, and do something once it does."""

    def on_message(message: Content) -> None:
        if message["msg_type"] == "stream":
            do()

    return notebook.run(SLEEP, on_message=on_message)


@pytest.mark.parametrize("times", [1, 2])
def test_sigint_interrupts_the_cell_that_runs_and_no_other(notebook: Notebook, times: int) -> None:
    def interrupt() -> None:
        for _ in range(times):
            os.kill(notebook.pid, signal.SIGINT)

    notebook.run("kept = 1")
    cell = run_and(interrupt, notebook)
    assert cell.reply["ename"] == "KeyboardInterrupt"
    assert notebook.run("import time; time.sleep(0.5); kept").result == "1"


def test_sigint_before_any_cell_takes_no_session(notebook: Notebook, pool: Pool) -> None:
    before = pool.sessions()
    for _ in range(3):
        os.kill(notebook.pid, signal.SIGINT)
    notebook.request("shell", "kernel_info_request", {})
    assert pool.sessions() == before
    assert notebook.run("1").result == "1"


def test_sigint_frees_a_cell_that_waits_for_a_session(start_notebook: Callable[..., Notebook]) -> None:
    notebook = start_notebook(REMOTE_KERNEL_ENDPOINT="http://127.0.0.1:1")

    def on_message(message: Content) -> None:
        if message["msg_type"] == "display_data":
            os.kill(notebook.pid, signal.SIGINT)

    assert notebook.run("1", on_message=on_message).reply["ename"] == "KeyboardInterrupt"


def test_a_front_end_whose_kernelspec_says_signal_interrupts_restarts_and_shuts_down(
    notebook: Notebook, pool: Pool
) -> None:
    assert notebook.manager.kernel_spec is not None
    notebook.manager.kernel_spec.interrupt_mode = "signal"
    before = len(pool.sessions())
    assert run_and(notebook.manager.interrupt_kernel, notebook).reply["ename"] == "KeyboardInterrupt"
    notebook.manager.restart_kernel()
    notebook.wait_answers()
    assert notebook.run("'time' in globals()").result == "False"
    assert len(pool.sessions()) == before + 1
    notebook.manager.shutdown_kernel()
    wait_until(lambda: len(pool.sessions()) == before)


def test_a_kernel_that_starts_is_not_ended_by_sigint(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    write_connection_file(path, key=b"secret")
    with subprocess.Popen([sys.executable, "-m", "remote_kernel", "-f", str(path)], stderr=subprocess.PIPE) as process:
        client = connect(path)
        try:
            wait_until(lambda: is_deaf_to_sigint(process.pid))
            while process.poll() is None and not client.hb_channel.is_beating():
                process.send_signal(signal.SIGINT)
            wait_ready(client)
            client.shutdown(reply=True, timeout=10)
            assert process.wait(10) == 0
            assert process.stderr is not None
            assert process.stderr.read() == b""
        finally:
            client.stop_channels()
            process.kill()


def is_deaf_to_sigint(pid: int) -> bool:
    """Return whether a process ignores it."""
    status = Path(f"/proc/{pid}/status").read_text()
    return bool(int(status.split("SigIgn:")[1].split()[0], 16) & 1 << signal.SIGINT - 1)
