"""In JupyterLab, the kernel is one like any other: its user forgets that the code runs elsewhere."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.lab import OpenNotebook
from tests.driver import Pool

if TYPE_CHECKING:
    from playwright.sync_api import Locator

expect = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install -e .[browser]").expect

pytestmark = pytest.mark.browser

Open = Callable[..., OpenNotebook]
Shoot = Callable[[str], None]

WHERE_AM_I = "import os; print(os.environ['REMOTE_KERNEL_POD'], os.getpid())"


def test_opening_a_notebook_takes_no_session(open_notebook: Open, pool: Pool, shoot: Shoot) -> None:
    notebook = open_notebook("6 * 7")
    # One of the last things that JupyterLab asks a new kernel is whether it has a debugger.
    expect(notebook.panel.get_by_role("button", name="Enable Debugger")).to_be_enabled()
    shoot("opened")
    assert pool.sessions() == []
    notebook.run(0)
    expect(notebook.output(0)).to_have_text(re.compile("42"))
    assert len(pool.sessions()) == 1
    expect(notebook.prompt(0)).to_have_text("[1]:")
    expect(notebook.state("Idle")).to_be_visible()
    shoot("ran")


def test_closing_a_notebook_for_good_gives_its_pod_back(open_notebook: Open, pool: Pool) -> None:
    notebook = open_notebook("6 * 7")
    notebook.run(0)
    expect(notebook.prompt(0)).to_have_text("[1]:")
    assert len(pool.sessions()) == 1


def test_output_is_seen_before_the_cell_ends(open_notebook: Open, tmp_path: Path, shoot: Shoot) -> None:
    gate = tmp_path / "gate"
    notebook = open_notebook(
        "import pathlib, time\n"
        "print('early')\n"
        f"while not pathlib.Path({str(gate)!r}).exists():\n"
        "    time.sleep(0.02)\n"
        "print('late')"
    )
    notebook.run(0)
    expect(notebook.output(0)).to_have_text("early\n")
    expect(notebook.prompt(0)).to_have_text("[*]:")
    shoot("running")
    gate.touch()
    expect(notebook.output(0)).to_have_text("early\nlate\n")
    expect(notebook.prompt(0)).to_have_text("[1]:")
    expect(notebook.state("Idle")).to_be_visible()
    shoot("ended")


def by_button(notebook: OpenNotebook) -> None:
    notebook.press_button("Interrupt the kernel")


def by_keys(notebook: OpenNotebook) -> None:
    notebook.page.keyboard.press("i")
    notebook.page.keyboard.press("i")


@pytest.mark.parametrize("interrupt", [by_button, by_keys])
def test_sleeping_cell_is_interrupted(
    open_notebook: Open, shoot: Shoot, interrupt: Callable[[OpenNotebook], None]
) -> None:
    notebook = open_notebook("import time; print('asleep'); time.sleep(600)", "'still there'")
    notebook.run(0)
    expect(notebook.output(0)).to_contain_text("asleep")
    interrupt(notebook)
    expect(notebook.output(0)).to_contain_text("KeyboardInterrupt")
    expect(notebook.prompt(0)).to_have_text("[1]:")
    expect(notebook.state("Idle")).to_be_visible()
    shoot("interrupted")
    notebook.run(1)
    expect(notebook.output(1)).to_contain_text("still there")


def test_restart_gives_a_fresh_interpreter_in_the_same_pod(open_notebook: Open, shoot: Shoot) -> None:
    notebook = open_notebook(f"old = 1; {WHERE_AM_I}", f"{WHERE_AM_I}; print('old' in globals())")
    notebook.run(0)
    expect(notebook.prompt(0)).to_have_text("[1]:")
    notebook.press_button("Restart the kernel")
    shoot("asked")
    with notebook.page.expect_response(re.compile("/api/kernels/.*/restart")):
        notebook.confirm()
    expect(notebook.state("Idle")).to_be_visible()
    shoot("restarted")
    notebook.run(1)
    expect(notebook.output(1)).to_contain_text("False")
    expect(notebook.prompt(1)).to_have_text("[1]:")
    shoot("ran")
    pod, pid = notebook.output(0).inner_text().split()
    new_pod, new_pid, _ = notebook.output(1).inner_text().split()
    assert new_pod == pod
    assert new_pid != pid


def test_tab_offers_what_the_pod_knows(open_notebook: Open, shoot: Shoot) -> None:
    # Jedi reads the standard library for its first answer, which takes a busy machine tens of seconds.
    notebook = open_notebook("%config IPCompleter.use_jedi = False\na_long_name, a_longer_name = 1, 2", "a_lo")
    notebook.run(0)
    expect(notebook.prompt(0)).to_have_text("[1]:")
    notebook.cell(1).locator(".cm-content").click()
    notebook.page.keyboard.press("End")
    notebook.page.keyboard.press("Tab")
    candidates = notebook.page.locator(".jp-Completer-item")
    expect(candidates.filter(has_text="a_longer_name")).to_be_visible()
    shoot("offered")
    notebook.page.keyboard.press("Enter")
    expect(notebook.cell(1).locator(".cm-content")).to_have_text("a_long_name")


def test_input_prompt_is_answered(open_notebook: Open, shoot: Shoot) -> None:
    notebook = open_notebook("name = input('Your name? ')\nprint('Hello,', name)")
    notebook.run(0)
    field = notebook.output(0).locator("input")
    expect(notebook.output(0)).to_contain_text("Your name?")
    shoot("asked")
    field.fill("Ada")
    field.press("Enter")
    expect(notebook.output(0)).to_contain_text("Hello, Ada")
    expect(notebook.prompt(0)).to_have_text("[1]:")
    shoot("answered")


def test_widget_moved_in_the_page_reaches_the_pod_and_back(open_notebook: Open, shoot: Shoot) -> None:
    notebook = open_notebook(
        "from ipywidgets import IntSlider, Label, VBox\n"
        "slider, label = IntSlider(value=3, description='n'), Label('unmoved')\n"
        "slider.observe(lambda change: setattr(label, 'value', f'{change.new} in the pod'), 'value')\n"
        "VBox([slider, label])",
        "slider.value",
    )
    notebook.run(0)
    handle = notebook.output(0).get_by_role("slider")
    expect(notebook.output(0)).to_contain_text("unmoved")
    shoot("shown")
    handle.press("ArrowRight")
    expect(notebook.output(0)).to_contain_text("4 in the pod")
    handle.press("ArrowRight")
    expect(notebook.output(0)).to_contain_text("5 in the pod")
    notebook.run(1)
    expect(notebook.output(1)).to_contain_text("5")
    expect(notebook.state("Idle")).to_be_visible()
    shoot("moved")


SUM = "total = 0\nfor step in (20, 22):\n    total += step\nprint('total', total)"


def test_breakpoint_stops_the_cell_and_shows_its_variables(open_notebook: Open, shoot: Shoot) -> None:
    notebook = open_notebook("'first'", SUM)
    debugger = notebook.page.locator(".jp-DebuggerSidebar")
    notebook.run(0)
    expect(notebook.prompt(0)).to_have_text("[1]:")
    notebook.press_button("Enable Debugger")
    set_breakpoint(notebook, 1, line=4)
    notebook.run(1)
    expect(debugger.get_by_role("region", name="Callstack Section")).to_contain_text("<module>")
    expect(debugger.get_by_role("treeitem", name="total")).to_have_text(re.compile("42"))
    expect(notebook.output(1)).to_be_empty()
    shoot("stopped")
    debugger.get_by_role("button", name="Continue").click()
    expect(notebook.output(1)).to_have_text("total 42\n")
    expect(notebook.prompt(1)).to_have_text("[2]:")
    expect(debugger.get_by_role("region", name="Callstack Section")).not_to_contain_text("<module>")
    expect(notebook.state("Idle")).to_be_visible()
    shoot("continued")


def test_breakpoint_is_hit_by_the_first_cell_and_after_a_restart(open_notebook: Open, pool: Pool, shoot: Shoot) -> None:
    notebook = open_notebook(SUM)
    debugger = notebook.page.locator(".jp-DebuggerSidebar")
    assert pool.sessions() == []
    notebook.press_button("Enable Debugger")  # which takes the session, and is answered when it is there
    set_breakpoint(notebook, 0, line=4)
    shoot("enabled")
    notebook.run(0)
    expect(debugger.get_by_role("region", name="Callstack Section")).to_contain_text("Cell [*]:4")
    shoot("stopped")
    debugger.get_by_role("button", name="Continue").click()
    expect(notebook.prompt(0)).to_have_text("[1]:")
    notebook.choose("Kernel", "Restart Kernel and Debug…")  # and run all cells
    notebook.confirm()
    expect(debugger.get_by_role("region", name="Callstack Section")).to_contain_text("Cell [*]:4")
    shoot("restarted")
    debugger.get_by_role("button", name="Continue").click()
    expect(notebook.prompt(0)).to_have_text("[1]:")


def set_breakpoint(notebook: OpenNotebook, index: int, *, line: int) -> None:
    """Click beside a line, once the debugger says that it is there."""
    expect(notebook.panel.get_by_role("button", name="Disable Debugger")).to_be_visible()
    gutter_of(notebook, index, line=line).click()
    expect(breakpoint_of(notebook, index, line=line)).to_be_visible()


def gutter_of(notebook: OpenNotebook, index: int, *, line: int) -> "Locator":
    return notebook.cell(index).locator("div.cm-breakpoint-gutter .cm-gutterElement:visible").nth(line - 1)


def breakpoint_of(notebook: OpenNotebook, index: int, *, line: int) -> "Locator":
    return gutter_of(notebook, index, line=line).get_by_label("Breakpoint")


def test_traceback_is_coloured(open_notebook: Open, shoot: Shoot) -> None:
    notebook = open_notebook("def divide(n):\n    return 1 / n\n\ndivide(0)")
    notebook.run(0)
    expect(notebook.output(0)).to_contain_text("ZeroDivisionError: division by zero")
    expect(notebook.output(0).locator(".ansi-red-fg").first).to_be_visible()
    expect(notebook.output(0)).not_to_contain_text("[0m")
    expect(notebook.state("Idle")).to_be_visible()
    shoot("shown")


def test_plot_is_a_picture(open_notebook: Open, shoot: Shoot) -> None:
    notebook = open_notebook("import matplotlib.pyplot as plt\nplt.plot([1, 4, 9]);")
    notebook.run(0)
    picture = notebook.output(0).locator("img")
    expect(picture).to_be_visible()
    shoot("shown")
    assert picture.evaluate("image => image.naturalWidth") > 300
