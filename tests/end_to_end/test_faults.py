"""At most once, nothing lost, in order: notebooks over lines that fail, and a laptop that sleeps.

`make soak` does the first test hundreds of times.
"""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.certificate import FILE_NAME, make_certificate
from tests.driver import Content, Notebook, Pool, run_in_pod, stdout_of, wait_until
from tests.faults.proxy import FaultProxy, Plan, RandomPlans
from tests.faults.runs import notebook_behind, run_cells, run_seed

RUN_COUNT = "sum(1 for _ in open('count'))"


@pytest.mark.parametrize("seed", range(3))
def test_cells_run_once_and_their_output_is_whole(pool: Pool, seed: int) -> None:
    outcome = run_seed(pool, seed)
    assert outcome.is_good, outcome


@pytest.fixture(scope="module")
def line(pool: Pool) -> Iterator[tuple[FaultProxy, Notebook]]:
    """A line, and a notebook whose session it leads to."""
    with FaultProxy.before(pool.endpoint) as proxy, notebook_behind(proxy, pool) as notebook:
        notebook.run("pass")
        yield proxy, notebook


@pytest.mark.parametrize("seed", range(3, 12))
def test_cells_of_a_session_that_is_there_run_once(line: tuple[FaultProxy, Notebook], seed: int) -> None:
    outcome = run_cells(*line, seed)
    assert outcome.is_good, outcome


@pytest.fixture(scope="module")
def interpreters() -> Iterator[Pool]:
    with Pool.start("--flavor", "interpreter", "--sync-limit", "3") as pool:
        yield pool


@pytest.mark.contract
@pytest.mark.parametrize("seed", range(3))
def test_cells_run_once_and_their_output_is_whole_in_a_built_in_interpreter(interpreters: Pool, seed: int) -> None:
    outcome = run_seed(interpreters, seed)
    assert outcome.is_good, outcome


@pytest.mark.slow
def test_a_cell_outlives_the_limit_on_executions(interpreters: Pool) -> None:
    check_long_cell(interpreters)


def check_long_cell(pool: Pool) -> None:
    """Run a cell of four seconds that prints all the while: once, and whole."""
    with Notebook.start(environ=pool.environ()) as notebook:
        code = "import time\nfor i in range(80): print(i, flush=True); time.sleep(0.05)"
        cell = notebook.run(f"runs = globals().get('runs', 0) + 1\n{code}")
        assert cell.stdout == "".join(f"{number}\n" for number in range(80))
        assert notebook.run("runs").result == "1"


def test_a_seed_decides_what_is_injected() -> None:
    first, second, other = RandomPlans(1), RandomPlans(1), RandomPlans(2)
    plans = [[make(number) for number in range(50)] for make in (first, second, other)]
    assert plans[0] == plans[1] != plans[2]
    assert set(first.injected + other.injected) == {"refused", "up", "down", "stall", "slow"}


def test_a_laptop_that_sleeps_finds_everything_when_it_wakes(pool: Pool) -> None:
    with (
        FaultProxy.before(pool.endpoint) as proxy,
        pool.client() as client,
        Notebook.start(environ={**pool.environ(proxy.endpoint), "REMOTE_KERNEL_IDENTIFIER": "asleep"}) as notebook,
    ):
        code = (
            "open('count', 'a').write('x\\n')\nimport os, time\nfor i in range(100):\n    print(i, flush=True)\n"
            "    while i == 20 and not os.path.exists('wake'): time.sleep(0.01)\n"
        )
        msg_id = notebook.client.execute(code)
        printed = wait_for_line(notebook, "20\n")
        os.kill(notebook.pid, signal.SIGSTOP)
        try:
            proxy.cut()
            run_in_pod(client, "open('wake', 'w').close()", identifier="asleep", kernel="other")
            session = "/api/v2/session?identifier=asleep"
            wait_until(lambda: not any(kernel["is_busy"] for kernel in client.get(session).json()["kernels"]))
        finally:
            os.kill(notebook.pid, signal.SIGCONT)
        printed += wait_for_line(notebook, "99\n")
        assert notebook.reply_to(msg_id)["status"] == "ok"
        assert printed == "".join(f"{number}\n" for number in range(100))
        assert notebook.run(f"print({RUN_COUNT})").stdout == "1\n"


