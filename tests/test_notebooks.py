"""The notebooks that come with the project: what they store, and that it is what they do.

All of them are executed and compared by `make notebooks`; the one that newcomers see first is so here as well.
"""

import json
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from remote_kernel.cli.run.notebook_folders import find_notebooks
from remote_kernel.kernel.launch.project_file import find_project
from tests.cli.command import run_command
from tests.driver import Pool

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = find_notebooks([FOLDER])

Cell = dict[str, Any]


def code_cells(path: Path) -> list[Cell]:
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


def may_raise(cell: Cell) -> bool:
    return "raises-exception" in cell["metadata"].get("tags", [])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stored_as_it_was_executed_from_top_to_bottom(path: Path) -> None:
    cells = code_cells(path)
    # What the local kernel answers is not counted by the one in the pod.
    counted = [cell for cell in cells if not "".join(cell["source"]).startswith("%session")]
    assert [cell["execution_count"] for cell in counted] == list(range(1, len(counted) + 1))
    assert any(cell["outputs"] for cell in cells)
    for cell in cells:
        raised = any(output["output_type"] == "error" for output in cell["outputs"])
        assert raised == may_raise(cell), cell["id"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_for_our_kernel_and_shows_no_folder_of_its_author(path: Path) -> None:
    assert json.loads(path.read_text())["metadata"]["kernelspec"]["name"] == "remote"
    texts = [
        json.dumps(value)
        for cell in code_cells(path)
        for output in cell["outputs"]
        for kind, value in {**output, **output.get("data", {})}.items()
        if kind in {"text", "traceback"} or kind.startswith("text/")
    ]
    assert not re.findall(r"(?<!\w)/(?:home|root|Users|opt)/\S*|\S*site-packages\S*", "\n".join(texts))


def brought_along(path: Path) -> set[str]:
    """Return what a notebook's project brings to the session: modules beside it, and packages by its settings."""
    project = find_project(path.parent)
    packages = {Requirement(each).name for each in project.packages} if project else set()
    return {module.stem for module in path.parent.glob("*.py")} | packages


def test_the_image_of_the_pods_has_what_the_notebooks_import() -> None:
    sources = "\n".join("".join(cell["source"]) for path in NOTEBOOKS for cell in code_cells(path))
    imported = set(re.findall(r"^(?:import|from) (\w+)", sources, re.MULTILINE)) - sys.stdlib_module_names
    imported -= {name for path in NOTEBOOKS for name in brought_along(path)}
    lists = "\n".join((FOLDER.parent / "deploy" / name).read_text() for name in ("packages.txt", "requirements.txt"))
    in_image = {name.lower() for name in re.findall(r"^([\w.-]+)==", lists, re.MULTILINE)}
    owners = packages_distributions()
    assert {name for name in imported if not in_image & {owner.lower() for owner in owners[name]}} == set()


def test_quickstart_does_what_its_stored_outputs_say_in_one_pod(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMOTE_KERNEL_ENDPOINT", pool.endpoint)
    monkeypatch.setenv("REMOTE_KERNEL_TOKEN", pool.token)
    done = run_command("run", "--verify", FOLDER / "quickstart.ipynb")
    assert (done.status, done.stderr) == (0, "")
    assert "Every cell ran in the same pod: " in json.dumps(code_cells(FOLDER / "quickstart.ipynb")[-1]["outputs"])


@pytest.mark.contract
def test_quickstart_does_the_same_on_a_pool_of_built_in_interpreters(monkeypatch: pytest.MonkeyPatch) -> None:
    with Pool.start("--flavor", "interpreter") as interpreters:
        monkeypatch.setenv("REMOTE_KERNEL_ENDPOINT", interpreters.endpoint)
        monkeypatch.setenv("REMOTE_KERNEL_TOKEN", interpreters.token)
        done = run_command("run", "--verify", FOLDER / "quickstart.ipynb")
    assert (done.status, done.stderr) == (0, "")
