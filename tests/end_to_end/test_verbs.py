"""The verbs that a user must be able to tell apart: restart, reset, release, detach, reattach."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.driver import Content, Notebook, Pool, run_in_pod, wait_until
from tests.faults.proxy import FaultProxy

Start = Callable[..., Notebook]

WHICH_POD = "__import__('os').environ['REMOTE_KERNEL_POD']"
LEAVE_TRACES = "a = 1; open('trace', 'w').close()"
TRACES = "('a' in globals(), __import__('os').path.exists('trace'))"


def test_restart_gives_a_fresh_interpreter_in_the_same_pod_with_its_files(notebook: Notebook) -> None:
    pod = notebook.run(WHICH_POD).result
    notebook.run(LEAVE_TRACES)
    notebook.manager.restart_kernel()
    notebook.wait_answers()
    cell = notebook.run(TRACES)
    assert (cell.result, cell.displayed) == ("(False, True)", "")
    assert notebook.run(WHICH_POD).result == pod


def test_restart_whose_pod_is_gone_says_that_the_files_are(start_notebook: Start, pool: Pool) -> None:
    notebook = start_notebook(REMOTE_KERNEL_IDENTIFIER="restart-gone")
    notebook.run(LEAVE_TRACES)
    pool.stop_session("restart-gone")
    notebook.manager.restart_kernel()
    notebook.wait_answers()
    cell = notebook.run(TRACES)
    assert cell.result == "(False, False)"
    assert "the files of the other are lost" in cell.displayed
    assert notebook.run("1").displayed == ""


def test_reset_gives_a_new_pod(notebook: Notebook) -> None:
    pod = notebook.run(WHICH_POD).result
    notebook.run(LEAVE_TRACES)
    assert "A new one is starting" in notebook.run("%session reset").displayed
    assert notebook.run(TRACES).result == "(False, False)"
    assert notebook.run(WHICH_POD).result != pod


def test_a_kernel_that_was_just_restarted_can_give_its_pod_back(notebook: Notebook) -> None:
    notebook.run(LEAVE_TRACES)
    notebook.manager.restart_kernel()
    notebook.wait_answers()
    assert "was given back" in notebook.run("%session reset").displayed
    assert notebook.run(TRACES).result == "(False, False)"


def test_exit_handlers_run_whatever_ends_the_interpreter(start_notebook: Start, tmp_path: Path) -> None:
    notebook = start_notebook()

    def leave_behind(name: str) -> Path:
        path = tmp_path / name
        code = (
            f"import atexit, time; log = open({str(path)!r}, 'w'); log.write('text')\natexit.register(time.sleep, 0.3)"
        )
        assert notebook.run(code).reply["status"] == "ok"
        return path

    for line in ("%session reset", "%session release"):
        path = leave_behind(line)
        notebook.run(line)
        wait_until(lambda path=path: path.read_text() == "text")  # type: ignore[misc]
    path = leave_behind("restart")
    notebook.manager.restart_kernel()
    notebook.wait_answers()
    assert notebook.run(f"open({str(path)!r}).read()").result == "'text'"
    path = leave_behind("shutdown")
    began = time.monotonic()
    notebook.close()
    assert time.monotonic() - began < 2
    wait_until(lambda: path.read_text() == "text")


def test_release_gives_the_pod_back_and_takes_none_until_the_next_cell(start_notebook: Start, pool: Pool) -> None:
    notebook = start_notebook()
    before = len(pool.sessions())
    notebook.run(LEAVE_TRACES)
    assert len(pool.sessions()) == before + 1
    assert "was given back" in notebook.run("%session release").displayed
    assert len(pool.sessions()) == before
    assert "There is no session" in notebook.run("%session release").displayed
    assert notebook.run(TRACES).result == "(False, False)"


def test_detach_leaves_the_session_and_the_next_cell_finds_it(notebook: Notebook) -> None:
    notebook.run("a = 42")
    assert "is kept for 300 s" in notebook.run("%session detach").displayed
    assert notebook.run("a").result == "42"


def test_a_command_waits_for_the_cells_before_it_and_the_cells_behind_for_it(notebook: Notebook) -> None:
    cells = ["import time; time.sleep(0.5); a = 1; print(a)", "%session reset", "'a' in globals()"]
    ids = [notebook.client.execute(cell) for cell in cells]
    replies = [notebook.reply_to(msg_id) for msg_id in ids]
    assert [reply["status"] for reply in replies] == ["ok", "ok", "ok"]
    result = notebook.wait_iopub(lambda message: message["msg_type"] == "execute_result")
    assert result["content"]["data"]["text/plain"] == "False"


def test_a_command_behind_an_error_is_aborted(notebook: Notebook) -> None:
    notebook.run("a = 1")
    ids = [notebook.client.execute(cell) for cell in ("import time; time.sleep(0.3); 1 / 0", "%session reset", "2")]
    assert [notebook.reply_to(msg_id)["status"] for msg_id in ids] == ["error", "aborted", "aborted"]
    assert notebook.run("a").result == "1"


def test_the_command_is_ours_whatever_magics_the_pod_s_kernel_has(notebook: Notebook) -> None:
    notebook.run("get_ipython().register_magic_function(lambda line: print('theirs', line), magic_name='session')")
    for line in ("%session help", "%session?", "%session upload?"):
        assert "%session reset" in notebook.run(line).displayed
    error = notebook.run("%session relaese").reply
    assert (error["ename"], error["evalue"]) == (
        "UsageError",
        "There is no '%session relaese'. Did you mean '%session release'? '%session help' lists what there is.",
    )
    assert notebook.run("get_ipython().run_line_magic('session', 'anything')").stdout == "theirs anything\n"


def test_a_command_that_cannot_be_done_says_so_and_changes_nothing(pool: Pool) -> None:
    with FaultProxy.before(pool.endpoint) as proxy, Notebook.start(environ=pool.environ(proxy.endpoint)) as notebook:
        notebook.run("a = 42")
        proxy.refuse(True)
        assert notebook.run("%session release").reply["ename"] == "PoolUnreachable"
        proxy.refuse(False)
        assert notebook.run("a").result == "42"


def test_reattach_finds_the_variables_and_shows_what_was_missed(start_notebook: Start, pool: Pool) -> None:
    notebook = start_notebook(REMOTE_KERNEL_IDENTIFIER="reattach")
    notebook.run("a = 42")
    wait_for_file = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)\n"
    notebook.client.execute(wait_for_file + "print('while you were away')")
    notebook.wait_iopub(lambda message: message["msg_type"] == "execute_input")
    os.kill(notebook.pid, signal.SIGKILL)
    with pool.client() as client:
        run_in_pod(client, "open('go', 'w').close()", identifier="reattach", kernel="helper")
    notebook.manager.restart_kernel(now=True)
    notebook.wait_answers()
    cell = notebook.run("a")
    assert cell.result == "42"
    assert "%session missed" in cell.displayed
    assert notebook.run("%session missed").stdout == "while you were away\n"


def test_what_was_left_running_is_over_with_the_session(start_notebook: Start, pool: Pool) -> None:
    notebook = start_notebook(REMOTE_KERNEL_IDENTIFIER="left-running")
    notebook.client.execute("print('go', flush=True)\nimport time; time.sleep(600)")
    notebook.wait_iopub(lambda message: message["msg_type"] == "stream")
    os.kill(notebook.pid, signal.SIGKILL)
    notebook.manager.restart_kernel(now=True)
    notebook.wait_iopub(lambda message: state_of_the_session(message) == "busy")
    release = notebook.client.execute("%session release")
    notebook.wait_iopub(lambda message: state_of_the_session(message) == "idle")
    assert notebook.reply_to(release)["status"] == "ok"


def state_of_the_session(message: Content) -> str:
    """Return what is said of the session itself, as no request's doing."""
    said = "" if message["parent_header"] else message["content"].get("execution_state", "")
    return str(said)


