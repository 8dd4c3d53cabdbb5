"""A workspace as its user sees it in JupyterLab: the hint that leads to it, the line while it is sent, its table."""

import os
import re
import time
from collections.abc import Callable

import pytest

from tests.browser.lab import Lab, OpenNotebook
from tests.driver import Pool, wait_until
from tests.faults.proxy import FaultProxy, Plan

expect = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install -e .[browser]").expect

pytestmark = pytest.mark.browser

Open = Callable[..., OpenNotebook]
Shoot = Callable[[str], None]

# The session changes the file after its cell has ended, so that nobody has fetched that when the next cell is run.
CHANGE_LATER = """import os, threading, time
def write():
    while not os.path.exists({go!r}):
        time.sleep(0.01)
    open("data.csv", "w").write("changed there")
    open({done!r}, "w").close()
threading.Thread(target=write).start()"""


@pytest.fixture(scope="module")
def lab_environ(pool: Pool, proxy: FaultProxy) -> dict[str, str]:
    return pool.environ(proxy.endpoint)


def test_the_hint_the_line_the_table_and_a_conflict(
    open_notebook: Open, lab: Lab, proxy: FaultProxy, shoot: Shoot
) -> None:
    (lab.folder / "data.csv").write_text("a,b\n1,2\n")
    (lab.folder / "figures").mkdir()
    go, done = lab.folder.parent / "go", lab.folder.parent / "done"
    notebook = open_notebook(
        "open('data.csv').read()",
        "import hypothesis",
        "%session sync on",
        "open('data.csv').read()",
        "import os; len(os.listdir('figures'))",
        "%session sync status",
        CHANGE_LATER.format(go=str(go), done=str(done)),
        "open('data.csv').read()",
    )
    notebook.run(0)
    expect(notebook.output(0)).to_contain_text("'data.csv' is here, beside the notebook, and not in the session.")
    shoot("1-hint")
    notebook.run(2)
    expect(notebook.output(2)).to_contain_text("is in the session: ")
    notebook.run(3)
    expect(notebook.output(3)).to_contain_text("a,b")
    for number in range(8):
        (lab.folder / "figures" / f"figure {number}.bin").write_bytes(os.urandom(400_000))
    proxy.plan = lambda _number: Plan(bytes_per_second=400_000)
    proxy.cut()
    notebook.run(4)
    expect(notebook.output(4)).to_contain_text("sending the workspace")
    shoot("2-line")
    proxy.plan = lambda _number: Plan()
    expect(notebook.output(4)).to_have_text(re.compile(r"^\[\d+\]:8\s*$"))
    (lab.folder / "new.txt").touch()
    notebook.run(5)
    expect(notebook.output(5)).to_contain_text("is sent before the next cell")
    shoot("3-status")
    notebook.run(6)
    notebook.wait_state("Idle")
    go.touch()
    wait_until(done.exists)
    (lab.folder / "data.csv").write_text("changed here")
    later = time.time() + 5
    os.utime(lab.folder / "data.csv", (later, later))
    notebook.run(7)
    expect(notebook.output(7)).to_contain_text("data (from the session).csv")
    expect(notebook.output(7)).to_contain_text("changed here")
    shoot("4-conflict")
