"""With `REMOTE_KERNEL_START=eager` the session is taken as the kernel starts."""

from collections.abc import Callable

from tests.driver import Notebook, Pool, wait_until
from tests.places.test_vscode import VsCode

Start = Callable[..., Notebook]

INITIALIZE = {"clientID": "test", "adapterID": "", "pathFormat": "path", "linesStartAt1": True}


def test_the_session_is_there_before_the_first_cell(start_notebook: Start, pool: Pool) -> None:
    before = len(pool.sessions())
    notebook = start_notebook(REMOTE_KERNEL_START="eager", REMOTE_KERNEL_IDENTIFIER="eager-1")
    wait_until(lambda: len(pool.sessions()) == before + 1)
    assert notebook.run("6 * 7").result == "42"
    notebook.close()
    assert len(pool.sessions()) == before


def test_requests_before_any_cell_are_the_session_s(start_notebook: Start) -> None:
    notebook = start_notebook(REMOTE_KERNEL_START="eager")
    assert "zip" in notebook.reply_to(notebook.client.complete("zi"))["matches"]
    subshell = notebook.request("control", "create_subshell_request", {})["subshell_id"]
    assert notebook.request("control", "list_subshell_request", {})["subshell_id"] == [subshell]
    content = {"type": "request", "seq": 1, "command": "initialize", "arguments": INITIALIZE}
    assert notebook.request("control", "debug_request", content)["success"]


def test_a_session_that_cannot_be_had_is_told_in_the_first_cell() -> None:
    with Pool.start("--max-sessions", "1") as pool:
        settings = pool.environ()
        first = Notebook.start(environ=settings)
        first.run("pass")
        eager = {"REMOTE_KERNEL_START": "eager", "REMOTE_KERNEL_WAIT_SECONDS": "0.2"}
        second = Notebook.start(environ={**settings, **eager})
        assert second.reply_to(second.client.kernel_info())["status"] == "ok"
        assert second.run("pass").reply["ename"] == "PoolFull"
        first.close()
        assert second.run("1").result == "1"
        second.close()


def test_a_word_that_is_no_start_is_told_in_the_first_cell(start_notebook: Start) -> None:
    reply = start_notebook(REMOTE_KERNEL_START="soon").run("pass").reply
    assert (reply["ename"], "REMOTE_KERNEL_START is 'soon': use one of lazy, eager" in reply["evalue"]) == (
        "SettingsError",
        True,
    )


def test_vs_code_s_first_hidden_cells_name_the_notebook(start_notebook: Start) -> None:
    path = "/home/ada/eager.ipynb"
    eager = VsCode(start_notebook(REMOTE_KERNEL_START="eager"), path)
    eager.open()
    whose = "import os; print(os.environ['REMOTE_KERNEL_POD'], __vsc_ipynb_file__)"
    lazy = start_notebook(REMOTE_KERNEL_NOTEBOOK=path)
    assert eager.run(whose).stdout == lazy.run(whose).stdout