def test_a_shutdown_takes_less_than_two_seconds_and_is_made_up_for_by_the_next_kernel(
    pool: Pool, private_folders: Path
) -> None:
    with FaultProxy.before(pool.endpoint) as proxy:
        environ = pool.environ(proxy.endpoint)
        with Notebook.start(environ={**environ, "REMOTE_KERNEL_IDENTIFIER": "left-behind"}) as notebook:
            notebook.run("a = 1")
            proxy.stall(True)
            before = len(pool.sessions())
            started = time.monotonic()
            notebook.client.shutdown()
            wait_until(lambda: not notebook.manager.is_alive())
            assert time.monotonic() - started < 2
            (written,) = (private_folders / "runtime/remote-kernel/releases").iterdir()
            assert written.stat().st_mode & 0o777 == 0o600
            assert json.loads(written.read_text())["kernel"] == "main"
            proxy.cut()
            proxy.stall(False)
            other = Notebook.start(environ={**environ, "REMOTE_KERNEL_IDENTIFIER": "somebody-else"})
            try:
                other.run("pass")
                assert len(pool.sessions()) == before  # one was given back, one was taken
                assert not written.exists()
            finally:
                other.close()


def test_two_kernels_on_one_notebook_are_told_once_and_keep_their_replies_apart(
    start_notebook: Start, pool: Pool
) -> None:
    with FaultProxy.before(pool.endpoint) as proxy:
        environ = {"REMOTE_KERNEL_ENDPOINT": proxy.endpoint, "REMOTE_KERNEL_IDENTIFIER": "two-kernels"}
        check_two_kernels(start_notebook(**environ), start_notebook(**environ), proxy)


def check_two_kernels(first: Notebook, second: Notebook, proxy: FaultProxy) -> None:
    first.run("a = 1")
    told = {first: 0, second: 0}
    for _ in range(3):
        for kernel in (second, first):
            cell = kernel.run("a += 1; a")
            assert cell.reply["status"] == "ok"
            told[kernel] += cell.displayed.count("Another kernel uses")
        proxy.cut()  # each hears anew how many there are
    assert told == {first: 1, second: 1}
    assert first.run("a").result == "7"
    # The prompt goes to who runs the cell, and to nobody else.
    assert second.run("input('name? ')", answer="ada").result == "'ada'"
    assert not first.client.stdin_channel.msg_ready()


def test_the_first_of_two_kernels_that_is_shut_down_leaves_the_session_to_the_other(start_notebook: Start) -> None:
    first, second = (start_notebook(REMOTE_KERNEL_IDENTIFIER="two-kernels-2") for _ in range(2))
    first.run("a = 42")
    second.run("a")
    first.run("a")
    first.close()
    assert second.run("a").result == "42"
