"""What a user of JupyterLab reads where a pool in Azure lets nobody in: which it may be, and what to do."""

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.azure_pool import BARE_500, FULL_429, IN_THE_MAKING, NO_ROLE, AzurePool, Refused, run_azure_pool
from tests.browser.lab import Lab, OpenNotebook

if TYPE_CHECKING:
    from playwright.sync_api import Page

expect = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install -e .[browser]").expect

pytestmark = pytest.mark.browser

Shoot = Callable[[str], None]

# What is said of a pool that may have a broken image comes after half a minute.
PATIENCE_MILLISECONDS = 60_000


@pytest.fixture(scope="module")
def azure() -> Iterator[AzurePool]:
    with run_azure_pool(cooldown_seconds=600.0) as running:
        yield running


@pytest.fixture(scope="module")
def lab_environ(azure: AzurePool) -> dict[str, str]:
    return {**azure.environ, "REMOTE_KERNEL_ACCESS_WAIT_SECONDS": "12"}


def refuse(azure: AzurePool, refused: Refused | None) -> None:
    azure.refuses = lambda token: refused


def test_a_pool_that_lets_nobody_in(lab: Lab, page: "Page", azure: AzurePool, shoot: Shoot) -> None:
    """One notebook meets one thing after the other, as it never has a session until the last cell."""
    lab.write_notebook("azure.ipynb", ("6 * 7",) * 6)
    notebook = OpenNotebook.open(page, "azure.ipynb")
    told = [
        ("1-no-role", NO_ROLE, "waiting for the right to use the session pool", "takes some minutes to work"),
        ("2-in-the-making", IN_THE_MAKING, "waiting until the session pool is ready", "9 minutes to an hour"),
        ("3-full-500", BARE_500, "waiting for a free session", "the pool answers with status 500"),
        ("4-full-429", FULL_429, "waiting for a free session", ""),
        ("5-broken-image", FULL_429, "waiting for a free session", "PoolReadyPodCount, which is 0 then"),
    ]
    for index, (picture, refused, reason, more) in enumerate(told):
        refuse(azure, refused)
        notebook.run(index)
        line = re.compile(rf"{reason}, \d\d:\d\d.*{re.escape(more)}", re.DOTALL)
        expect(notebook.output(index)).to_have_text(line, timeout=PATIENCE_MILLISECONDS)
        notebook.cell(index).scroll_into_view_if_needed()
        shoot(picture)
        if refused in (NO_ROLE, IN_THE_MAKING):
            expect(notebook.output(index)).to_contain_text("az role" if refused is NO_ROLE else "provisioningState")
            expect(notebook.prompt(index)).to_have_text("[ ]:")
            expect(notebook.output(index)).not_to_contain_text("waiting")
            shoot(f"{picture}-given-up")
            continue
        notebook.press_button("Interrupt the kernel")
        expect(notebook.output(index)).to_contain_text("KeyboardInterrupt")
    notebook.run(5)
    refuse(azure, None)
    expect(notebook.output(5)).to_have_text(re.compile("42$"))
    expect(notebook.output(5)).not_to_contain_text("waiting")
    shoot("6-ran")

    # The session ends, and somebody else has taken what it has left free.
    (identifier,) = azure.sessions
    azure.take(identifier)
    azure.ceiling = 0
    notebook.run(0)
    expect(notebook.output(0)).to_contain_text("The remote session is gone")
    shoot("7-gone-while-full")
    assert azure.sessions == {}
    lab.shut_kernels_down()
