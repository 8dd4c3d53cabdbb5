"""`%session` as its user sees it in JupyterLab, in light and dark."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.browser.lab import Lab, OpenNotebook
from tests.driver import Pool
from tests.faults.proxy import FaultProxy, Plan

if TYPE_CHECKING:
    from playwright.sync_api import Page

expect = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install -e .[browser]").expect

pytestmark = pytest.mark.browser

Open = Callable[..., OpenNotebook]
Shoot = Callable[[str], None]


@pytest.fixture(scope="module")
def lab_environ(pool: Pool, proxy: FaultProxy) -> dict[str, str]:
    return pool.environ(proxy.endpoint)


def choose_theme(page: "Page", theme: str) -> None:
    page.get_by_role("menuitem", name="Settings", exact=True).click()
    for name in ("Theme", theme):
        page.locator(".lm-Menu-item").filter(has_text=re.compile(f"^{name}$")).click()
    page.locator(f'body[data-jp-theme-name="{theme}"]').wait_for(state="attached")


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_the_card_and_the_transfers(
    open_notebook: Open, lab: Lab, page: "Page", proxy: FaultProxy, shoot: Shoot, theme: str
) -> None:
    (lab.folder / "measurements").mkdir(exist_ok=True)
    for number in range(3):
        (lab.folder / f"measurements/run {number}.csv").write_text("a,b\n1,2\n" * 1000)
    (lab.folder / "model.bin").write_bytes(bytes(range(256)) * 80_000)
    choose_theme(page, theme)
    notebook = open_notebook(
        "%session", "import pandas; 'ready'", "%session", "%session upload measurements", "%session files measurements",
        "%session upload model.bin", "%session upload nothing.csv",
    )  # fmt: skip
    notebook.run(0)
    expect(notebook.output(0)).to_contain_text("not started")
    notebook.run(1)
    expect(notebook.output(1)).to_contain_text("ready")
    notebook.run(2)
    expect(notebook.output(2)).to_contain_text("connected")
    expect(notebook.output(2)).to_contain_text("Round trip")
    shoot("1-card")
    notebook.run(3)
    expect(notebook.output(3)).to_contain_text("Uploaded 3 files, 24.0 kB")
    notebook.run(4)
    expect(notebook.output(4)).to_contain_text("3 files, 24.0 kB")
    shoot("2-files")
    proxy.plan = lambda _number: Plan(bytes_per_second=4e6)
    proxy.cut()
    notebook.run(5)
    expect(notebook.output(5)).to_have_text(re.compile(r"Uploading model\.bin.*[2-9]\d%.*MB/s"))
    shoot("3-bar")
    proxy.refuse(True)
    expect(notebook.output(5)).to_contain_text("waiting for the session pool, then it goes on")
    shoot("4-waiting")
    proxy.plan = lambda _number: Plan()
    proxy.refuse(False)
    expect(notebook.output(5)).to_contain_text("Uploaded 1 file, 20.5 MB")
    notebook.run(6)
    expect(notebook.output(6)).to_contain_text("There is no file or folder 'nothing.csv' on this machine")
    for index, count in enumerate("112222 "):
        expect(notebook.prompt(index)).to_have_text(f"[{count}]:")
    shoot("5-done")
    choose_theme(page, "JupyterLab Light")


def test_tab_offers_commands_and_files(open_notebook: Open, lab: Lab, page: "Page", shoot: Shoot) -> None:
    (lab.folder / "sales figures.csv").touch()
    notebook = open_notebook("%session upl", "%session upload sal")
    for index, line in enumerate(("%session upload", "%session upload sales\\ figures.csv")):
        notebook.cell(index).locator(".cm-content").click()
        page.keyboard.press("End")
        page.keyboard.press("Tab")
        page.locator(".jp-Completer-item").wait_for()
        page.keyboard.press("Enter")
        expect(notebook.cell(index).locator(".cm-content")).to_have_text(line)
    shoot("completed")
