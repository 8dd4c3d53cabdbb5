"""What executes a notebook by itself never goes on in an empty session: it finds its kernel dead."""

from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError

from tests.driver import Notebook, Pool, wait_until

Start = Callable[..., Notebook]


def run_until_death(notebook: Notebook, code: str) -> str:
    """Run a cell without anybody there, and return the error after which the kernel ends."""
    msg_id = notebook.client.execute(code, allow_stdin=False)
    error = notebook.wait_iopub(lambda message: message["msg_type"] == "error")
    assert error["parent_header"]["msg_id"] == msg_id
    idle = notebook.wait_iopub(lambda message: message["content"].get("execution_state") == "idle")
    assert idle["parent_header"]["msg_id"] == msg_id
    wait_until(lambda: not notebook.manager.is_alive())
    name: str = error["content"]["ename"]
    return name


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_tool_that_allows_errors_finds_its_kernel_dead(
    tmp_path: Path, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REMOTE_KERNEL_ENDPOINT", pool.endpoint)
    monkeypatch.setenv("REMOTE_KERNEL_TOKEN", pool.token)
    ran = tmp_path / "ran"
    sources = ("kept = 1", "import os; os._exit(7)", f"open({str(ran)!r}, 'w').close()")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    with pytest.raises(DeadKernelError):
        NotebookClient(notebook, kernel_name="remote", allow_errors=True).execute()
    (told,) = notebook.cells[1].outputs
    assert (told.ename, "exit status 7" in told.evalue) == ("SessionLost", True)
    assert not ran.exists()


def test_its_kernel_says_so_before_anything_runs_and_the_next_one_begins_anew(
    start_notebook: Start, pool: Pool
) -> None:
    notebook = start_notebook(REMOTE_KERNEL_IDENTIFIER="unattended-1")
    notebook.run("kept = 1", allow_stdin=False)
    pool.stop_session("unattended-1")
    assert run_until_death(notebook, "open('ran', 'w').close()") == "SessionLost"
    notebook.manager.restart_kernel(now=True)  # what Jupyter's restarter does of a kernel that has died
    notebook.wait_answers()
    cell = notebook.run("import os; 'kept' in globals(), os.path.exists('ran')", allow_stdin=False)
    assert cell.result == "(False, False)"
    assert cell.displayed == ""


def test_a_command_that_finds_the_session_gone_ends_it_as_well(
    start_notebook: Start, pool: Pool, tmp_path: Path
) -> None:
    (tmp_path / "data").touch()
    notebook = start_notebook(REMOTE_KERNEL_IDENTIFIER="unattended-2")
    notebook.run("kept = 1", allow_stdin=False)
    pool.stop_session("unattended-2")
    assert run_until_death(notebook, f"%session upload {tmp_path}/data") == "SessionLost"


def test_a_kernel_with_a_person_lives_on_whoever_finds_out(start_notebook: Start, pool: Pool) -> None:
    notebook = start_notebook(REMOTE_KERNEL_IDENTIFIER="unattended-3")
    notebook.run("kept = 1")
    pool.stop_session("unattended-3")
    # As an extension of JupyterLab or VS Code does, which shows a table of variables.
    assert notebook.run("dir()", allow_stdin=False, store_history=False).reply["ename"] == "SessionLost"
    assert notebook.run("'kept' in globals()").result == "False"
