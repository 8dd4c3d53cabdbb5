"""Extensions whose server keeps what a cell says: it is in the notebook although the page was closed or loaded anew.

Each has an environment of its own, as `make tools` makes it.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import nbformat
import pytest

from tests.browser.lab import Lab, OpenNotebook
from tests.driver import TIMEOUT_SECONDS, Notebook, Pool, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page

expect = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install -e .[browser]").expect

pytestmark = pytest.mark.tools

# jupyter-collaboration by itself: the environment of the extension that needs it, without that.
COLLABORATION = "collaboration"

ENVIRONMENTS = Path(__file__).parents[2] / ".build/tools"


@pytest.fixture(scope="module", params=["nbmodel", "documents"])
def extension(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool.start("--max-sessions", "1") as running:
        yield running


@pytest.fixture(scope="module")
def lab(extension: str, pool: Pool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    python = ENVIRONMENTS / ("nbmodel" if extension == COLLABORATION else extension) / "bin/python"
    if not python.exists():
        pytest.skip("needs environments of its own: make tools")
    home = tmp_path_factory.mktemp("lab")
    environ = pool.environ()
    if extension == COLLABORATION:
        page = home / "without-nbmodel/labconfig/page_config.json"
        page.parent.mkdir(parents=True)
        page.write_text(json.dumps({"disabledExtensions": {"@datalayer/jupyter-server-nbmodel": True}}))
        environ["JUPYTER_CONFIG_PATH"] = str(page.parents[1])
    with Lab.start(home, environ, python=python) as running:
        yield running


@pytest.fixture(autouse=True)
def leave_no_session(lab: Lab, pool: Pool) -> Iterator[None]:
    yield
    lab.shut_kernels_down()
    wait_until(lambda: not pool.sessions())


def open_notebook(lab: Lab, page: "Page", name: str, *cells: str) -> OpenNotebook:
    """Open a notebook, a new one where cells are given, and wait for what is in it: that comes after the page."""
    lab.load(page)
    if cells:
        lab.write_notebook(name, cells)
    notebook = OpenNotebook.open(page, name)
    expect(notebook.cell(0).locator(".cm-content")).to_have_text(re.compile(r"\S"))
    return notebook


def is_idle(lab: Lab) -> bool:
    headers = {"authorization": f"token {lab.token}"}
    kernels = httpx.get(f"{lab.url}api/kernels", headers=headers, timeout=TIMEOUT_SECONDS).raise_for_status().json()
    return [kernel["execution_state"] for kernel in kernels] == ["idle"]


def stored(lab: Lab, name: str) -> str:
    """Return all that a notebook's file holds of its cells' outputs; "" while it is being written."""
    try:
        notebook = nbformat.read(lab.folder / name, as_version=4)
    except ValueError:
        return ""
    return json.dumps([output for cell in notebook.cells for output in cell.outputs])


def gated(gate: Path) -> str:
    return (
        "import pathlib, time\n"
        "print('early', flush=True)\n"
        f"while not pathlib.Path({str(gate)!r}).exists():\n"
        "    time.sleep(0.02)\n"
        "print('late')"
    )


BOTH = re.compile(r"^early\s+late\s*$")


def test_what_a_cell_says_while_no_page_is_open_is_there_later(lab: Lab, page: "Page", tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    notebook = open_notebook(lab, page, "closed.ipynb", gated(gate))
    notebook.run(0)
    expect(notebook.output(0)).to_contain_text("early")
    page.goto("about:blank")
    gate.touch()
    wait_until(lambda: is_idle(lab))
    notebook = open_notebook(lab, page, "closed.ipynb")
    expect(notebook.output(0)).to_have_text(BOTH)
    wait_until(lambda: "late" in stored(lab, "closed.ipynb"))


@pytest.mark.parametrize("extension", [COLLABORATION], indirect=True)
def test_collaboration_alone_keeps_what_a_page_has_seen_and_no_more(lab: Lab, page: "Page", tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    notebook = open_notebook(lab, page, "missed.ipynb", gated(gate))
    notebook.run(0)
    expect(notebook.output(0)).to_contain_text("early")
    page.goto("about:blank")
    gate.touch()
    wait_until(lambda: is_idle(lab))
    notebook = open_notebook(lab, page, "missed.ipynb")
    expect(notebook.output(0)).to_have_text(re.compile(r"^early\s*$"))


def test_a_page_that_is_loaded_anew_shows_the_running_cell_go_on(lab: Lab, page: "Page", tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    notebook = open_notebook(lab, page, "reloaded.ipynb", gated(gate))
    notebook.run(0)
    expect(notebook.output(0)).to_contain_text("early")
    lab.load(page)
    notebook.choose("File", "Open from Path…")
    page.locator(".jp-Dialog input").fill("reloaded.ipynb")
    notebook.confirm()
    expect(notebook.output(0)).to_contain_text("early")
    gate.touch()
    expect(notebook.output(0)).to_have_text(BOTH)
    expect(notebook.prompt(0)).to_have_text("[1]:")


def test_the_line_of_a_cell_that_waits_is_not_in_the_notebook_later(lab: Lab, page: "Page", pool: Pool) -> None:
    with Notebook.start(environ=pool.environ()) as other:
        other.run("pass")
        notebook = open_notebook(lab, page, "waits.ipynb", "print('arrived')")
        notebook.run(0)
        expect(notebook.output(0)).to_contain_text("waiting for a free session")
    expect(notebook.output(0)).to_have_text(re.compile(r"^arrived\s*$"))
    wait_until(lambda: "arrived" in stored(lab, "waits.ipynb"))
    assert "waiting" not in stored(lab, "waits.ipynb")


def test_an_interrupt_reaches_the_cell(lab: Lab, page: "Page") -> None:
    notebook = open_notebook(
        lab, page, "interrupted.ipynb", "import time; print('asleep', flush=True); time.sleep(600)"
    )
    notebook.run(0)
    expect(notebook.output(0)).to_contain_text("asleep")
    notebook.press_button("Interrupt the kernel")
    expect(notebook.output(0)).to_contain_text("KeyboardInterrupt")


@pytest.mark.parametrize("extension", ["nbmodel"], indirect=True)
def test_a_question_reaches_who_looks(lab: Lab, page: "Page") -> None:
    notebook = open_notebook(lab, page, "asks.ipynb", "input('Who? ')")
    notebook.run(0)
    notebook.output(0).locator("input").fill("Ada")
    page.keyboard.press("Enter")
    expect(notebook.output(0)).to_contain_text("'Ada'")


@pytest.mark.parametrize("extension", ["documents"], indirect=True)
def test_a_question_that_nobody_can_answer_is_an_error(lab: Lab, page: "Page") -> None:
    notebook = open_notebook(lab, page, "asks.ipynb", "input('Who? ')")
    notebook.run(0)
    expect(notebook.output(0)).to_contain_text("does not support input requests")
