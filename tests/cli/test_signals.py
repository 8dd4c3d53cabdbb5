"""Ctrl-C ends a run politely: the cell is interrupted, its results are kept, the kernel goes."""

import signal
from pathlib import Path

import pytest

from remote_kernel.kernel.folders import Folders
from remote_kernel.kernel.session.releases import Releases
from tests.cli.command import outputs_of, start_command, texts_of, wait_line, write_notebook
from tests.driver import Pool, is_alive, wait_until

SLEEP = "import os, time\nprint(os.getpid(), file=open('pid', 'w'))\nprint('asleep', flush=True)\ntime.sleep(600)"
STUBBORN = """\
import time
try:
    print("asleep", flush=True)
    time.sleep(600)
except KeyboardInterrupt:
    print("no", flush=True)
while True:
    try:
        time.sleep(600)
    except KeyboardInterrupt:
        pass
"""


def test_ctrl_c_interrupts_the_cell_and_keeps_its_output(tmp_path: Path, remote_kernel: str) -> None:
    check_interrupted_run(tmp_path, remote_kernel, signal.SIGINT, 130)


def test_sigterm_does_so_and_no_kernel_outlives_the_run(tmp_path: Path) -> None:
    check_interrupted_run(tmp_path, "python3", signal.SIGTERM, 143)
    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: not is_alive(pid))


def test_sighup_does_so_too(tmp_path: Path, remote_kernel: str) -> None:
    check_interrupted_run(tmp_path, remote_kernel, signal.SIGHUP, 129)


def test_run_under_nohup_goes_on(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", SLEEP.replace("600", "1"), "6 * 7")
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = start_command("run", notebook, "--kernel", "python3")
    finally:
        signal.signal(signal.SIGHUP, before)
    with process:
        wait_line(process, "asleep")
        process.send_signal(signal.SIGHUP)
        process.communicate()
    assert process.returncode == 0
    assert texts_of(tmp_path / "n.executed.ipynb")[1] == "42"


def check_interrupted_run(folder: Path, kernel: str, number: signal.Signals, status: int) -> None:
    notebook = write_notebook(folder / "n.ipynb", SLEEP, "print('never')")
    with start_command("run", notebook, "--kernel", kernel) as process:
        wait_line(process, "asleep")
        process.send_signal(number)
        _, errors = process.communicate()
    assert process.returncode == status
    assert errors == "remote-kernel: interrupted in cell 1 of 2\n"
    first, second = outputs_of(folder / "n.executed.ipynb")
    assert [output.get("ename") for output in first] == [None, "KeyboardInterrupt"]
    assert second == []


def test_second_signal_leaves_at_once_and_the_session_is_given_back(
    tmp_path: Path, pool: Pool, remote_kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REMOTE_KERNEL_IDENTIFIER", "of-this-run-alone")
    notebook = write_notebook(tmp_path / "n.ipynb", STUBBORN)
    others = len(pool.sessions())
    with start_command("run", notebook, "--kernel", remote_kernel) as process:
        wait_line(process, "asleep")
        assert len(pool.sessions()) == others + 1
        process.send_signal(signal.SIGINT)
        wait_line(process, "no")
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode == 130
    assert texts_of(tmp_path / "n.executed.ipynb") == ["asleep\nno\n"]
    # On a machine that is busy the next kernel does what this one had no time for.
    assert len(pool.sessions()) == others or Releases(Folders.of_user().runtime).any()


@pytest.mark.slow
def test_cell_that_goes_on_after_an_interrupt_is_left_behind(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", STUBBORN)
    with start_command("run", notebook, "--kernel", "python3") as process:
        wait_line(process, "asleep")
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode == 130
    assert texts_of(tmp_path / "n.executed.ipynb") == ["asleep\nno\n"]
