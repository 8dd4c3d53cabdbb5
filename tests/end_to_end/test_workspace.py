"""A workspace: the notebook's folder is the same here and in the session."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.driver import Notebook, wait_until

Start = Callable[..., Notebook]

ON = {"REMOTE_KERNEL_WORKSPACE": "."}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The notebook's folder, which its kernel runs in."""
    folder = tmp_path / "a notebook's folder"
    folder.mkdir()
    (folder / "data.csv").write_text("a,b\n1,2\n")
    (folder / "helpers.py").write_text("ANSWER = 41\n")
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


@pytest.fixture
def notebook(folder: Path, start_notebook: Start) -> Notebook:
    return start_notebook(**ON, REMOTE_KERNEL_NOTEBOOK=str(folder / "n.ipynb"))


def touch_later(path: Path, text: str) -> None:
    """Write a file as an editor does, at a time that differs from that of the last version."""
    path.write_text(text)
    later = time.time() + 5
    os.utime(path, (later, later))


def test_what_is_beside_the_notebook_is_there_from_the_first_cell_on(notebook: Notebook, folder: Path) -> None:
    assert notebook.run("open('data.csv').read()").result == repr("a,b\n1,2\n")
    assert notebook.run("import helpers; helpers.ANSWER").result == "41"
    touch_later(folder / "helpers.py", "ANSWER = 42\n")
    assert notebook.run("import importlib; importlib.reload(helpers).ANSWER").result == "42"
    (folder / "data.csv").unlink()
    assert notebook.run("import os; os.path.exists('data.csv')").result == "False"


def test_what_a_cell_writes_comes_back(notebook: Notebook, folder: Path) -> None:
    notebook.run("import os; os.makedirs('out', exist_ok=True); n = open('out/result.csv', 'w').write('made there')")
    wait_until(lambda: (folder / "out" / "result.csv").exists())
    assert (folder / "out" / "result.csv").read_text() == "made there"
    notebook.run("os.remove('out/result.csv'); os.remove('data.csv')")
    notebook.run("pass")
    assert (folder / "out" / "result.csv").exists()  # a file that is removed there stays here
    assert notebook.run("os.path.exists('data.csv')").result == "False"  # and is not sent again


