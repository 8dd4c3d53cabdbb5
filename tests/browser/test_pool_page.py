"""The pool's page in a real browser: live, by keyboard, without a script, when the pool has gone."""

import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from remote_kernel.core.pools.local_pool import PAGE_LINK_PATH
from tests.browser.conftest import PATIENCE_MILLISECONDS, SCREENSHOTS
from tests.driver import Pool, run_in_pod

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

expect = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install -e .[browser]").expect

pytestmark = pytest.mark.browser

Open = Callable[..., "Page"]

# What the browser says when the pool has gone and when a visit is over.
EXPECTED_ERRORS = re.compile("ERR_CONNECTION_REFUSED|401 .*/feed'")

# What moves when a session begins to start.
MOVING = "document.querySelector('.session').dataset.state = 'starting', document.getAnimations().length"

CONTRAST = Path(__file__).with_name("contrast.js").read_text()


@pytest.fixture
def open_page(pool: Pool, browser: "Browser") -> Iterator[Open]:
    """Open the page as a user does: by a fresh link, in a browser that has never seen it.

    After the test, nothing may have gone wrong in the page, and nobody but the pool may have been asked for anything.
    """
    errors: list[str] = []
    requests: list[str] = []
    contexts = []

    def open_by_link(pool: Pool = pool, **options: Any) -> "Page":
        context = browser.new_context(**{"viewport": {"width": 1100, "height": 900}, **options})
        context.set_default_timeout(PATIENCE_MILLISECONDS)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(f"{message.text} {message.location}"))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(make_link(pool))
        page.get_by_role("heading", name="Session pool").wait_for()
        return page

    yield open_by_link
    for context in contexts:
        context.close()
    stop_sessions(pool)
    assert [error for error in errors if not EXPECTED_ERRORS.search(error)] == []
    assert {request.split("/")[2].split(":")[0] for request in requests} == {"127.0.0.1"}


def make_link(pool: Pool) -> str:
    with pool.client() as client:
        path: str = client.post(PAGE_LINK_PATH).raise_for_status().json()["path"]
    return pool.endpoint + path


def start_session(pool: Pool, identifier: str, code: str = "1") -> None:
    with pool.client() as client:
        run_in_pod(client, code, identifier=identifier)


def stop_sessions(pool: Pool) -> None:
    for number in range(3):
        with contextlib.suppress(httpx.HTTPStatusError):  # not every test has all of them
            pool.stop_session(f"session-{number}")


def rows(page: "Page") -> "Locator":
    return page.locator(".session")


def shoot(page: "Page", name: str) -> None:
    if SCREENSHOTS:
        page.screenshot(path=Path(SCREENSHOTS) / f"pool-page-{name}.png", full_page=True)


def test_page_follows_the_pool(open_page: Open, pool: Pool, tmp_path: Path) -> None:
    page = open_page()
    expect(page.get_by_text("No sessions now.")).to_be_visible()
    start_session(pool, "session-0")
    (session,) = pool.sessions()
    expect(rows(page)).to_contain_text([session["label"]])
    expect(page.get_by_text("No sessions now.")).to_be_hidden()
    expect(page).to_have_title("1 of 30 · Session pool")
    expect(page.locator("#events")).to_contain_text(f"{session['label']} has a pod")
    expect(page.locator("#chart .edge")).to_have_attribute("d", re.compile("^M.*H.*V"))

    gate = tmp_path / "gate"
    code = f"import pathlib, time\nwhile not pathlib.Path({str(gate)!r}).exists():\n    time.sleep(0.02)"
    cell = threading.Thread(target=start_session, args=(pool, "session-0", code))
    cell.start()
    expect(rows(page)).to_have_attribute("data-state", "busy")
    gate.touch()
    expect(rows(page)).to_have_attribute("data-state", "idle")
    cell.join()

    stop_sessions(pool)
    expect(page.get_by_text("No sessions now.")).to_be_visible()
    expect(page.locator("#news")).to_have_text(f"{session['label']} was stopped")


