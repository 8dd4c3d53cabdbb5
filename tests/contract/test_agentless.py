"""What becomes of a notebook where there can be no agent: told, and never wrong."""

from collections.abc import Callable, Iterator

import pytest

from remote_kernel.client.access import ConfiguredAccess
from remote_kernel.client.http.pool_client import PoolClient
from remote_kernel.client.interpreter.cells import Cells, Lost
from remote_kernel.client.interpreter.executions import Executions
from remote_kernel.client.interpreter.injection import Injection, Module
from remote_kernel.core.identity import Identifier
from tests.driver import Cell, Content, Notebook, Pool
from tests.faults.proxy import FaultProxy, Plan

Start = Callable[..., Notebook]


@pytest.fixture(scope="module")
def locked() -> Iterator[Pool]:
    with Pool.start("--flavor", "interpreter", "--sandbox", "strict", "--max-sessions", "10") as pool:
        yield pool


@pytest.fixture
def start(locked: Pool) -> Iterator[Start]:
    started: list[Notebook] = []

    def start(identifier: str, endpoint: str = "") -> Notebook:
        environ = {"REMOTE_KERNEL_ENDPOINT": endpoint or locked.endpoint, "REMOTE_KERNEL_TOKEN": locked.token}
        started.append(Notebook.start(environ={**environ, "REMOTE_KERNEL_IDENTIFIER": identifier}))
        return started[-1]

    yield start
    for notebook in started:
        notebook.close()


def stderr_of(cell: Cell) -> str:
    return "".join(content["text"] for content in cell.of_type("stream") if content["name"] == "stderr")


def test_what_is_missing_is_said_once_and_input_fails_at_once(start: Start) -> None:
    notebook = start("plain-missing")
    said = stderr_of(notebook.run("1"))
    assert "Read-only file system" in said
    for missing in ("220 s", "output at the end", "input()", "interrupt", "widgets", "restart"):
        assert missing in said
    cell = notebook.run("input()", answer="never asked for")
    assert (stderr_of(cell), cell.reply["ename"]) == ("", "StdinNotImplementedError")


@pytest.mark.contract
def test_an_interrupt_is_told_to_be_none(start: Start) -> None:
    notebook = start("plain-interrupt")
    notebook.run("import time")
    interrupted: list[Content] = []

    def interrupt(message: Content) -> None:
        if message["msg_type"] == "status" and not interrupted:
            interrupted.append(message)
            notebook.manager.interrupt_kernel()

    cell = notebook.run("time.sleep(1); 'slept'", on_message=interrupt)
    assert cell.result == "'slept'"
    assert "cannot be interrupted" in stderr_of(cell)


@pytest.mark.contract
def test_a_cell_that_takes_too_long_is_told_what_ended_it() -> None:
    with (
        Pool.start("--flavor", "interpreter", "--sandbox", "strict", "--sync-limit", "2") as pool,
        Notebook.start(environ=pool.environ()) as notebook,
    ):
        notebook.run("import time; kept = 1")
        cell = notebook.run("time.sleep(30)")
        assert cell.reply["ename"] == "KeyboardInterrupt"
        assert "ended from outside" in stderr_of(cell)
        assert notebook.run("kept").result == "1"


@pytest.mark.contract
def test_a_cell_whose_answer_was_lost_runs_once(locked: Pool, start: Start) -> None:
    with FaultProxy.before(locked.endpoint) as proxy:
        notebook = start("plain-cut", proxy.endpoint)
        notebook.run("import time; runs = 0")
        before = proxy.connections
        proxy.plan = lambda number: Plan(cut_down_after=20 if number == before else None)
        proxy.cut()
        assert notebook.run("runs += 1; print('done')").stdout == "done\n"
        assert proxy.connections >= before + 2, "its answer was cut"
        assert notebook.run("runs").result == "1"


@pytest.mark.contract
@pytest.mark.anyio
async def test_a_cell_that_is_asked_for_again_after_others_runs_once(locked: Pool) -> None:
    """As two kernels do on one session, one of which has lost its answer."""
    pool = PoolClient(ConfiguredAccess(locked.endpoint, locked.token), Identifier("plain-two"))
    executions, cells = Executions(pool), Cells(pool)

    def make(length: int) -> Injection:
        code = "n = globals().get('n', 0) + 1; n"
        argument = {"epoch": "", "cell": "a", "code": code, "is_silent": False, "start": 0, "length": length - 20}
        return Injection.make(Module.CELL, {**argument, "reader": "r", "max_bytes": 2**20, "max_packed": 2**20})

    first = await executions.run(make, seconds=10)
    epoch = (await cells.find("")).epoch
    for _ in range(2):
        await cells.run(epoch, "'another'", is_silent=False)
    assert await executions.run(make, seconds=10) == first
    assert (await cells.run(epoch, "n", is_silent=False)).shown[0][1]["data"]["text/plain"] == "1"
    with pytest.raises(Lost):
        await cells.run("plain-other", "n = 0", is_silent=False)
    await pool.aclose()


@pytest.mark.contract
def test_a_kernel_that_was_killed_has_a_successor_with_the_variables(start: Start) -> None:
    notebook = start("plain-killed")
    notebook.run("kept = 42")
    notebook.manager.restart_kernel(now=True)
    notebook.wait_answers()
    assert notebook.run("kept").result == "42"


@pytest.mark.contract
def test_an_interpreter_of_one_s_own_is_refused_with_a_sentence(locked: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    with Notebook.start(
        environ={**locked.environ(), "REMOTE_KERNEL_IDENTIFIER": "plain-fresh", "REMOTE_KERNEL_FRESH": "1"}
    ) as notebook:
        reply = notebook.run("1").reply
        assert "REMOTE_KERNEL_FRESH" in reply["evalue"]
