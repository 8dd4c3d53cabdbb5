"""Interpreters that are as the notebook's kernel asks for."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from remote_kernel.kernel.output.session_notices import STARTED_OTHERWISE
from tests.driver import Notebook, Pool

NAME = "import os; print(os.environ['JPY_SESSION_NAME'] == __session__ == os.path.join(os.getcwd(), 'report.ipynb'))"


@contextmanager
def opened(pool: Pool, folder: Path, **environ: str) -> Iterator[Notebook]:
    access = pool.environ()
    with Notebook.start(
        environ={**access, "REMOTE_KERNEL_NOTEBOOK": str(folder / "report.ipynb"), **environ}
    ) as notebook:
        yield notebook


def restart(notebook: Notebook) -> None:
    notebook.manager.restart_kernel()
    notebook.wait_answers()


def test_session_is_called_after_the_notebook_also_after_a_restart(pool: Pool, tmp_path: Path) -> None:
    with opened(pool, tmp_path) as notebook:
        assert notebook.run(NAME).stdout == "True\n"
        restart(notebook)
        assert notebook.run(NAME).stdout == "True\n"


def test_project_forwards_variables_and_has_a_startup_file(pool: Pool, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.remote-kernel]\nenv = ["MINE", "OTHER_*"]\nstartup = "start.py"\n')
    (tmp_path / "start.py").write_text("import os\nfrom_startup = os.environ['MINE']\nprint('unseen')\n")
    show = "print(from_startup, os.environ['OTHER_ONE'], 'OTHER_TOKEN' in os.environ)"
    with opened(pool, tmp_path, MINE="caf\udce9", OTHER_ONE="1", OTHER_TOKEN="s3cret") as notebook:
        first = notebook.run("print(ascii(from_startup), os.environ['OTHER_ONE'], 'OTHER_TOKEN' in os.environ)")
        assert first.stdout == "'caf\\udce9' 1 False\n"
        assert [each["text"] for each in first.of_type("stream")] == [first.stdout]
        (tmp_path / "start.py").write_text("import os\nfrom_startup = 'changed'\n")
        restart(notebook)
        assert notebook.run(show).stdout == "changed 1 False\n"


def test_failure_of_a_startup_file_is_told_in_the_first_cell(pool: Pool, tmp_path: Path) -> None:
    path = tmp_path / "start.py"
    path.write_text("x = 1\ny = missing\n")
    with opened(pool, tmp_path, REMOTE_KERNEL_STARTUP=str(path)) as notebook:
        first = notebook.run("print(x)")
        assert [each["text"] for each in first.of_type("stream")] == [
            "[The startup file has failed: NameError, line 2. What is behind that line was not run.]\n",
            "1\n",
        ]
        assert [each["text"] for each in notebook.run("print(x)").of_type("stream")] == ["1\n"]


def test_startup_file_that_is_not_there_is_told_in_a_sentence(pool: Pool, tmp_path: Path) -> None:
    with opened(pool, tmp_path, REMOTE_KERNEL_STARTUP=str(tmp_path / "missing.py")) as notebook:
        reply = notebook.run("1").reply
    assert (reply["ename"], reply["status"]) == ("SettingsError", "error")
    assert reply["evalue"].startswith("REMOTE_KERNEL_STARTUP is ")


def test_changed_variable_is_told_while_another_kernel_keeps_the_interpreter(pool: Pool, tmp_path: Path) -> None:
    with opened(pool, tmp_path, REMOTE_KERNEL_FORWARD_ENV="MINE", MINE="1") as first:
        first.run("import os")
        with opened(pool, tmp_path, REMOTE_KERNEL_FORWARD_ENV="MINE", MINE="2") as second:
            told = second.run("print(os.environ['MINE'])")
            assert told.stdout == "1\n"
            assert STARTED_OTHERWISE in told.displayed
            assert STARTED_OTHERWISE not in second.run("1").displayed


def test_pod_without_an_agent_goes_without_and_says_so_once(tmp_path: Path) -> None:
    with (
        Pool.start("--flavor", "interpreter", "--sandbox", "strict") as pool,
        opened(pool, tmp_path, REMOTE_KERNEL_FORWARD_ENV="MINE", MINE="1") as notebook,
    ):
        first = notebook.run("import os; print('MINE' in os.environ)")
        assert first.stdout == "False\n"
        assert "This session goes without forwarded variables" in first.displayed
        assert notebook.run("1").displayed == ""
