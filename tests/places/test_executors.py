"""Programs that execute notebooks: what they keep is what the cells have said, and nothing of ours.

They have an environment of their own, as `make tools` makes it.
"""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest

from tests.driver import Notebook, Pool, wait_until

PROGRAMS = Path(__file__).parents[2] / ".build/tools/executors/bin"

pytestmark = [
    pytest.mark.tools,
    pytest.mark.skipif(not PROGRAMS.exists(), reason="needs an environment of its own: make tools"),
]

# Where no template can be downloaded, MyST is content with one that builds nothing.
MYST = "version: 1\nproject: {title: Book}\nsite: {template: ./template}\n"
TEMPLATE = """\
jtex: v1
title: Bare
version: 1.0.0
kind: site
source: https://example.org
build: {install: 'true', start: 'true'}
"""


@pytest.fixture
def pool() -> Iterator[Pool]:
    with Pool.start("--max-sessions", "2") as running:
        yield running


@pytest.fixture
def folder(pool: Pool, tmp_path: Path, private_folders: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a book whose only page is a notebook."""
    monkeypatch.setenv("REMOTE_KERNEL_ENDPOINT", pool.endpoint)
    monkeypatch.setenv("REMOTE_KERNEL_TOKEN", pool.token)
    monkeypatch.setenv("PATH", f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}")
    server = {"ServerApp": {"allow_root": True, "ip": "127.0.0.1"}}
    (private_folders / "config").mkdir()
    (private_folders / "config/jupyter_server_config.json").write_text(json.dumps(server))
    (tmp_path / "myst.yml").write_text(MYST)
    (tmp_path / "template").mkdir()
    (tmp_path / "template/template.yml").write_text(TEMPLATE)
    write_notebook(tmp_path / "page.ipynb", "print('author' in globals(), 6 * 7)")
    return tmp_path


def write_notebook(path: Path, source: str, output: str = "False 42\n") -> None:
    """Write a notebook of one cell that was executed before."""
    outputs = [nbformat.v4.new_output("stream", text=output)]
    cell = nbformat.v4.new_code_cell(source, outputs=outputs, execution_count=1)
    kernel = {"name": "remote", "display_name": "Python (remote session)", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": kernel}), path)


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(
        [PROGRAMS / command[0], *command[1:]],
        cwd=folder, input="y\n", capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def outputs_of(path: Path) -> list[str]:
    notebook = nbformat.read(path, as_version=4)
    return [json.dumps(output.get("text", output)) for cell in notebook.cells for output in cell.outputs]


def outputs_in(page: object) -> Iterator[str]:
    """Yield the outputs in a page's content as MyST writes it."""
    if isinstance(page, dict) and "jupyter_data" in page:
        yield json.dumps(page["jupyter_data"].get("text", page["jupyter_data"]))
    for child in page.get("children", []) if isinstance(page, dict) else []:
        yield from outputs_in(child)


def by_myst(folder: Path) -> list[str]:
    run(folder, "myst", "build", "--site", "--execute")
    return list(outputs_in(json.loads((folder / "_build/site/content/page.json").read_text())["mdast"]))


def by_jupyter_book(folder: Path) -> list[str]:
    run(folder, "jupyter-book", "build", "--site", "--execute")
    return list(outputs_in(json.loads((folder / "_build/site/content/page.json").read_text())["mdast"]))


def by_jupyter_cache(folder: Path) -> list[str]:
    cache = ("--cache-path", str(folder / "cache"))
    run(folder, "jcache", "notebook", *cache, "add", "page.ipynb")  # it asks whether to make the cache
    run(folder, "jcache", "project", *cache, "execute")
    run(folder, "jcache", "notebook", *cache, "merge", "1", "merged.ipynb")
    return outputs_of(folder / "merged.ipynb")


def by_nbmake(folder: Path) -> list[str]:
    run(folder, "python", "-m", "pytest", "--nbmake", "--overwrite", "page.ipynb")
    return outputs_of(folder / "page.ipynb")


def by_nbval(folder: Path) -> list[str]:
    """Return the outputs that it has compared with those it found."""
    assert "1 passed" in run(folder, "python", "-m", "pytest", "--nbval", "page.ipynb")
    return outputs_of(folder / "page.ipynb")


Executor = Callable[[Path], list[str]]
EXECUTORS: list[Executor] = [by_myst, by_jupyter_book, by_jupyter_cache, by_nbmake, by_nbval]


@contextmanager
def author(folder: Path) -> Iterator[Notebook]:
    """Somebody who works in the notebook."""
    with Notebook.start(environ={"REMOTE_KERNEL_NOTEBOOK": str(folder / "page.ipynb")}) as notebook:
        notebook.run("author = 1")
        yield notebook


@pytest.mark.parametrize("execute", EXECUTORS)
def test_notebook_is_executed_in_a_fresh_session_which_is_given_back(
    folder: Path, pool: Pool, execute: Executor
) -> None:
    with author(folder) as notebook:
        assert execute(folder) == [json.dumps("False 42\n")]
        if execute is not by_nbval:  # it kills its kernel: the user's next one gives the session back
            wait_until(lambda: len(pool.sessions()) == 1)
        assert notebook.run("author").result == "1"


def has_told_that_it_waits(home: Path) -> bool:
    logs = (home / "runtime/remote-kernel/logs").glob("kernel-*.log")
    return any('"waiting"' in path.read_text() for path in logs)


@pytest.mark.parametrize("execute", EXECUTORS)
def test_nothing_is_kept_of_a_wait_for_a_free_session(folder: Path, private_folders: Path, execute: Executor) -> None:
    with ThreadPoolExecutor() as executor, author(folder), author(folder / "another"):
        done = executor.submit(execute, folder)
        wait_until(lambda: has_told_that_it_waits(private_folders) or done.done())
    assert done.result() == [json.dumps("False 42\n")]
    assert has_told_that_it_waits(private_folders)


def test_pages_at_once_wait_for_one_another(folder: Path, pool: Pool) -> None:
    names = [f"page{number}" for number in range(4)]
    for name in names:
        write_notebook(folder / f"{name}.ipynb", f"print({name!r})", output="")
    run(folder, "myst", "build", "--site", "--execute", "--execute-parallel", "5")
    contents = [json.loads((folder / f"_build/site/content/{name}.json").read_text())["mdast"] for name in names]
    assert [list(outputs_in(content)) for content in contents] == [[json.dumps(f"{name}\n")] for name in names]
    wait_until(lambda: not pool.sessions())
