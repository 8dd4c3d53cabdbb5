"""Pods as copies of a fork server: nothing in them tells, and what happens to the server costs no session."""

import ast
import os
import secrets
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from remote_kernel.pool.processes.mounts import mounting_of, with_data_mounted
from tests.driver import Notebook, Pool, run_in_pod, stdout_of, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="where there are descriptors of processes")

# What a notebook can find out about the process that it runs in, but for names and numbers that are each process's own.
LOOK = """
import faulthandler, gc, locale, multiprocessing, os, resource, signal, subprocess, sys, tempfile, threading, warnings

def child():
    return subprocess.run([sys.executable, "-c", "import sys; print(sys.flags, sys.stdin.read())"],
                          capture_output=True, text=True).stdout

shown = lambda arguments: [each for each in arguments if not each.endswith((".json", ".sqlite"))]
here = os.environ.get("TMPDIR", "").rpartition("/")[0]
plain = lambda text: str(text).replace(here, "HERE").replace(str(os.getpid()), "PID")
{
    "argv": shown(sys.argv), "orig_argv": shown(sys.orig_argv),
    "path": [plain(each) for each in sys.path], "flags": str(sys.flags), "warn": sys.warnoptions, "x": sys._xoptions,
    "foreign": sorted(name for name in sys.modules if name.partition(".")[0] in
                       {"remote_kernel", "starlette", "uvicorn", "anyio", "httptools", "h11", "click"}),
    "main": sys.modules["__main__"].__name__, "executable": sys.executable,
    # The last three are those of a shell, which mounts for programs.
    "environ": {name: plain(value) for name, value in os.environ.items()
                if name not in {"REMOTE_KERNEL_POD", "JPY_PARENT_PID", "PWD", "OLDPWD", "_"}},
    "cwd": plain(os.getcwd()), "umask": [os.umask(0o22), os.umask(0o22)][1], "nice": os.nice(0),
    "files": resource.getrlimit(resource.RLIMIT_NOFILE), "core": resource.getrlimit(resource.RLIMIT_CORE),
    "leads": [os.getpgid(0) == os.getpid(), os.getsid(0) == os.getpid()], "threads": threading.active_count(),
    "signals": [plain(signal.getsignal(each)).partition(" at ")[0] for each in (1, 2, 13, 15, 17)],
    "mask": signal.pthread_sigmask(signal.SIG_BLOCK, []), "temporary": plain(tempfile.gettempdir()),
    "locale": locale.getlocale(),
    "encoding": [sys.stdout.encoding, sys.__stdin__.encoding, sys.getfilesystemencoding()],
    "child": child(), "start": multiprocessing.get_start_method(), "fault": faulthandler.is_enabled(),
    "gc": [gc.isenabled(), gc.get_threshold()], "session": os.environ.get("JPY_SESSION_NAME"),
    "parent": int(os.environ["JPY_PARENT_PID"]) == os.getsid(os.getppid()),
}
"""


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool.start("--max-sessions", "10") as pool:
        yield pool


@contextmanager
def notebook_on(pool: Pool) -> Iterator[Notebook]:
    environ = {"REMOTE_KERNEL_ENDPOINT": pool.endpoint, "REMOTE_KERNEL_TOKEN": pool.token}
    notebook = Notebook.start(environ=environ | {"REMOTE_KERNEL_IDENTIFIER": f"forks-{secrets.token_hex(4)}"})
    try:
        yield notebook
    finally:
        notebook.close()


def restart(notebook: Notebook) -> None:
    notebook.manager.restart_kernel()
    notebook.wait_answers()


def look(notebook: Notebook) -> dict[str, Any]:
    cell = notebook.run(LOOK)
    assert cell.reply["status"] == "ok", cell.reply["evalue"]
    return dict(ast.literal_eval(cell.result))


def is_copy(notebook: Notebook) -> bool:
    """Return whether the interpreter is a copy, as its command line still tells."""
    process = psutil.Process(int(notebook.run("import os; os.getpid()").result or 0))
    return "remote_kernel.pod.fork_server" in process.cmdline()


@pytest.mark.slow
@pytest.mark.parametrize("mount", ["--no-mount-data", "--mount-data"])
def test_a_notebook_finds_the_same_in_a_copy_as_in_a_program(mount: str) -> None:
    if mount == "--mount-data" and os.geteuid() != 0:
        pytest.skip("copies mount for root")
    with Pool.start(mount) as pool, notebook_on(pool) as notebook:
        assert is_copy(notebook)
        found = look(notebook)
        restart(notebook)
        assert is_copy(notebook)
    with Pool.start(mount, "--no-fork") as pool, notebook_on(pool) as notebook:
        assert not is_copy(notebook)
        assert found == look(notebook)


def test_processes_of_a_notebook_s_own_work_in_a_copy(pool: Pool) -> None:
    code = """
import multiprocessing, concurrent.futures, math
found = []
for method in ("fork", "spawn", "forkserver"):
    with concurrent.futures.ProcessPoolExecutor(2, multiprocessing.get_context(method)) as workers:
        found.append(list(workers.map(math.factorial, range(4))))
found
"""
    with notebook_on(pool) as notebook:
        assert notebook.run(code).result == str([[1, 1, 2, 6]] * 3)


def server_of(pool: Pool) -> psutil.Process:
    (server,) = psutil.Process(pool.process.pid).children()
    assert "remote_kernel.pod.fork_server" in server.cmdline()
    return server


def test_a_server_that_was_killed_costs_no_session_and_is_followed_by_another() -> None:
    with Pool.start("--max-sessions", "3") as pool, notebook_on(pool) as notebook:
        notebook.run("x = 42")
        server = server_of(pool)
        server.kill()
        wait_until(lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE)
        with notebook_on(pool) as other:
            assert is_copy(other)
            assert notebook.run("x").result == "42"
            (pid,) = (each["pid"] for each in pool.sessions()[:1])
            psutil.Process(pid).kill()
            # Its kernel may have asked for it again by then, and so have another pod.
            wait_until(lambda: pid not in {each["pid"] for each in pool.sessions()})


@pytest.mark.slow
def test_pods_that_start_together_after_its_end_have_one_new_server() -> None:
    with Pool.start("--max-sessions", "5") as pool, notebook_on(pool) as notebook:
        notebook.run("x = 42")
        server = server_of(pool)
        server.kill()
        wait_until(lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE)
        with ThreadPoolExecutor() as threads, pool.client() as client:
            said = threads.map(lambda name: stdout_of(run_in_pod(client, "print(1)", identifier=name)), "abcd")
            assert list(said) == ["1\n"] * 4
        children = psutil.Process(pool.process.pid).children()
        assert len([each for each in children if each.status() != psutil.STATUS_ZOMBIE]) == 1


@pytest.mark.slow
def test_what_was_installed_meanwhile_is_what_the_next_interpreter_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Pool.start() as pool, notebook_on(pool) as notebook:
        assert is_copy(notebook)
        (tmp_path / "new-1.0.dist-info").mkdir()
        restart(notebook)
        assert not is_copy(notebook)
        with notebook_on(pool) as other:
            assert is_copy(other), "of a server that has loaded what is installed now"


def test_a_mounting_command_comes_apart_where_root_runs_it() -> None:
    command = with_data_mounted("/folder", ["agent", "--option"])
    mounting, agent = mounting_of(command)
    if os.geteuid() == 0:
        assert (mounting[:2], mounting[-2:], agent) == (("sh", "-c"), ("/folder", "true"), ("agent", "--option"))
    else:
        assert (mounting, agent) == ((), command)
    assert mounting_of(["agent"]) == ((), ["agent"])
