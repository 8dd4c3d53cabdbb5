"""No session is left over that nobody can find again, however its kernel or the program around it ends."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from remote_kernel.kernel.folders import Folders
from remote_kernel.kernel.session.known_sessions import KnownSession, known_sessions
from tests.driver import Notebook, Pool, wait_until

pytestmark = pytest.mark.slow

Start = Callable[..., Notebook]

# A tool would think that it stands still; the cooldown is five minutes.
SOON_SECONDS = 30.0


def environ_of(pool: Pool) -> dict[str, str]:
    return pool.environ()


def fresh(tmp_path: Path) -> dict[str, str]:
    return {"REMOTE_KERNEL_NOTEBOOK": str(tmp_path / "n.ipynb"), "REMOTE_KERNEL_FRESH": "1"}


@pytest.mark.parametrize(
    ("number", "is_fresh"), [(signal.SIGTERM, False), (signal.SIGTERM, True), (signal.SIGHUP, True)]
)
def test_a_session_of_one_process_is_given_back_at_a_signal(
    start_notebook: Start, pool: Pool, tmp_path: Path, number: signal.Signals, is_fresh: bool
) -> None:
    before = len(pool.sessions())
    notebook = start_notebook(**fresh(tmp_path) if is_fresh else {})
    notebook.run("a = 1")
    assert len(pool.sessions()) == before + 1
    os.kill(notebook.pid, number)
    started = time.monotonic()
    wait_until(lambda: not notebook.manager.is_alive())
    assert time.monotonic() - started < 2.5, "jupyter_client would have sent SIGKILL"
    wait_until(lambda: len(pool.sessions()) == before, timeout_seconds=SOON_SECONDS)


# Longer than a front end waits for the end of a kernel, and than people wait without being told.
SLOW_POD = "import sys, time\nif 'remote_kernel.pod' in sys.orig_argv: time.sleep(4)"


@contextmanager
def slow_pool(tmp_path: Path) -> Iterator[Pool]:
    """Start a pool whose pods take four seconds more."""
    (tmp_path / "sitecustomize.py").write_text(SLOW_POD, encoding="utf-8")
    with Pool.start("--no-fork", prefix=("env", f"PYTHONPATH={tmp_path}")) as pool:
        yield pool


def types_said(pool: Pool, *, is_attended: bool) -> list[str]:
    """Return the types of all messages about a kernel's first cell."""
    types: list[str] = []
    with Notebook.start(environ=environ_of(pool)) as notebook:
        notebook.run("1", allow_stdin=is_attended, on_message=lambda message: types.append(message["msg_type"]))
    return types


def test_a_session_that_takes_its_time_adds_no_output_where_nobody_looks(tmp_path: Path) -> None:
    """nbval compares all outputs of a cell, also those that are cleared."""
    with slow_pool(tmp_path) as pool:
        assert "display_data" in types_said(pool, is_attended=True)
        assert "display_data" not in types_said(pool, is_attended=False)


def test_a_session_that_is_still_being_made_is_given_back_at_a_signal(tmp_path: Path) -> None:
    with slow_pool(tmp_path) as pool, Notebook.start(environ=environ_of(pool)) as notebook:
        notebook.client.execute("1")
        wait_until(lambda: len(pool.sessions()) == 1)
        os.kill(notebook.pid, signal.SIGTERM)
        wait_until(lambda: not pool.sessions(), timeout_seconds=SOON_SECONDS)
        wait_until(lambda: not notebook.manager.is_alive())


def test_a_notebook_s_kernel_that_is_terminated_leaves_its_session_to_the_next(
    start_notebook: Start, pool: Pool, tmp_path: Path
) -> None:
    name = {"REMOTE_KERNEL_NOTEBOOK": str(tmp_path / "n.ipynb")}
    first = start_notebook(**name)
    first.run("a = 42")
    os.kill(first.pid, signal.SIGTERM)
    wait_until(lambda: not first.manager.is_alive())
    assert start_notebook(**name).run("a").result == "42"


def test_a_kernel_under_nohup_lives_on(start_notebook: Start) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        notebook = start_notebook(is_program=True)
    finally:
        signal.signal(signal.SIGHUP, before)
    notebook.run("a = 42")
    os.kill(notebook.pid, signal.SIGHUP)
    assert notebook.run("a").result == "42"


def test_private_kernels_that_are_killed_one_after_another_never_fill_the_pool() -> None:
    with Pool.start("--max-sessions", "1") as pool:
        for number in range(3):
            with Notebook.start(environ=environ_of(pool)) as notebook:
                started = time.monotonic()
                assert notebook.run(str(number)).result == str(number)
                assert time.monotonic() - started < SOON_SECONDS
                notebook.client.stop_channels()
                notebook.manager.shutdown_kernel(now=True)  # SIGKILL, as by 'pytest --nbval'


def gone_kernels(pool: Pool) -> list[KnownSession]:
    """Return the kernels that are gone and whose sessions in a pool nobody has begun to give back."""
    endpoint = environ_of(pool)["REMOTE_KERNEL_ENDPOINT"]
    known = known_sessions(Folders.of_user().runtime)
    return [session for session in known if session.endpoint == endpoint and not session.is_alive]


