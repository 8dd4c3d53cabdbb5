"""A kernel and the command on this system, whichever it is, against a front door that runs on it, too."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest

from tests.driver import Notebook, wait_until
from tests.places.front_door import TOKEN, Opened, opened

pytestmark = pytest.mark.slow

Start = Callable[..., Notebook]


@pytest.fixture(scope="module")
def door() -> Iterator[Opened]:
    with opened() as door:
        yield door


@pytest.fixture
def environ(door: Opened) -> dict[str, str]:
    return {"REMOTE_KERNEL_ENDPOINT": door.endpoint, "REMOTE_KERNEL_TOKEN": TOKEN, "PYTHONUTF8": "0"}


@pytest.fixture
def notebook(environ: dict[str, str]) -> Iterator[Notebook]:
    started = Notebook.start(environ=environ)
    yield started
    started.close()


def command(*arguments: str, environ: dict[str, str], cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "remote_kernel.cli", *arguments],
        env={**os.environ, **environ}, cwd=cwd, capture_output=True, text=True, encoding="utf-8", check=False,
    )  # fmt: skip


def test_cells_run_and_keep_their_variables(notebook: Notebook) -> None:
    notebook.run("name = 'Ada'")
    assert notebook.run("print(f'hello {name}, ünï côdé')").stdout == "hello Ada, ünï côdé\n"
    assert notebook.run("6 * 7").result == "42"
    assert notebook.run("1 / 0").reply["ename"] == "ZeroDivisionError"
    assert "session" in notebook.run("%session").displayed.lower()


def test_a_restart_takes_a_new_interpreter_and_a_shutdown_gives_it_back(notebook: Notebook, door: Opened) -> None:
    notebook.run("kept = 1")
    before = door.count_ended()
    notebook.manager.restart_kernel()
    notebook.wait_answers()
    assert notebook.run("'kept' in globals()").result == "False"
    notebook.client.stop_channels()
    notebook.manager.shutdown_kernel()
    wait_until(lambda: door.count_ended() > before)


def test_the_command_knows_the_notebook_s_session_and_log(environ: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "côdé.ipynb"
    nbformat.write(nbformat.v4.new_notebook(), path)
    with Notebook.start(environ={**environ, "REMOTE_KERNEL_NOTEBOOK": str(path)}) as notebook:
        notebook.run("1")
        listed = command("sessions", "--json", environ=environ, cwd=tmp_path)
        assert "côdé.ipynb" in [Path(row["notebook"]).name for row in json.loads(listed.stdout)]
        logged = command("logs", "--notebook", "côdé.ipynb", environ=environ, cwd=tmp_path)
        assert "bound" in logged.stdout
        assert "côdé.ipynb" in logged.stdout


def test_run_says_that_it_needs_an_agent(environ: dict[str, str], tmp_path: Path) -> None:
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")]), tmp_path / "a.ipynb")
    done = command("run", "a.ipynb", environ=environ, cwd=tmp_path)
    assert done.returncode == 1
    assert "The session has no agent" in done.stderr
    assert (tmp_path / "a.executed.ipynb").exists()


def test_doctor_and_install_find_this_system_usable(environ: dict[str, str], tmp_path: Path) -> None:
    installed = command("install", "--user", "--name", "remote-here", environ=environ, cwd=tmp_path)
    assert installed.returncode == 0, installed.stderr
    examined = command("doctor", "--json", environ=environ, cwd=tmp_path)
    failed = [finding for finding in json.loads(examined.stdout)["checks"] if finding["status"] == "failed"]
    assert failed == []
