"""A project's notebook runs here as with a local kernel: its files, its modules and its packages come along."""

import os
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.driver import Notebook, Pool
from tests.wheels import make_wheel, use_index

pytestmark = pytest.mark.slow

Start = Callable[..., Notebook]

PYPROJECT = """
[tool.remote-kernel]
workspace = "."
packages = "requirements.txt"
"""
CELLS = [
    "table = open('data.csv').read()",
    "import helpers\nassert helpers.double(21) == 42",
    "import os\nos.makedirs('out', exist_ok=True)\nn = open('out/result.csv', 'w').write(table * helpers.double(1))",
    "import rk_far\nassert rk_far.version == '1.0'",
]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a project with a package that only an index on this machine has."""
    use_index(tmp_path / "index", monkeypatch)
    make_wheel(tmp_path / "index", "rk-far")
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "requirements.txt").write_text("rk-far\n")
    (folder / "data.csv").write_text("a,b\n")
    (folder / "helpers.py").write_text("def double(number):\n    return 2 * number\n")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in CELLS])
    nbformat.write(notebook, folder / "analysis.ipynb")
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("flavor", ["custom", "interpreter"])
def test_it_runs_with_no_setting_but_its_pyproject(project: Path, flavor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Pool.start("--flavor", flavor, "--ready", "0") as pool:
        monkeypatch.setenv("REMOTE_KERNEL_ENDPOINT", pool.endpoint)
        monkeypatch.setenv("REMOTE_KERNEL_TOKEN", pool.token)
        notebook = nbformat.read(project / "analysis.ipynb", as_version=4)
        NotebookClient(notebook, kernel_name="remote", resources={"metadata": {"path": str(project)}}).execute()
    assert (project / "out" / "result.csv").read_text() == "a,b\n" * 2


def test_packages_of_a_project_are_in_each_new_pod(project: Path, start_notebook: Start) -> None:
    notebook = start_notebook(REMOTE_KERNEL_NOTEBOOK=str(project / "analysis.ipynb"))
    assert "rk-far 1.0" in notebook.run("import rk_far").displayed
    assert notebook.run("rk_far.version").displayed == ""
    assert notebook.run("%session release").reply["status"] == "ok"
    assert notebook.run("import rk_far; rk_far.version").result == "'1.0'"


def test_package_that_cannot_be_had_ends_the_cell_until_it_is_mended(project: Path, start_notebook: Start) -> None:
    (project / "requirements.txt").write_text("rk-nowhere\n")
    notebook = start_notebook(REMOTE_KERNEL_NOTEBOOK=str(project / "analysis.ipynb"))
    cell = notebook.run("print('never')")
    assert "There is no wheel of 'rk-nowhere'" in cell.reply["evalue"]
    assert cell.stdout == ""
    os.replace(project / "requirements.txt", project / "old.txt")
    (project / "requirements.txt").write_text("rk-far\n")
    assert notebook.run("import rk_far; rk_far.version").result == "'1.0'"