@pytest.mark.usefixtures("start_notebook")
def test_a_tool_that_executes_by_itself_has_the_files_when_it_has_ended(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REMOTE_KERNEL_WORKSPACE", ".")
    cells = [
        "import helpers; table = open('data.csv').read()",
        "import os; os.makedirs('out'); size = open('out/result.csv', 'w').write(table * 100_000)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in cells])
    NotebookClient(notebook, kernel_name="remote", resources={"metadata": {"path": str(folder)}}).execute()
    assert (folder / "out" / "result.csv").read_text() == "a,b\n1,2\n" * 100_000
    assert [output for cell in notebook.cells for output in cell.outputs] == []


def test_a_folder_that_is_too_large_sends_nothing_and_says_why(folder: Path, start_notebook: Start) -> None:
    (folder / "more").mkdir()
    for number in range(30):
        (folder / "more" / f"{number}.txt").touch()
    notebook = start_notebook(**ON, REMOTE_KERNEL_WORKSPACE_MAX_FILES="20")
    cell = notebook.run("print('never')")
    assert cell.reply["ename"] == "TransferError"
    assert "it has more than 20 files" in cell.reply["evalue"]
    assert notebook.run("%session sync off").reply["status"] == "ok"
    assert notebook.run("import os; os.listdir()").result == "[]"


def test_sync_by_hand_is_remembered_for_the_notebook(folder: Path, start_notebook: Start) -> None:
    path = {"REMOTE_KERNEL_NOTEBOOK": str(folder / "n.ipynb")}
    notebook = start_notebook(**path)
    assert "There is no workspace" in notebook.run("%session sync").displayed
    assert "2 files" in notebook.run("%session sync on").displayed
    assert notebook.run("open('data.csv').read()").result == repr("a,b\n1,2\n")
    touch_later(folder / "data.csv", "new")
    assert f"Workspace   {folder}, the same here and there" in notebook.run("%session").displayed
    assert "is sent before the next cell" in notebook.run("%session sync status").displayed
    assert notebook.run("open('data.csv').read()").result == "'new'"
    notebook.close()
    again = start_notebook(**path)
    assert again.run("open('data.csv').read()").result == "'new'"
    assert "off" in again.run("%session sync off").displayed
    again.close()
    assert start_notebook(**path).run("import os; os.listdir()").result == "[]"


def test_a_new_pod_has_the_files_again(notebook: Notebook) -> None:
    notebook.run("open('data.csv').read()")
    assert notebook.run("%session release").reply["status"] == "ok"
    assert notebook.run("open('data.csv').read()").result == repr("a,b\n1,2\n")


def test_a_cell_that_misses_a_file_is_told_that_it_is_here(folder: Path, start_notebook: Start) -> None:
    notebook = start_notebook()
    cell = notebook.run("open('data.csv')")
    assert cell.reply["ename"] == "FileNotFoundError"
    assert "'data.csv' is here, beside the notebook, and not in the session." in cell.displayed
    assert "'helpers.py' is here" in notebook.run("import helpers").displayed
    assert notebook.run("open('never.csv')").displayed == ""
    assert notebook.run("open('data.csv')", allow_stdin=False).displayed == ""


@pytest.mark.parametrize("start", ["lazy", "eager"])
def test_a_workspace_above_the_notebook_is_there_around_it(folder: Path, start: str, start_notebook: Start) -> None:
    (folder / "deep" / "er").mkdir(parents=True)
    path = str(folder / "deep" / "er" / "n.ipynb")
    notebook = start_notebook(REMOTE_KERNEL_WORKSPACE="../..", REMOTE_KERNEL_NOTEBOOK=path, REMOTE_KERNEL_START=start)
    assert notebook.run("open('../../data.csv').read()").result == repr("a,b\n1,2\n")
    assert notebook.run("import os; os.path.relpath(__session__)").result == "'n.ipynb'"
    assert notebook.run("import helpers; helpers.ANSWER").result == "41"  # it is looked in for modules


def test_a_project_says_which_folder_is_its_workspace(folder: Path, start_notebook: Start) -> None:
    (folder / "pyproject.toml").write_text('[tool.remote-kernel]\nworkspace = "."\nworkspace-down = false\n')
    (folder / "deep").mkdir()
    notebook = start_notebook(REMOTE_KERNEL_NOTEBOOK=str(folder / "deep" / "n.ipynb"))
    assert notebook.run("open('../data.csv').read()").result == repr("a,b\n1,2\n")
    notebook.run("n = open('made.txt', 'w').write('there')")
    assert "stays in the session" in notebook.run("%session sync status").displayed
    assert not (folder / "deep" / "made.txt").exists()


def test_a_cell_changes_nothing_that_pip_here_follows(folder: Path, start_notebook: Start) -> None:
    (folder / "pyproject.toml").write_text('[tool.remote-kernel]\nworkspace = "."\npackages = "deps/all.txt"\n')
    (folder / "deps").mkdir()
    (folder / "deps/all.txt").write_text("-r more.txt\n-c limits.txt\n")
    (folder / "deps/more.txt").touch()
    (folder / "deps/limits.txt").touch()
    notebook = start_notebook(REMOTE_KERNEL_NOTEBOOK=str(folder / "n.ipynb"))
    notebook.run(
        "for name in ('deps/all.txt', 'deps/limits.txt', 'z.txt'): n = open(name, 'w').write('corp-secret-lib')"
    )
    wait_until(lambda: (folder / "z.txt").exists())
    assert (folder / "deps/all.txt").read_text() == "-r more.txt\n-c limits.txt\n"
    assert (folder / "deps/limits.txt").read_text() == ""
