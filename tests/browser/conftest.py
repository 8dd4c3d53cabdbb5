"""One pool, one JupyterLab and one browser for a file; a notebook of its own for every test."""

import os
import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.lab import Lab, OpenNotebook
from tests.driver import Pool, wait_until
from tests.faults.proxy import FaultProxy

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# Read before the fixtures take our settings out of the environment.
SCREENSHOTS = os.environ.get("REMOTE_KERNEL_SCREENSHOTS")

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

CHROMIUM_OPTIONS = [
    "--no-sandbox",  # it cannot be had as root or in most containers; the pages are our own
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    # Nothing here has a reason to talk to the network.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

PATIENCE_MILLISECONDS = 30_000

HAS_FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember for the fixtures that a test has failed."""
    report = yield
    if report.failed:
        item.stash[HAS_FAILED] = True
    return report


@pytest.fixture(scope="module")
def proxy(pool: Pool) -> Iterator[FaultProxy]:
    """A line between the kernels and the pool, for those whose `lab_environ` leads through it."""
    with FaultProxy.before(pool.endpoint) as running:
        yield running


@pytest.fixture(scope="module")
def lab_environ(pool: Pool) -> dict[str, str]:
    """What JupyterLab's kernels find in their environment."""
    return pool.environ()


@pytest.fixture(scope="module")
def lab(lab_environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    pytest.importorskip("jupyterlab", reason="needs JupyterLab: pip install -e .[browser]")
    with Lab.start(tmp_path_factory.mktemp("lab"), lab_environ) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install -e .[browser]")
    chromium = next((path for name in CHROMIUM_NAMES if (path := shutil.which(name))), None)
    if chromium is None:
        pytest.skip(f"needs Chromium or Chrome on the path, as one of {', '.join(CHROMIUM_NAMES)}")
    sync_api.expect.set_options(timeout=PATIENCE_MILLISECONDS)
    with (
        sync_api.sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_OPTIONS) as browser,
    ):
        yield browser


@pytest.fixture(scope="module")
def page(lab: Lab, browser: "Browser") -> "Page":
    """A page with JupyterLab in it and no notebook open."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(PATIENCE_MILLISECONDS)
    lab.load(page)
    return page


@pytest.fixture
def shoot(page: "Page", request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Take a picture of the page."""
    test = request.node.name.removeprefix("test_")

    def save(name: str) -> None:
        if SCREENSHOTS:
            page.screenshot(path=Path(SCREENSHOTS) / f"{test}-{name}.png")

    return save


@pytest.fixture
def open_notebook(
    lab: Lab, page: "Page", pool: Pool, request: pytest.FixtureRequest, shoot: Callable[[str], None], tmp_path: Path
) -> Iterator[Callable[..., OpenNotebook]]:
    """Open a notebook that consists of the given cells; its kernel is shut down after the test."""
    opened: list[OpenNotebook] = []
    errors: list[str] = []

    def note(error: object) -> None:
        # JupyterLab says this of any question that is open when a kernel goes.
        if "Canceled future for" not in str(error):
            errors.append(str(error))

    page.on("pageerror", note)

    def open_with(*cells: str) -> OpenNotebook:
        name = f"{request.node.originalname}-{len(opened)}.ipynb"
        lab.write_notebook(name, cells)
        opened.append(OpenNotebook.open(page, name))
        return opened[-1]

    yield open_with
    if HAS_FAILED in request.node.stash:
        page.screenshot(path=tmp_path / "failed.png")
        shoot("failed")
        lab.shut_kernels_down()
        lab.load(page)
        return
    for notebook in opened:
        notebook.close()
    wait_until(lambda: not pool.sessions())
    page.remove_listener("pageerror", note)
    assert errors == []
    assert page.locator(".jp-Dialog, .Toastify__toast").all_inner_texts() == []
