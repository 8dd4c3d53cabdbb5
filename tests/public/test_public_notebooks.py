"""Notebooks that others have published, out of their source packages, by the tools that execute notebooks.

Each reads pictures, data or modules that lie beside it. With a workspace and nothing else, it has to give in a session
what it gives in a plain kernel beside its files: the same outputs, and the same files.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

from remote_kernel.cli.run.execution import code_cells
from remote_kernel.cli.verify.comparison import compare
from tests.driver import Pool

pytestmark = [pytest.mark.public, pytest.mark.timeout(600)]

# Source packages, unpacked; they are pinned, so that what was fetched once is good for ever.
FETCHED = Path(__file__).parents[2] / ".build" / "public"

# Given a notebook, a kernel and a folder for what it writes itself; returns the executed notebook, if it makes one.
Execute = Callable[[Path, str, Path], NotebookNode | None]


@dataclass(frozen=True, slots=True)
class Published:
    """A notebook in a source package.

    Attributes:
        reads: what it finds beside it.
        tools: by which it is executed.
        is_random: whether it draws random numbers, so that only the kinds of its outputs can be compared.
    """

    package: str
    path: str
    reads: str
    tools: tuple[str, ...]
    is_random: bool = False


_WIDGETS = "docs/source/examples"

NOTEBOOKS = (
    Published("nbclient==0.11.0", "tests/files/Inline Image.ipynb", "a picture", ("nbclient", "nbconvert")),
    Published("nbconvert==7.17.2", "tests/files/notebook4_jpeg.ipynb", "a picture", ("papermill", "nbval")),
    Published("nbconvert==7.17.2", "tests/files/Widget_List.ipynb", "a picture", ("nbconvert",)),
    Published("ipywidgets==7.8.5", f"{_WIDGETS}/Media widgets.ipynb", "a picture, a film, a sound", ("nbclient",)),
    Published("ipywidgets==7.8.5", f"{_WIDGETS}/Widget List.ipynb", "a picture", ("nbval",)),
    Published("ipywidgets==7.8.5", f"{_WIDGETS}/Widget Styling.ipynb", "two pictures", ("papermill",)),
    Published(
        "python-ternary==1.0.8", "examples/Ternary-Examples.ipynb", "data", ("nbconvert", "nbval"), is_random=True
    ),
    Published("control==0.10.2", "examples/cds112-L4b_pvtol-lqr.ipynb", "a module", ("nbclient", "papermill")),
    Published("control==0.10.2", "examples/cds112-L7_kalman-pvtol.ipynb", "a module", ("nbval",)),
    Published("control==0.10.2", "examples/cds112-L8_fusion-kincar.ipynb", "a module", ("nbconvert",), is_random=True),
)


def by_nbclient(notebook: Path, kernel: str, scratch: Path) -> NotebookNode:
    executed = _read(notebook)
    NotebookClient(executed, kernel_name=kernel, resources={"metadata": {"path": str(notebook.parent)}}).execute()
    return executed


def by_nbconvert(notebook: Path, kernel: str, scratch: Path) -> NotebookNode:
    options = [f"--ExecutePreprocessor.kernel_name={kernel}", f"--output-dir={scratch}", "--output=executed.ipynb"]
    _run("nbconvert", "--to", "notebook", "--execute", *options, notebook.name, folder=notebook.parent)
    return _read(scratch / "executed.ipynb")


def by_papermill(notebook: Path, kernel: str, scratch: Path) -> NotebookNode:
    target = scratch / "executed.ipynb"
    _run("papermill", "--kernel", kernel, "--no-progress-bar", notebook.name, target, folder=notebook.parent)
    return _read(target)


def by_nbval(notebook: Path, kernel: str, scratch: Path) -> None:
    options = ["--nbval-lax", f"--nbval-kernel-name={kernel}", "--quiet", "-p", "no:cacheprovider", "-W", "default"]
    _run("pytest", *options, f"--rootdir={notebook.parent}", notebook.name, folder=notebook.parent)


TOOLS: dict[str, Execute] = {
    "nbclient": by_nbclient, "nbconvert": by_nbconvert, "papermill": by_papermill, "nbval": by_nbval,
}  # fmt: skip


def _read(path: Path) -> NotebookNode:
    notebook: NotebookNode = nbformat.read(path, as_version=4)
    return notebook


def _run(module: str, *arguments: object, folder: Path) -> None:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout[-3000:]}{done.stderr[-3000:]}"


def fetch(package: str) -> Path:
    """Return the folder of a source package."""
    folder = FETCHED / package
    if not folder.exists():
        FETCHED.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=FETCHED) as name:
            options = ["--no-deps", "--no-binary", ":all:", "--quiet", "--dest", name]
            done = subprocess.run([sys.executable, "-m", "pip", "download", *options, package], capture_output=True)
            if done.returncode:
                pytest.skip(f"pip cannot fetch the source package of {package}")
            (archive,) = Path(name).iterdir()
            unpacked = Path(name) / "unpacked"
            shutil.unpack_archive(archive, unpacked, filter="data")
            (top,) = unpacked.iterdir()
            top.rename(folder)
    return folder


def kinds(notebook: NotebookNode) -> list[list[tuple[str, ...]]]:
    """Return the kinds of the outputs, cell by cell; how a stream is cut into outputs is a matter of time."""

    def kind(output: NotebookNode) -> tuple[str, ...]:
        return (output.output_type, output.get("name", ""), *sorted(output.get("data", {})))

    cells = (cell for cell in notebook.cells if cell.cell_type == "code")
    return [[each for each, _ in groupby(map(kind, cell.outputs))] for cell in cells]


def names(folder: Path) -> set[str]:
    """Return the paths of all files but caches."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(path) for path in paths if "__pycache__" not in path.parts}


@pytest.fixture
def environ(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel `remote` finds: a pool, and that there is to be a workspace."""
    for name in [name for name in os.environ if name.startswith("REMOTE_KERNEL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("REMOTE_KERNEL_ENDPOINT", pool.endpoint)
    monkeypatch.setenv("REMOTE_KERNEL_TOKEN", pool.token)
    monkeypatch.setenv("REMOTE_KERNEL_WORKSPACE", ".")
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    monkeypatch.setenv("REMOTE_KERNEL_HASH_SEED", "0")


@pytest.mark.usefixtures("environ")
@pytest.mark.parametrize(
    ("published", "tool"),
    [
        pytest.param(published, tool, id=f"{published.package.partition('==')[0]}: {published.path}, {tool}")
        for published in NOTEBOOKS
        for tool in published.tools
    ],
)
def test_notebook_gives_what_it_gives_in_a_plain_kernel(published: Published, tool: str, tmp_path: Path) -> None:
    source = fetch(published.package) / published.path
    executed: dict[str, NotebookNode | None] = {}
    for kernel in ("python3", "remote"):
        folder, scratch = tmp_path / kernel / source.parent.name, tmp_path / f"{kernel} scratch"
        shutil.copytree(source.parent, folder)
        scratch.mkdir()
        executed[kernel] = TOOLS[tool](folder / source.name, kernel, scratch)
    plain, remote = executed["python3"], executed["remote"]
    if plain is not None and remote is not None:
        assert kinds(remote) == kinds(plain)
        assert published.is_random or compare(plain, remote, code_cells(plain)) == []
    folders = [tmp_path / kernel / source.parent.name for kernel in ("python3", "remote")]
    assert names(folders[1]) == names(folders[0])
