"""State that outlives the pod as its user sees it in JupyterLab, in light and dark."""

import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.browser.lab import OpenNotebook
from tests.browser.test_session_commands import choose_theme
from tests.driver import Pool

if TYPE_CHECKING:
    from playwright.sync_api import Page

expect = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install -e .[browser]").expect

pytestmark = pytest.mark.browser

STATE = """
import numpy as np
shared = np.arange(1000).reshape(10, 100)
row, log, squares = shared[3], open("run.log", "w"), (n * n for n in range(10))
def total(): return int(shared.sum())
"""


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_a_session_is_saved_lost_and_restored(
    open_notebook: Callable[..., OpenNotebook], page: "Page", pool: Pool, shoot: Callable[[str], None], theme: str
) -> None:
    choose_theme(page, theme)
    notebook = open_notebook(
        STATE, "%session save 'before lunch'", "total()", "%session restore", "total()", "%session saves",
        "row = 'other'", "%session restore row",
    )  # fmt: skip
    notebook.run(0)
    expect(notebook.prompt(0)).to_have_text("[1]:")
    notebook.run(1)
    expect(notebook.output(1)).to_contain_text("Saved 4 of 6 variables as 'before lunch': ")
    expect(notebook.output(1)).to_contain_text("squares is a generator")
    os.kill(pool.sessions()[0]["pid"], signal.SIGKILL)
    notebook.run(2)
    expect(notebook.output(2)).to_contain_text("4 of 6 variables: '%session restore' brings them back.")
    notebook.run(3)
    expect(notebook.output(3)).to_contain_text("the save 'before lunch' of ")
    expect(notebook.output(3)).to_contain_text("%rerun 1")
    shoot("1-restored")
    notebook.run(4)
    expect(notebook.output(4)).to_contain_text("499500")
    notebook.run(5)
    expect(notebook.output(5)).to_contain_text("1 save of this notebook.")
    notebook.run(6)
    expect(notebook.prompt(6)).not_to_have_text("[*]:")
    notebook.run(7)
    question = notebook.output(7).locator("input")
    question.wait_for()
    shoot("2-question")
    question.fill("y")
    question.press("Enter")
    expect(notebook.output(7)).to_contain_text("Restoredrow")
    shoot("3-replaced")
    choose_theme(page, "JupyterLab Light")
