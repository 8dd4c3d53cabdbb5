"""The local kernel's process is small: it imports no interpreter, and leaves memory to the pod."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.driver import Notebook, write_connection_file
from tests.kernel.test_channels import connect, wait_ready

FOREIGN = (
    *("IPython", "ipykernel", "traitlets", "remote_kernel.pod", "remote_kernel.pool", "starlette", "uvicorn"),
    *(
        "remote_kernel.client.interpreter.bridge",
        "remote_kernel.client.interpreter.agentless",
    ),  # for pools that have shown to need them
)


def test_the_kernel_imports_neither_ipython_nor_pod_nor_pool(tmp_path: Path) -> None:
    path, log = tmp_path / "c.json", tmp_path / "importtime"
    write_connection_file(path, key=b"secret")
    command = [sys.executable, "-X", "importtime", "-m", "remote_kernel", "-f", str(path)]
    with log.open("wb") as stderr, subprocess.Popen(command, stderr=stderr) as process:
        try:
            client = connect(path)
            wait_ready(client)
            client.shutdown(reply=True, timeout=10)  # a socket that is closed drops what it has not sent
            client.stop_channels()
            assert process.wait(10) == 0
        finally:
            process.kill()
    modules = re.findall(r"import time:.*\|\s+([\w.]+)$", log.read_text(), re.MULTILINE)
    assert "remote_kernel.kernel.relay" in modules
    assert [name for name in modules if name.startswith(FOREIGN)] == []


@pytest.mark.parametrize("names", [["json", "random", "select", "signal", "token", "zmq"], ["remote_kernel"]], ids=str)
def test_modules_in_the_notebook_s_folder_are_none_of_the_kernel_s(names: list[str], tmp_path: Path) -> None:
    for name in names:
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('this {name} was meant for the notebook')")
    argv = json.loads((Path(__file__).parents[2] / "kernelspec/kernel.json").read_text())["argv"]
    command = [sys.executable, *argv[1:-1], "missing.json"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (
        2,
        "remote-kernel: The connection file missing.json cannot be read: No such file or directory.\n",
    )


def test_an_idle_kernel_uses_less_memory_than_an_idle_ipykernel(start_notebook: Callable[..., Notebook]) -> None:
    kernels = [start_notebook(name, is_program=True) for name in ("remote", "python3")]
    for kernel in kernels:
        kernel.run("pass")
    remote, local = (resident_kilobytes(kernel.pid) for kernel in kernels)
    assert remote < local


def resident_kilobytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def test_a_kernel_without_a_connection_file_says_what_it_wants() -> None:
    command = [sys.executable, "-m", "remote_kernel"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, timeout=30, check=False)
    assert done.returncode == 2
    assert "-f" in done.stderr