def test_what_a_kernel_was_giving_back_when_it_was_killed_is_given_back_by_the_next() -> None:
    """As under a tool that kills its kernels, each of which gives back what the one before has left."""
    with Pool.start() as pool:
        with Notebook.start(environ=environ_of(pool)) as first:
            first.run("1")
            first.client.stop_channels()
            first.manager.shutdown_kernel(now=True)
        (left,) = pool.sessions()
        os.kill(left["pid"], signal.SIGSTOP)  # so that giving back takes its time
        try:
            with Notebook.start(environ=environ_of(pool)) as second:
                second.run("1")
                wait_until(lambda: not gone_kernels(pool))  # the second has found it
                second.client.stop_channels()
                second.manager.shutdown_kernel(now=True)
        finally:
            os.kill(left["pid"], signal.SIGCONT)
        with Notebook.start(environ=environ_of(pool)) as third:
            third.run("1")
            wait_until(lambda: len(pool.sessions()) == 1, timeout_seconds=SOON_SECONDS)


def test_what_killed_kernels_left_is_given_back_when_the_pool_is_full_and_the_line_says_so(tmp_path: Path) -> None:
    with Pool.start("--max-sessions", "3") as pool:
        mine = {**environ_of(pool), "REMOTE_KERNEL_NOTEBOOK": str(tmp_path / "my report.ipynb")}
        stays = Notebook.start(environ=mine)
        left = [Notebook.start(environ={**environ_of(pool), **more}) for more in ({}, fresh(tmp_path / "x"))]
        started = []
        try:
            for notebook in (stays, *left):
                notebook.run("import atexit, time; atexit.register(time.sleep, 2.5); a = 42")
            for notebook in left:
                notebook.client.stop_channels()
                notebook.manager.shutdown_kernel(now=True)
            started = [Notebook.start(environ=environ_of(pool))]
            shown: list[str] = []
            began = time.monotonic()
            cell = started[0].run("6 * 7", on_message=lambda message: shown.append(str(message["content"])))
            assert cell.result == "42"
            assert time.monotonic() - began < SOON_SECONDS
            assert any("Gave back 2 sessions that ended programs had left" in text for text in shown)
            assert any("my report.ipynb, idle for" in text and "remote-kernel sessions" in text for text in shown)
            assert stays.run("a").result == "42"
        finally:
            for notebook in (stays, *left, *started):
                notebook.close()


def test_a_private_kernel_that_was_killed_and_restarted_starts_afresh_and_leaves_nothing(
    start_notebook: Start, pool: Pool
) -> None:
    before = len(pool.sessions())
    notebook = start_notebook()
    notebook.run("a = 1; open('trace', 'w').close()")
    notebook.manager.restart_kernel(now=True)
    notebook.wait_answers()
    # Without a cell.
    wait_until(lambda: len(pool.sessions()) == before, timeout_seconds=SOON_SECONDS)
    cell = notebook.run("('a' in globals(), __import__('os').path.exists('trace'))")
    assert (cell.reply["status"], cell.result, cell.displayed) == ("ok", "(False, False)", "")
    assert len(pool.sessions()) == before + 1


def test_a_private_kernel_that_is_restarted_keeps_its_files(start_notebook: Start) -> None:
    notebook = start_notebook()
    notebook.run("a = 1; open('trace', 'w').close()")
    notebook.manager.restart_kernel()
    notebook.wait_answers()
    assert notebook.run("('a' in globals(), __import__('os').path.exists('trace'))").result == "(False, True)"


def test_a_front_end_that_is_killed_leaves_no_private_session(pool: Pool, tmp_path: Path) -> None:
    before = len(pool.sessions())
    path = tmp_path / "n.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell("import time; time.sleep(600)")]), path)
    code = f"import nbclient, nbformat; nbclient.execute(nbformat.read({str(path)!r}, 4), kernel_name='remote')"
    environ = {**os.environ, **environ_of(pool)}
    process = os.posix_spawn(os.sys.executable, [os.sys.executable, "-c", code], environ)  # type: ignore[attr-defined]
    try:
        wait_until(lambda: len(pool.sessions()) == before + 1)
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
    wait_until(lambda: len(pool.sessions()) == before, timeout_seconds=SOON_SECONDS)


def test_notebooks_that_nbclient_ends_at_once_go_through_a_small_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    with Pool.start("--max-sessions", "1") as pool:
        for name, value in environ_of(pool).items():
            monkeypatch.setenv(name, value)
        began = time.monotonic()
        for number in range(2):
            notebook = new_notebook(cells=[new_code_cell(f"print({number})")])
            client = NotebookClient(
                notebook, kernel_name="remote", shutdown_kernel="immediate", kernel_manager_class=AsyncKernelManager
            )
            asyncio.run(client.async_execute())
            assert notebook.cells[0].outputs[0].text == f"{number}\n"
        assert time.monotonic() - began < 2 * SOON_SECONDS