def test_link_on_a_page_of_another_site_opens_the_page(pool: Pool, open_page: Open) -> None:
    page = open_page()
    page.context.clear_cookies()
    page.goto("about:blank")  # an origin of nobody's, as that of any other site
    page.set_content(f'<a href="{make_link(pool)}">the pool</a>')
    page.get_by_role("link").click()
    expect(page.get_by_role("heading", name="Sessions")).to_be_visible()


def test_session_is_stopped_by_keyboard(open_page: Open, pool: Pool) -> None:
    page = open_page()
    for number in range(2):
        start_session(pool, f"session-{number}")
    expect(rows(page)).to_have_count(2)
    first, second = (session["label"] for session in pool.sessions())
    page.keyboard.press("Tab")
    question = page.locator("summary").first
    expect(question).to_be_focused()
    expect(question).to_have_css("outline-style", "solid")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Its variables and files will be lost.").first).to_be_visible()
    shoot(page, "question")
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Stop it")).to_be_hidden()
    expect(question).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(rows(page)).to_have_count(1)
    expect(page.get_by_role("heading", name="Sessions")).to_be_focused()
    assert [session["label"] for session in pool.sessions()] == [second]
    expect(page.locator("#news")).to_have_text(f"{first} was stopped")


def test_question_stays_open_while_the_page_is_renewed(open_page: Open, pool: Pool) -> None:
    page = open_page()
    start_session(pool, "session-0")
    page.locator("summary").click()
    with page.expect_response(re.compile("/feed$")), page.expect_response(re.compile("/feed$")):
        start_session(pool, "session-1")
    expect(rows(page)).to_have_count(2)
    expect(page.get_by_role("button", name="Stop it")).to_be_visible()


def test_page_works_without_a_script(open_page: Open, pool: Pool) -> None:
    start_session(pool, "session-0")
    (session,) = pool.sessions()
    page = open_page(java_script_enabled=False)
    expect(rows(page)).to_contain_text([session["label"]])
    expect(page.get_by_text("1 in use now")).to_be_visible()
    shoot(page, "without-a-script")
    page.locator("summary").click()
    page.get_by_role("button", name="Stop it").click()
    expect(page.get_by_text("No sessions now.")).to_be_visible()
    assert pool.sessions() == []


def test_page_says_that_the_pool_has_gone(open_page: Open) -> None:
    with Pool.start() as leaving:
        page = open_page(leaving)
        start_session(leaving, "session-0")
        expect(rows(page)).to_have_count(1)
        leaving.process.kill()  # at its orderly end the page may see it without its sessions
        leaving.process.wait()
    expect(page.get_by_role("alert")).to_contain_text("The pool does not answer.")
    expect(page.locator(".session button")).to_be_disabled()
    shoot(page, "gone")


def test_visit_that_is_over_is_told(open_page: Open) -> None:
    page = open_page()
    expect(page.locator("#chart path").first).to_be_attached()
    page.context.clear_cookies()
    expect(page.get_by_role("alert")).to_contain_text("This visit is over.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(open_page: Open, pool: Pool, scheme: str) -> None:
    for number in range(3):
        start_session(pool, f"session-{number}")
    page = open_page(color_scheme=scheme)
    expect(rows(page)).to_have_count(3)
    page.locator("summary").first.click()
    texts = page.evaluate(CONTRAST)
    assert len(texts) > 30
    assert [text for text in texts if text["contrast"] < 4.5] == []
    assert (texts[0]["background"] > 0.5) == (scheme == "light")
    shoot(page, scheme)


def test_page_fits_a_phone(open_page: Open, pool: Pool) -> None:
    start_session(pool, "session-0")
    page = open_page(viewport={"width": 360, "height": 740})
    expect(rows(page)).to_have_count(1)
    page.locator("summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    shoot(page, "phone")


def test_nothing_moves_for_who_wants_no_motion(open_page: Open, pool: Pool) -> None:
    start_session(pool, "session-0")
    page = open_page(reduced_motion="reduce")
    expect(rows(page)).to_have_count(1)
    assert page.evaluate(MOVING) == 0
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate(MOVING) > 0