def test_a_cell_that_runs_while_the_pool_turns_us_away_is_said_to_go_on(pool: Pool) -> None:
    with FaultProxy.before(pool.endpoint) as proxy, Pool.start() as other:
        environ = pool.environ(proxy.endpoint)
        with Notebook.start(environ={**environ, "REMOTE_KERNEL_IDENTIFIER": "turned-away"}) as notebook:
            code = (
                "open('count', 'a').write('x\\n')\nimport os, time\nprint('begun', flush=True)\n"
                "while not os.path.exists('go'): time.sleep(0.01)\nprint('gone on'); ended = True"
            )
            msg_id = notebook.client.execute(code)
            wait_for_line(notebook, "begun\n")
            home, proxy.target = proxy.target, int(other.endpoint.rsplit(":", 1)[1])
            proxy.cut()
            reply = notebook.reply_to(msg_id)
            assert reply["ename"] == "Unauthorized"
            assert "does not accept the token" in reply["evalue"]
            assert "may still run" in reply["evalue"]
            refused = notebook.run("6 * 7").reply
            assert refused["ename"] == "Unauthorized"
            assert "may still run" not in refused["evalue"]
            proxy.target = home
            with pool.client() as client:
                run_in_pod(client, "open('go', 'w').close()", kernel="other", identifier="turned-away")
            cell = notebook.run(f"print(ended, {RUN_COUNT})")
            assert cell.stdout == "True 1\n"
            assert "%session missed" in cell.displayed
            assert notebook.run("%session missed").stdout == "gone on\n"


def wait_for_line(notebook: Notebook, line: str) -> str:
    """Collect what is printed up to a line."""
    printed = ""
    while not printed.endswith(line):
        printed += stdout_of([notebook.wait_iopub(lambda message: message["msg_type"] == "stream")])
    return printed


def test_a_slow_line_to_another_machine_carries_text_compressed(
    start_notebook: Callable[..., Notebook], pool: Pool, tmp_path: Path
) -> None:
    certificate = make_certificate(tmp_path)
    text = "".join(f"step {number}: loss {number * 7919 % 10_007 / 10_007:.4f}\n" for number in range(50_000))
    code = "for n in range(50_000): print(f'step {n}: loss {n * 7919 % 10_007 / 10_007:.4f}')"
    with FaultProxy.before(pool.endpoint, certificate) as proxy:
        proxy.plan = lambda _number: Plan(bytes_per_second=1.25e6)  # 10 Mbit/s
        notebook = start_notebook(REMOTE_KERNEL_ENDPOINT=proxy.endpoint, SSL_CERT_FILE=str(tmp_path / FILE_NAME))
        assert notebook.run(code).stdout == text
        assert proxy.passed["down"] < len(text) / 2
        notebook.close()


@pytest.mark.slow
def test_a_cell_outlives_the_cap_on_requests() -> None:
    with Pool.start("--request-cap", "1") as pool:
        check_long_cell(pool)


def test_nothing_is_lost_while_the_agent_has_no_processor(pool: Pool, notebook: Notebook, tmp_path: Path) -> None:
    go, done = tmp_path / "go", tmp_path / "done"
    before = {session["pid"] for session in pool.sessions()}
    notebook.run("import os, pathlib, time")
    (agent,) = {session["pid"] for session in pool.sessions()} - before
    msg_id = notebook.client.execute(
        f"print('begun', flush=True)\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
        f"for i in range(4_000): print(i, flush=True)\npathlib.Path({str(done)!r}).touch()"
    )
    notebook.wait_iopub(lambda message: message["msg_type"] == "stream")
    os.kill(agent, signal.SIGSTOP)
    try:
        go.touch()
        wait_until(done.exists)
    finally:
        os.kill(agent, signal.SIGCONT)
    said: list[Content] = []
    while not said or said[-1]["msg_type"] != "status":
        said.append(notebook.wait_iopub(lambda message: message["parent_header"].get("msg_id") == msg_id))
    assert stdout_of(said) == "".join(f"{number}\n" for number in range(4_000))
