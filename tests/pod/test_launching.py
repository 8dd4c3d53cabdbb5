"""Launch options in one pod."""

from pathlib import Path

import pytest

from remote_kernel.core.wire.launch import Launch
from remote_kernel.pod.files.data_folder import DataFolder
from remote_kernel.pod.interpreters.launching import Launching, describe_failure


def launching(folder: Path, launch: Launch) -> Launching:
    return Launching.of(launch, DataFolder(folder))


@pytest.mark.parametrize(
    ("launch", "by_ipython", "by_others"),
    [
        (Launch(), True, True),
        (Launch(notebook="a.ipynb"), True, True),
        (Launch(startup="x = 1"), True, True),
        (Launch(environ={"MINE": "1"}), True, False),
        (Launch(cwd="a"), True, False),
        (Launch(workspace="."), True, False),
        (Launch(environ={"PYTHONHASHSEED": "0"}), False, False),
        (Launch(environ={"OMP_NUM_THREADS": "1"}), False, False),
        (Launch(environ={"LD_PRELOAD": "x"}), False, False),
    ],
    ids=str,
)
def test_what_an_interpreter_that_is_ready_can_be_told(
    tmp_path: Path, launch: Launch, by_ipython: bool, by_others: bool
) -> None:
    asked = launching(tmp_path, launch)
    assert asked.can_be_told(is_ipython=True) == by_ipython
    assert asked.can_be_told(is_ipython=False) == by_others


def test_paths_of_python_come_together(tmp_path: Path) -> None:
    """A module of the workspace must not be in the way of those that an IPython kernel needs as it starts."""
    asked = launching(tmp_path, Launch(workspace=".", environ={"PYTHONPATH": "mine", "A": "1"}))
    base = {"PYTHONPATH": "packages", "B": "2"}
    environ = {"A": "1", "B": "2"}
    assert asked.process_environ(base, is_ipython=True) == {**environ, "PYTHONPATH": "mine:packages"}
    expected = {**environ, "PYTHONPATH": f"mine:packages:{tmp_path.resolve()}"}
    assert asked.process_environ(base, is_ipython=False) == expected


def test_values_are_not_shown(tmp_path: Path) -> None:
    assert "s3cret" not in repr(launching(tmp_path, Launch(environ={"A": "s3cret"}, startup="s3cret")))


def test_another_kernel_runs_the_startup_file_as_it_is(tmp_path: Path) -> None:
    assert launching(tmp_path, Launch(startup="x <- 1", notebook="a")).program(is_ipython=False) == "x <- 1"
    assert launching(tmp_path, Launch(notebook="a.ipynb")).program(is_ipython=False) == ""
    assert launching(tmp_path, Launch()).program(is_ipython=True) == ""


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ({"status": "ok"}, ""),
        ({"status": "ok", "payload": [{"source": "page"}, 1]}, ""),
        ({"status": "ok", "payload": [{"source": "remote_kernel_startup", "error": "E", "line": 2}]}, "E, line 2"),
        ({"status": "error", "ename": "E"}, "E"),
        ({"status": "error"}, "an error"),
        ({"status": "ok", "payload": 1}, ""),
    ],
)
def test_failure_is_told_by_its_name_and_line(reply: dict[str, object], said: str) -> None:
    assert describe_failure(reply) == said
