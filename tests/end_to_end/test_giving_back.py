"""Nobody's session is taken: a kernel gives back what it knew, and only if nobody else uses it."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.driver import Notebook, Pool, run_in_pod, wait_until
from tests.faults.proxy import FaultProxy

Start = Callable[..., Notebook]


def test_a_kernel_at_rest_that_is_shut_down_leaves_the_session_to_who_uses_it(
    start_notebook: Start, pool: Pool
) -> None:
    before = len(pool.sessions())
    first, second = (start_notebook(REMOTE_KERNEL_IDENTIFIER="at-rest") for _ in range(2))
    first.run("a = 42")
    assert "Detached" in first.run("%session detach").displayed
    second.run("a")
    first.close()
    assert second.run("a").result == "42"
    assert "Detached" in second.run("%session detach").displayed
    second.close()
    assert len(pool.sessions()) == before, "the last one gives it back"


def test_a_kernel_at_rest_leaves_the_session_to_one_that_rests_as_well(start_notebook: Start) -> None:
    first, second = (start_notebook(REMOTE_KERNEL_IDENTIFIER="both-at-rest") for _ in range(2))
    first.run("a = 42")
    second.run("a")
    for kernel in (first, second):
        assert "Detached" in kernel.run("%session detach").displayed
    first.close()
    assert second.run("a").result == "42"


def test_a_kernel_whose_session_is_gone_does_not_take_another_s_new_one(start_notebook: Start, pool: Pool) -> None:
    first, second = (start_notebook(REMOTE_KERNEL_IDENTIFIER="gone-meanwhile") for _ in range(2))
    first.run("a = 1")
    assert "Detached" in first.run("%session detach").displayed
    pool.stop_session("gone-meanwhile")
    second.run("a = 42")
    first.close()
    assert second.run("a").result == "42"


def test_a_cell_of_another_kernel_is_not_interrupted_by_a_shutdown(start_notebook: Start, tmp_path: Path) -> None:
    """Front ends interrupt a kernel before they shut it down."""
    first, second = (start_notebook(REMOTE_KERNEL_IDENTIFIER="still-runs") for _ in range(2))
    first.run("a = 42")
    second.run("a")
    end = tmp_path / "end"
    msg_id = second.client.execute(
        f"import os, time\nprint('go', flush=True)\nwhile not os.path.exists({str(end)!r}): time.sleep(0.01)"
    )
    for kernel in (first, second):
        kernel.wait_iopub(lambda message: message["content"].get("text") == "go\n")
    first.close()
    end.touch()
    assert second.reply_to(msg_id)["status"] == "ok"


def test_a_cell_of_another_kernel_can_be_interrupted(start_notebook: Start) -> None:
    first, second = (start_notebook(REMOTE_KERNEL_IDENTIFIER="interrupted-by-another") for _ in range(2))
    first.run("a = 42")
    second.run("a")
    msg_id = second.client.execute("import time\nprint('go', flush=True); time.sleep(600)")
    first.wait_iopub(lambda message: message["content"].get("text") == "go\n")
    first.manager.interrupt_kernel()
    assert second.reply_to(msg_id)["ename"] == "KeyboardInterrupt"


def test_a_session_that_is_used_through_http_is_not_given_back_under_its_user(
    start_notebook: Start, pool: Pool
) -> None:
    notebook = start_notebook(REMOTE_KERNEL_IDENTIFIER="over-http")
    notebook.run("a = 42")
    with pool.client() as client:
        run_in_pod(client, "b = a", identifier="over-http")
        notebook.close()
        shown = [message["content"] for message in run_in_pod(client, "b", identifier="over-http")]
    assert any(content.get("data", {}).get("text/plain") == "42" for content in shown)


def test_a_release_that_is_made_up_for_later_takes_nothing_from_who_came_meanwhile(
    start_notebook: Start, pool: Pool
) -> None:
    with FaultProxy.before(pool.endpoint) as proxy:
        first = start_notebook(REMOTE_KERNEL_IDENTIFIER="made-up-for", REMOTE_KERNEL_ENDPOINT=proxy.endpoint)
        second = start_notebook(REMOTE_KERNEL_IDENTIFIER="made-up-for")
        first.run("a = 42")
        assert "Detached" in first.run("%session detach").displayed
        second.run("a")
        proxy.stall(True)
        first.client.shutdown()
        wait_until(lambda: not first.manager.is_alive())
        proxy.cut()
        proxy.stall(False)
        third = start_notebook(REMOTE_KERNEL_IDENTIFIER="made-up-by", REMOTE_KERNEL_ENDPOINT=proxy.endpoint)
        third.run("pass")
        assert second.run("a").result == "42"


@pytest.mark.parametrize("ends", ["shutdown", "SIGTERM"])
def test_a_kernel_that_was_restarted_and_has_run_nothing_since_gives_its_session_back(
    start_notebook: Start, pool: Pool, ends: str
) -> None:
    before = len(pool.sessions())
    notebook = start_notebook()  # whose session is private
    notebook.run("a = 42")
    notebook.manager.restart_kernel()
    notebook.wait_answers()
    assert len(pool.sessions()) == before + 1
    if ends == "SIGTERM":
        os.kill(notebook.pid, signal.SIGTERM)
        wait_until(lambda: not notebook.manager.is_alive())
    notebook.close()
    wait_until(lambda: len(pool.sessions()) == before)


def test_a_reset_says_who_else_loses_the_session_and_they_are_told(start_notebook: Start) -> None:
    first, second = (start_notebook(REMOTE_KERNEL_IDENTIFIER="reset-for-two") for _ in range(2))
    first.run("a = 42")
    second.run("a")
    assert "Another kernel used it as well and is told." in first.run("%session reset").displayed
    assert second.run("a").reply["ename"] == "SessionLost"
