"""A process is held for as long as there is a reason."""

import os
import subprocess
from collections.abc import Iterator

import pytest

from remote_kernel.pod.interpreters.processes.hold import Hold

Process = subprocess.Popen[bytes]


@pytest.fixture
def process() -> Iterator[Process]:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def hold_of(process: Process) -> Hold:
    hold = Hold()
    hold.pid = process.pid
    return hold


def wait_change(process: Process, kind: int) -> None:
    """Wait until the process was stopped, or goes on."""
    assert os.waitid(os.P_PID, process.pid, kind) is not None


def test_process_goes_on_when_nobody_holds_it_any_more(process: Process) -> None:
    hold = hold_of(process)
    hold.change("readers", True)
    wait_change(process, os.WSTOPPED)
    hold.change("iopub", True)
    hold.change("readers", False)
    assert os.waitid(os.P_PID, process.pid, os.WCONTINUED | os.WNOHANG) is None
    hold.change("iopub", False)
    wait_change(process, os.WCONTINUED)


def test_held_process_goes_on_whatever_it_is_held_for(process: Process) -> None:
    hold = hold_of(process)
    hold.change("readers", True)
    hold.change("iopub", True)
    wait_change(process, os.WSTOPPED)
    hold.end()
    wait_change(process, os.WCONTINUED)


def test_process_that_is_gone_is_not_missed(process: Process) -> None:
    hold = hold_of(process)
    process.kill()
    process.wait()
    hold.change("readers", True)
    hold.end()
