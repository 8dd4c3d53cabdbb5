"""`remote-kernel sessions` knows every notebook's session, and never says an identifier."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from remote_kernel.core.identity import is_identifier
from remote_kernel.core.text.human_times import format_moment
from tests.cli.command import run_command
from tests.cli.test_saves import add, store_of
from tests.core.saves.examples import PACKED
from tests.driver import Notebook, Pool, run_in_pod, wait_until


@pytest.fixture
def local_pool(private_folders: Path) -> Iterator[Pool]:
    """The pool that this user's kernels find by themselves."""
    with Pool.start("--ready", "0") as pool:
        yield pool


def listed() -> list[dict[str, Any]]:
    done = run_command("sessions", "--json")
    assert (done.status, done.stderr) == (0, "")
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def test_session_is_shown_with_its_notebook_and_stopped_by_its_name(local_pool: Pool, tmp_path: Path) -> None:
    path = tmp_path / "my report.ipynb"
    path.touch()
    with Notebook.start(environ={"REMOTE_KERNEL_NOTEBOOK": str(path)}) as notebook:
        notebook.run("1")
        (row,) = listed()
        (session,) = local_pool.sessions()
        assert (row["kernel"], row["state"], row["pool"], row["notebook"]) == ("alive", "warm", "local", str(path))
        assert row["label"] == session["label"]
        assert 0 <= row["idle_seconds"] < 60
        assert 200 < row["expires_in_seconds"] <= 300
        shown = run_command("sessions").stdout
        identifier = run_command("identifier", path).stdout.strip()
        assert is_identifier(identifier)
        assert identifier not in shown + json.dumps(row)
        header, line = shown.splitlines()
        assert header.split("  ")[0] == "SESSION"
        assert line.startswith(f"{row['label']}  alive   warm ")
        assert (row["saved_at"], header.split()[6]) == (None, "SAVED")
        save = add(store_of(str(path)), PACKED, notebook=str(path))
        assert [row["saved_at"] for row in listed()] == ["2027-01-15T08:00:00+00:00"]
        assert f"  {format_moment(save.saved_at, time.time())}  local" in run_command("sessions").stdout
        pid = notebook.pid
        os.kill(pid, signal.SIGKILL)
        # The system takes the file from a process a little after the process's end.
        wait_until(lambda: [(row["kernel"], row["state"]) for row in listed()] == [("gone", "warm")])
        done = run_command("sessions", "stop", path)
        assert (done.status, done.stdout) == (0, f"Stopped the session {row['label']} of {path}.\n")
        assert local_pool.sessions() == []
        assert listed() == []


def test_session_of_several_kernels_is_shown_once_and_what_is_left_of_all_goes_with_it(
    local_pool: Pool, tmp_path: Path
) -> None:
    path = tmp_path / "report.ipynb"
    path.touch()
    notebooks = [Notebook.start(environ={"REMOTE_KERNEL_NOTEBOOK": str(path)}) for _ in range(2)]
    try:
        for notebook in notebooks:
            notebook.run("1")
        assert [row["kernel"] for row in listed()] == ["alive"]
        os.kill(notebooks[1].pid, signal.SIGKILL)
        assert [row["kernel"] for row in listed()] == ["alive"]
        os.kill(notebooks[0].pid, signal.SIGKILL)
        wait_until(lambda: [row["kernel"] for row in listed()] == ["gone"])
        assert run_command("sessions", "stop", path).status == 0
        assert listed() == []
    finally:
        for notebook in notebooks:
            notebook.close()


def test_stopped_session_of_a_living_kernel_is_told_as_lost(local_pool: Pool) -> None:
    with Notebook.start() as notebook:
        notebook.run("x = 1")
        (row,) = listed()
        assert (row["kernel"], row["notebook"]) == ("alive", "")
        done = run_command("sessions", "stop", row["label"])
        told = f"Stopped the session {row['label']}. 1 kernel that used it will say so in the next cell.\n"
        assert (done.status, done.stdout) == (0, told)
        assert notebook.run("x").reply["ename"] == "SessionLost"
        assert notebook.run("6 * 7").result == "42"
        assert [row["state"] for row in listed()] == ["warm"]
    assert listed() == [], "a kernel that is shut down leaves nothing"


def test_sessions_of_nobody_are_shown_and_stopped_with_all(local_pool: Pool) -> None:
    with local_pool.client() as client:
        run_in_pod(client, "1", identifier="typed-by-hand")
    (row,) = listed()
    assert (row["notebook"], row["kernel"], row["state"]) == ("", "", "warm")
    assert "typed-by-hand" not in run_command("sessions").stdout
    done = run_command("sessions", "stop", "--all", "--json")
    assert done.status == 0
    assert json.loads(done.stdout) == [{"label": row["label"], "notebook": "", "stopped": True, "reason": ""}]
    assert local_pool.sessions() == []
    assert run_command("sessions", "stop", "--all").stdout == "There is no session to stop.\n"


def test_sessions_of_built_in_interpreters_are_stopped_too(private_folders: Path) -> None:
    with Pool.start("--flavor", "interpreter") as pool, pool.client() as client:
        body = {"codeInputType": "Inline", "executionType": "Synchronous", "code": "1"}
        params = {"identifier": "an-interpreter", "api-version": "2025-10-02-preview"}
        client.post("/executions", params=params, json=body).raise_for_status()
        assert run_command("sessions", "stop", "--all").status == 0
        assert pool.sessions() == []


def test_pool_of_custom_containers_is_asked_without_allocating_for_the_question(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REMOTE_KERNEL_TOKEN", pool.token)
    with Notebook.start(environ=pool.environ()) as notebook:
        notebook.run("1")
        (before,) = pool.sessions()
        (row,) = listed()
        assert (row["pool"], row["state"], row["kernel"]) == (pool.endpoint, "warm", "alive")
        (after,) = pool.sessions()
        assert (after["label"], after["calls"]) == (before["label"], before["calls"])
        assert run_command("sessions", "stop", row["label"]).status == 0
        assert pool.sessions() == []


def test_without_sessions_says_so_and_starts_no_pool(private_folders: Path) -> None:
    done = run_command("sessions")
    assert (done.status, done.stdout) == (
        0, "No notebook of yours has a session. The first cell of a notebook takes one.\n"
    )  # fmt: skip
    assert not (private_folders / "runtime").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["stop"], "name sessions by label or notebook, or give --all"),
        (["stop", "x", "--all"], "name sessions by label or notebook, or give --all"),
        (["stop", "nosuch"], "there is no session 'nosuch': see 'remote-kernel sessions'"),
        (["stop", "~nobody-here/n.ipynb"], "there is no user for '~' in '~nobody-here/n.ipynb'"),
        (["nosuch"], "invalid choice: 'nosuch'"),
    ],
)
def test_what_cannot_be_stopped_is_one_sentence(arguments: list[str], sentence: str) -> None:
    done = run_command("sessions", *arguments)
    assert done.status == 2
    assert sentence in done.stderr.splitlines()[-1]
