"""Variables that outlive their pod, as a user of JupyterLab sees it: saves, a loss, the report, in light and dark."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.lab import OpenNotebook
from tests.browser.test_session_commands import choose_theme
from tests.driver import Pool

if TYPE_CHECKING:
    from playwright.sync_api import Page

expect = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install -e .[browser]").expect

pytestmark = pytest.mark.browser

Open = Callable[..., OpenNotebook]
Shoot = Callable[[str], None]

CONTRAST = Path(__file__).with_name("contrast.js").read_text()
FITS = "(output) => output.scrollWidth <= output.clientWidth"

WORK = """\
import random, sqlite3
for number in range(30): globals()[f"station_{number}"] = [random.random() for _ in range(9)]
class Station: pass
the_mean_of_all_readings_of_this_summer_and_the_one_before = 21.4
"""
LIVE = """\
log = open("log.txt", "w")
the_database_that_all_of_the_stations_write_to = sqlite3.connect(":memory:")
data = {"rows": (n for n in range(3)), "more": [1]}
"""


@pytest.fixture(scope="module")
def lab_environ(pool: Pool, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The one session that a test can name."""
    saves = str(tmp_path_factory.mktemp("saves"))
    return {**pool.environ(), "REMOTE_KERNEL_IDENTIFIER": "the-stations", "REMOTE_KERNEL_SAVES": saves}


def assert_legible(notebook: OpenNotebook, index: int, *, is_light: bool) -> None:
    """Assert that each text of our HTML in an output stands out from what is behind it."""
    texts = notebook.output(index).locator(".jp-RenderedHTMLCommon").evaluate(CONTRAST)
    assert texts
    assert [text for text in texts if text["contrast"] < 4.5] == []
    assert all((text["background"] > 0.5) == is_light for text in texts)


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_variables_come_back(open_notebook: Open, page: "Page", pool: Pool, shoot: Shoot, theme: str) -> None:
    choose_theme(page, theme)
    notebook = open_notebook(
        WORK, LIVE, "%session save 'before lunch'", "len(station_0)", "%session restore", "%session saves",
        "station_0 = []", "%session restore", "%session autosave",
    )  # fmt: skip
    for index in range(2):
        notebook.run(index)
        expect(notebook.prompt(index)).to_have_text(f"[{index + 1}]:")
    notebook.run(2)
    expect(notebook.output(2)).to_contain_text(re.compile(r"Saved 3\d of 3\d variables as 'before lunch'"))
    pool.stop_session("the-stations")
    notebook.run(3)
    expect(notebook.output(3)).to_contain_text("Or '%session restore' brings back the save 'before lunch' of ")
    shoot("1-lost")
    notebook.run(4)
    expect(notebook.output(4)).to_contain_text("Make them by%rerun 2")
    expect(notebook.output(4)).to_contain_text("data holds a generator at data['rows'] (cell 2)")
    notebook.cell(4).scroll_into_view_if_needed()
    shoot("2-report")
    for index in (2, 3, 4):
        assert_legible(notebook, index, is_light=theme == "JupyterLab Light")
    notebook.run(5)
    expect(notebook.output(5)).to_contain_text("before lunch")
    notebook.run(6)
    notebook.run(7)
    expect(notebook.output(7)).to_contain_text(
        "station_17 and 20 more are here already, perhaps with other values than in the save 'before lunch' of"
    )
    expect(notebook.output(7)).to_contain_text("Replace what is there? [y/N]")
    shoot("3-question")
    page.keyboard.type("y")
    page.keyboard.press("Enter")
    expect(notebook.output(7)).to_contain_text("Nothing was run again.")
    notebook.run(8)
    expect(notebook.output(8)).to_contain_text("does not save its variables by itself")
    notebook.cell(8).scroll_into_view_if_needed()
    shoot("4-others")
    page.keyboard.press("Control+B")  # hides the list of files
    page.set_viewport_size({"width": 420, "height": 800})
    for name, index in (("5-narrow-lost", 3), ("6-narrow-report", 4), ("7-narrow-saves", 5), ("8-narrow-question", 7)):
        notebook.cell(index).scroll_into_view_if_needed()
        shoot(name)
        assert notebook.output(index).locator(".jp-RenderedHTMLCommon").first.evaluate(FITS)
    page.set_viewport_size({"width": 1280, "height": 800})
    page.keyboard.press("Control+B")
    choose_theme(page, "JupyterLab Light")
