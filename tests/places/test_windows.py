"""The kernel and the command as they would be on Windows: `tests.as_on_windows` says what that is."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from jupyter_client.blocking.client import BlockingKernelClient

from remote_kernel.core.pools.local_pool import NOT_ON_WINDOWS
from tests.driver import Content, Notebook, Pool, write_connection_file
from tests.kernel.test_channels import connect, wait_ready

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="Windows is played by Linux's own means"),
    pytest.mark.slow,
]

AS_ON_WINDOWS = {"PYTHONPATH": str(Path(__file__).parent.parent / "as_on_windows")}

SLEEP = "import time; print('sleeps'); time.sleep(60)"


@pytest.fixture
def environ(pool: Pool) -> dict[str, str]:
    return {**AS_ON_WINDOWS, "REMOTE_KERNEL_ENDPOINT": pool.endpoint, "REMOTE_KERNEL_TOKEN": pool.token}


@pytest.fixture
def notebook(start_notebook: Callable[..., Notebook]) -> Notebook:
    return start_notebook(**AS_ON_WINDOWS)


def command(*arguments: str, environ: dict[str, str], cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "remote_kernel.cli", *arguments],
        env={**os.environ, **environ}, cwd=cwd, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@contextmanager
def kernel(tmp_path: Path, environ: dict[str, str], *handles: int) -> Iterator[tuple[BlockingKernelClient, int]]:
    """Start a kernel that inherits handles."""
    path = tmp_path / "c.json"
    write_connection_file(path, key=b"secret")
    with subprocess.Popen(
        [sys.executable, "-m", "remote_kernel", "-f", str(path)], env={**os.environ, **environ}, pass_fds=handles
    ) as process:
        client = connect(path)
        try:
            wait_ready(client)
            yield client, process.pid
            assert process.wait(20) == 0
        finally:
            client.stop_channels()
            process.kill()


def run_and(do: Callable[[], None], client: BlockingKernelClient) -> Content:
    """Run a cell that sleeps, do something once it does, and return its reply."""

    def on_message(message: Content) -> None:
        if message["msg_type"] == "stream":
            do()

    content: Content = client.execute_interactive(SLEEP, output_hook=on_message, timeout=60)["content"]
    return content


def test_nothing_that_only_unix_has_is_there() -> None:
    code = (
        "import sys; from remote_kernel.io.system import file_locks, signals; from remote_kernel.core import limits; "
        "print(file_locks.sys.platform, signals.HANGUP, sys.platform)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **AS_ON_WINDOWS}, capture_output=True, text=True, check=False
    )
    assert done.stdout == "win32 0 linux\n", done.stderr
    code = "import remote_kernel.io.system.open_files"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **AS_ON_WINDOWS}, capture_output=True, text=True, check=False
    )
    assert "No module named 'resource' on Windows" in done.stderr


def test_cells_run_are_interrupted_and_begin_anew(notebook: Notebook) -> None:
    notebook.run("kept = 1")
    assert notebook.run("input('name? ')", answer="Ada").result == "'Ada'"
    assert run_and(notebook.manager.interrupt_kernel, notebook.client)["ename"] == "KeyboardInterrupt"
    assert notebook.run("kept").result == "1"
    notebook.manager.restart_kernel()
    notebook.wait_answers()
    assert notebook.run("'kept' in globals()").result == "False"


def test_a_killed_kernel_leaves_no_lock_and_its_successor_goes_on(start_notebook: Callable[..., Notebook]) -> None:
    notebook = start_notebook(**AS_ON_WINDOWS, REMOTE_KERNEL_IDENTIFIER="as-on-windows")
    notebook.run("kept = 1")
    os.kill(notebook.pid, signal.SIGKILL)
    notebook.manager.restart_kernel(now=True)
    notebook.wait_answers()
    assert notebook.run("kept").result == "1"


def test_ctrl_c_in_a_terminal_interrupts(notebook: Notebook) -> None:
    assert run_and(lambda: os.kill(notebook.pid, signal.SIGINT), notebook.client)["ename"] == "KeyboardInterrupt"


def test_the_kernel_ends_with_the_process_that_a_handle_names(tmp_path: Path, environ: dict[str, str]) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as front_end:
        handle = os.pidfd_open(front_end.pid)
        with kernel(tmp_path, {**environ, "JPY_PARENT_PID": str(handle)}, handle):
            front_end.kill()
    os.close(handle)


def test_the_event_of_a_front_end_interrupts(tmp_path: Path, environ: dict[str, str]) -> None:
    event = os.eventfd(0)
    with kernel(tmp_path, {**environ, "JPY_INTERRUPT_EVENT": str(event)}, event) as (client, _):
        for _ in range(2):
            assert run_and(lambda: os.eventfd_write(event, 1), client)["ename"] == "KeyboardInterrupt"
        client.shutdown(reply=True, timeout=10)
    os.close(event)


def test_without_an_endpoint_a_cell_says_that_there_is_no_local_pool(start_notebook: Callable[..., Notebook]) -> None:
    notebook = start_notebook(**AS_ON_WINDOWS, REMOTE_KERNEL_ENDPOINT="", REMOTE_KERNEL_TOKEN="")
    reply = notebook.run("1").reply
    assert (reply["ename"], reply["evalue"]) == ("SettingsError", NOT_ON_WINDOWS)


def test_every_verb_of_the_command_works(environ: dict[str, str], tmp_path: Path) -> None:
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print(open('there.txt').read())")])
    nbformat.write(book, tmp_path / "a.ipynb")
    (tmp_path / "there.txt").write_text("was sent")
    arguments = (
        ("install", "--name", "other", "--user"), ("list",), ("identifier", "a.ipynb"), ("doctor",),
        ("upload", "a.ipynb", "there.txt"), ("download", "a.ipynb", "there.txt", "--to", "back"),
        ("run", "a.ipynb"), ("sessions",), ("sessions", "stop", "--all"), ("logs",), ("completion", "bash"),
        ("uninstall", "other"),
    )  # fmt: skip
    for each in arguments:
        done = command(*each, environ=environ, cwd=tmp_path)
        assert done.returncode == 0, (each, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr, each
    assert (tmp_path / "back" / "there.txt").read_text() == "was sent"
    assert "was sent" in (tmp_path / "a.executed.ipynb").read_text()


@pytest.mark.parametrize("arguments", [("pool",), ("doctor",), ("upload", "a.ipynb", "a.ipynb")])
def test_what_needs_the_local_pool_says_so_in_one_sentence(arguments: tuple[str, ...], tmp_path: Path) -> None:
    nbformat.write(nbformat.v4.new_notebook(), tmp_path / "a.ipynb")
    done = command(*arguments, environ=AS_ON_WINDOWS, cwd=tmp_path)
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode in {1, 2}
    assert NOT_ON_WINDOWS in said
    assert "Traceback" not in said
