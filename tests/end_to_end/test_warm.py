"""Warm as long as wanted, no longer."""

import time

import pytest

from tests.driver import Notebook, Pool, wait_until

pytestmark = pytest.mark.slow


def start(pool: Pool, **environ: str) -> Notebook:
    settings = pool.environ()
    return Notebook.start(environ=settings | environ)


@pytest.mark.parametrize("direct", ["0", "1"])
def test_a_cell_is_not_cooled_down_while_it_runs_and_its_pod_is_afterwards(direct: str) -> None:
    with Pool.start("--cooldown", "3") as pool:
        notebook = start(pool, REMOTE_KERNEL_KEEPALIVE_MINUTES="0", REMOTE_KERNEL_DIRECT=direct)
        try:
            cell = notebook.run("import time\nfor i in range(5): print(i, flush=True); time.sleep(1)\na = 42\na")
            assert (cell.stdout, cell.result) == ("0\n1\n2\n3\n4\n", "42")
            wait_until(lambda: not pool.sessions())
            cell = notebook.run("a")
            assert cell.reply["ename"] == "SessionLost"
            assert "given back after a pause" in cell.reply["evalue"]
            assert notebook.run("'a' in globals()").result == "False"
        finally:
            notebook.close()


@pytest.mark.parametrize(
    "options",
    [
        pytest.param("", id="custom"),
        # Built-in interpreters see nothing but executions.
        pytest.param("--flavor interpreter", id="bridged", marks=pytest.mark.contract),
        pytest.param("--flavor interpreter --sandbox strict", id="plain", marks=pytest.mark.contract),
    ],
)
def test_a_notebook_that_is_open_is_kept_for_the_time_that_was_asked_for(options: str) -> None:
    with Pool.start("--cooldown", "2", *options.split()) as pool:
        notebook = start(pool, REMOTE_KERNEL_KEEPALIVE_MINUTES="0.08")
        try:
            notebook.run("pass")
            ended = time.monotonic()
            wait_until(lambda: not pool.sessions())
            assert time.monotonic() - ended > 4.5
        finally:
            notebook.close()


def test_a_silent_cell_is_kept_as_well() -> None:
    with Pool.start("--cooldown", "2") as pool:
        notebook = start(pool, REMOTE_KERNEL_KEEPALIVE_MINUTES="0")
        try:
            assert notebook.run("import time; time.sleep(4); 42").result == "42"
        finally:
            notebook.close()


def test_a_cell_whose_kernel_was_killed_is_kept_by_the_next() -> None:
    with Pool.start("--cooldown", "4") as pool, pool.client() as client:
        notebook = start(pool, REMOTE_KERNEL_KEEPALIVE_MINUTES="0", REMOTE_KERNEL_IDENTIFIER="kept-by-the-next")
        try:
            notebook.run("a = 42")
            notebook.client.execute("print('go', flush=True)\nimport time; time.sleep(7); print('done', flush=True)")
            notebook.wait_iopub(lambda message: message["msg_type"] == "stream")
            notebook.manager.restart_kernel(now=True)
            notebook.wait_iopub(lambda message: "done" in str(message["content"]))
            assert client.get("/api/v2/session", params={"identifier": "kept-by-the-next"}).json()["kernels"]
        finally:
            notebook.close()
