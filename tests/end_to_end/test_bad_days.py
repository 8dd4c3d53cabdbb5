"""What a user sees when something is wrong: a readable error in the cell, and a kernel that lives on."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from html import escape
from pathlib import Path

import pytest

from tests.driver import Content, Notebook, Pool, run_in_pod, stdout_of, wait_until
from tests.faults.proxy import FaultProxy

Start = Callable[..., Notebook]


@pytest.mark.parametrize(
    ("environ", "ename", "evalue"),
    [
        ({"REMOTE_KERNEL_SCOPE": "everyone"}, "SettingsError", "REMOTE_KERNEL_SCOPE is 'everyone': use one of"),
        ({"REMOTE_KERNEL_IDENTIFIER": "a b"}, "IdentityError", "use 4 to 128 letters, digits and hyphens"),
        ({"REMOTE_KERNEL_IDENTITY_KEY": "c2hvcnQ="}, "IdentityError", "REMOTE_KERNEL_IDENTITY_KEY holds 5 bytes"),
        ({"REMOTE_KERNEL_SCOPE": "job"}, "SettingsError", "set REMOTE_KERNEL_JOB_ID"),
        ({"REMOTE_KERNEL_TOKEN": "wrong"}, "Unauthorized", "does not accept the token"),
        (
            {"REMOTE_KERNEL_ENDPOINT": "http://127.0.0.1:9", "REMOTE_KERNEL_WAIT_SECONDS": "0"},
            "PoolUnreachable",
            "127.0.0.1:9 cannot be reached",
        ),
        ({"REMOTE_KERNEL_ENDPOINT": "http://example.com", "REMOTE_KERNEL_TOKEN": ""}, "SettingsError", "use https://"),
        ({"REMOTE_KERNEL_POD_KERNEL": "cobol"}, "PoolRefused", "The pod has no kernel named 'cobol'"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isalpha() else "",
)
def test_what_is_wrong_is_said_in_the_cell_and_again_in_the_next(
    start_notebook: Start, environ: dict[str, str], ename: str, evalue: str
) -> None:
    notebook = start_notebook(**environ)
    for _ in range(2):
        cell = notebook.run("print('never')", answer="somebody is there")
        (error,) = cell.of_type("error")
        assert (cell.reply["status"], cell.reply["ename"], error["ename"]) == ("error", ename, ename)
        assert evalue in error["evalue"]
        assert len(error["traceback"]) == 1
        (explained,) = cell.of_type("display_data")
        assert explained["data"]["text/plain"] == error["evalue"]
        assert escape(error["evalue"]) in explained["data"]["text/html"]
    assert notebook.reply_to(notebook.client.kernel_info())["status"] == "ok"


def test_an_error_that_nobody_may_be_there_to_read_is_whole_in_its_traceback(start_notebook: Start) -> None:
    notebook = start_notebook(REMOTE_KERNEL_SCOPE="everyone")
    cell = notebook.run("pass", allow_stdin=False)
    (error,) = cell.of_type("error")
    assert error["evalue"] in error["traceback"][0]
    assert cell.of_type("display_data") == []


@contextmanager
def crowded(**environ: str) -> Iterator[tuple[Notebook, Notebook]]:
    """Two notebooks, of which the first has the only session of the pool; the second gets further settings."""
    with Pool.start("--max-sessions", "1") as pool:
        settings = pool.environ()
        first, second = Notebook.start(environ=settings), Notebook.start(environ=settings | environ)
        try:
            first.run("pass")
            yield first, second
        finally:
            first.close()
            second.close()


@pytest.mark.slow
def test_a_full_pool_is_an_error_after_the_wait_and_none_once_there_is_room() -> None:
    with crowded(REMOTE_KERNEL_WAIT_SECONDS="0.5") as (first, second):
        reply = second.run("pass").reply
        assert reply["ename"] == "PoolFull"
        assert "within 0.5 s. Shut down a notebook" in reply["evalue"]
        first.close()
        assert second.run("1 + 1").result == "2"


@pytest.mark.slow
def test_a_cell_waits_for_a_free_session_says_so_and_runs() -> None:
    with crowded() as (first, second):
        msg_id = second.client.execute("print('in')")
        line = r"waiting for a free session, \d\d:\d\d \(1 of 1 in use\)"
        second.wait_iopub(lambda message: re.search(line, str(message["content"])) is not None)
        first.close()
        assert second.reply_to(msg_id)["status"] == "ok"
        second.wait_iopub(lambda message: message["msg_type"] == "clear_output")


@pytest.mark.slow
def test_a_cell_that_waits_can_be_interrupted() -> None:
    with crowded() as (first, second):
        ids = [second.client.execute(code) for code in ("1", "2")]
        second.wait_iopub(lambda message: message["msg_type"] == "display_data")
        second.manager.interrupt_kernel()
        replies = [second.reply_to(msg_id) for msg_id in ids]
        assert (replies[0]["ename"], replies[1]["status"]) == ("KeyboardInterrupt", "aborted")
        first.close()
        assert second.run("3").result == "3"


def test_a_dead_interpreter_ends_the_cell_and_the_next_cell_has_a_new_one(notebook: Notebook) -> None:
    notebook.run("a = 1")
    # The pause is for ipykernel, which hands its output to a thread of ZeroMQ's that dies with it.
    cell = notebook.run("print('before', flush=True)\nimport os, time; time.sleep(0.3); os._exit(9)")
    assert cell.stdout == "before\n"
    assert cell.reply["ename"] == "SessionLost"
    assert "exit status 9" in cell.reply["evalue"]
    assert notebook.run("'a' in globals()").result == "False"


def test_cells_behind_the_one_that_lost_the_session_are_aborted(notebook: Notebook) -> None:
    notebook.run("pass")
    ids = [notebook.client.execute(code) for code in ("import os, time; time.sleep(0.5); os._exit(9)", "ran = True")]
    assert [notebook.reply_to(msg_id)["status"] for msg_id in ids] == ["error", "aborted"]
    assert notebook.run("'ran' in globals()").result == "False"


def test_a_lost_pod_is_told_before_anything_runs(start_notebook: Start, pool: Pool) -> None:
    notebook = start_notebook(REMOTE_KERNEL_IDENTIFIER="lost-pod-1")
    notebook.run("a = 1")
    pool.stop_session("lost-pod-1")
    cell = notebook.run("open('ran', 'w').close()")
    assert cell.reply["ename"] == "SessionLost"
    assert "files" in cell.reply["evalue"]
    assert notebook.run("import os; 'a' in globals(), os.path.exists('ran')").result == "(False, False)"


@pytest.mark.parametrize("is_noticed", [True, False])
def test_run_all_on_a_lost_session_fails_once_and_runs_nothing(
    start_notebook: Start, pool: Pool, private_folders: Path, is_noticed: bool
) -> None:
    identifier = f"lost-run-all-{is_noticed}"
    notebook = start_notebook(REMOTE_KERNEL_IDENTIFIER=identifier)
    notebook.run("a = 1")
    (binding,) = (private_folders / "runtime/remote-kernel/kernels").glob("*.json")
    pool.stop_session(identifier)
    if is_noticed:
        wait_until(lambda: json.loads(binding.read_text())["epoch"] == "")
    ids = [notebook.client.execute(f"open('ran-{number}', 'w').close()") for number in range(20)]
    replies = [notebook.reply_to(msg_id) for msg_id in ids]
    assert [reply.get("ename", reply["status"]) for reply in replies] == ["SessionLost"] + ["aborted"] * 19
    assert notebook.run("import glob; 'a' in globals(), glob.glob('ran*')").result == "(False, [])"


def test_a_running_cell_whose_pod_is_lost_ends_within_seconds(start_notebook: Start, pool: Pool) -> None:
    notebook = start_notebook(REMOTE_KERNEL_IDENTIFIER="lost-pod-2")
    msg_id = notebook.client.execute("print('go', flush=True)\nimport time; time.sleep(600)")
    notebook.wait_iopub(lambda message: message["msg_type"] == "stream")
    started = time.monotonic()
    pool.stop_session("lost-pod-2")
    assert notebook.reply_to(msg_id)["ename"] == "SessionLost"
    assert time.monotonic() - started < 20


@contextmanager
def killed_and_followed(notebook: Notebook) -> Iterator[None]:
    """Kill the local kernel and start another on the same connection file.

    jupyter_client's own restart may interrupt the cell that runs, if the old process lives long enough to be asked to.
    """
    notebook.manager.provisioner.process.kill()  # type: ignore[union-attr]
    wait_until(lambda: not notebook.manager.is_alive())
    command = [sys.executable, "-m", "remote_kernel", "-f", notebook.manager.connection_file]
    with subprocess.Popen(command) as successor:
        try:
            yield
        finally:
            successor.terminate()


def test_a_killed_kernel_s_successor_has_the_variables_and_the_running_cell(start_notebook: Start) -> None:
    notebook = start_notebook(REMOTE_KERNEL_IDENTIFIER="killed-successor")
    notebook.run("a = 42")
    notebook.client.execute("import time\nprint('one', flush=True)\ntime.sleep(1.5)\nprint('two', flush=True)")
    notebook.wait_iopub(lambda message: message["msg_type"] == "stream")
    with killed_and_followed(notebook):
        notebook.wait_iopub(lambda message: message["msg_type"] == "stream" and "two" in message["content"]["text"])
        notebook.wait_answers()
        assert notebook.run("a").result == "42"


def test_what_a_cell_printed_while_no_kernel_was_there_is_shown_by_the_next(start_notebook: Start, pool: Pool) -> None:
    notebook = start_notebook(REMOTE_KERNEL_IDENTIFIER="missed-output")
    notebook.run("pass")
    notebook.client.execute(
        "import os, time\nprint('one', flush=True)\nwhile not os.path.exists('go'): time.sleep(0.01)\nprint('two')"
    )
    notebook.wait_iopub(lambda message: message["msg_type"] == "stream")
    os.kill(notebook.pid, signal.SIGKILL)
    with pool.client() as client:
        run_in_pod(client, "open('go', 'w').close()", identifier="missed-output", kernel="helper")
        session = "/api/v2/session?identifier=missed-output"
        wait_until(lambda: not any(kernel["is_busy"] for kernel in client.get(session).json()["kernels"]))
    notebook.manager.restart_kernel(now=True)
    notebook.wait_iopub(lambda message: message["msg_type"] == "stream" and "two" in message["content"]["text"])


def test_what_an_earlier_process_left_running_can_be_interrupted_at_once(start_notebook: Start) -> None:
    notebook = start_notebook(REMOTE_KERNEL_IDENTIFIER="killed-interrupted")
    notebook.client.execute("print('one', flush=True)\nimport time; time.sleep(600)")
    notebook.wait_iopub(lambda message: message["msg_type"] == "stream")
    with killed_and_followed(notebook):
        notebook.request("control", "interrupt_request", {})  # before anybody can know that something is running
        notebook.wait_iopub(lambda message: message["content"].get("ename") == "KeyboardInterrupt")


def test_a_loss_that_no_cell_was_told_of_is_told_by_the_next_process(
    start_notebook: Start, pool: Pool, private_folders: Path
) -> None:
    notebook = start_notebook(REMOTE_KERNEL_IDENTIFIER="lost-untold")
    notebook.run("a = 1")
    (binding,) = (private_folders / "runtime/remote-kernel/kernels").glob("*.json")
    pool.stop_session("lost-untold")
    wait_until(lambda: json.loads(binding.read_text())["epoch"] == "")
    with killed_and_followed(notebook):
        notebook.wait_answers()
        assert notebook.run("open('ran', 'w').close()").reply["ename"] == "SessionLost"
        assert notebook.run("import os; os.path.exists('ran')").result == "False"


@pytest.mark.slow
def test_a_restart_without_a_network_waits_for_a_free_session_where_its_own_is_gone() -> None:
    options = ("--max-sessions", "1", "--cooldown", "2")
    with Pool.start(*options) as pool, FaultProxy.before(pool.endpoint) as proxy, pool.client() as client:
        environ = pool.environ(proxy.endpoint)
        with Notebook.start(environ={**environ, "REMOTE_KERNEL_IDENTIFIER": "restart-full"}) as notebook:
            notebook.run("a = 1")
            proxy.refuse(True)
            notebook.manager.restart_kernel()
            notebook.wait_answers()
            wait_until(lambda: not pool.sessions())  # it has cooled down
            client.get("/api/v2/session", params={"identifier": "somebody-else"}).raise_for_status()
            proxy.refuse(False)
            msg_id = notebook.client.execute("print('a' in globals())")
            notebook.wait_iopub(lambda message: "waiting for a free session" in str(message["content"]))
            notebook.wait_iopub(lambda message: stdout_of([message]) == "False\n")
            assert notebook.reply_to(msg_id)["status"] == "ok"


def test_a_restart_without_a_network_happens_before_the_next_cell(pool: Pool) -> None:
    with FaultProxy.before(pool.endpoint) as proxy, Notebook.start(environ=pool.environ(proxy.endpoint)) as notebook:
        notebook.run("a = 1")
        proxy.refuse(True)
        notebook.manager.restart_kernel()
        notebook.wait_answers()
        proxy.refuse(False)
        assert notebook.run("'a' in globals()").result == "False"


def test_the_kernel_answers_and_leaves_quickly_with_the_network_down(pool: Pool) -> None:
    with FaultProxy.before(pool.endpoint) as proxy:
        notebook = Notebook.start(environ=pool.environ(proxy.endpoint))
        try:
            notebook.run("pass")
            proxy.stall(True)
            started = time.monotonic()
            assert notebook.reply_to(notebook.client.kernel_info())["status"] == "ok"
            assert notebook.request("control", "interrupt_request", {})["status"] == "ok"
            assert time.monotonic() - started < 1
            notebook.client.shutdown()
            wait_until(lambda: not notebook.manager.is_alive(), timeout_seconds=4)
        finally:
            proxy.stall(False)
            notebook.close()


def test_the_second_interrupt_frees_a_cell_whose_session_cannot_be_reached(pool: Pool) -> None:
    with FaultProxy.before(pool.endpoint) as proxy, Notebook.start(environ=pool.environ(proxy.endpoint)) as notebook:
        notebook.run("a = 42")
        proxy.refuse(True)
        msg_id = notebook.client.execute("b = 1")
        notebook.wait_iopub(lambda message: message["msg_type"] == "display_data")
        notebook.manager.interrupt_kernel()
        notebook.wait_iopub(lambda message: "interrupt again" in str(message["content"]))
        notebook.manager.interrupt_kernel()
        reply = notebook.reply_to(msg_id)
        assert reply["ename"] == "KeyboardInterrupt"
        assert "may still run there" in reply["evalue"]
        proxy.refuse(False)
        assert notebook.run("a").result == "42"


def run_and_interrupt(notebook: Notebook, proxy: FaultProxy, code: str, *, times: int = 2) -> str:
    """Run a cell until it prints, let nothing through any more, and interrupt it; the second time frees it here."""
    msg_id = str(notebook.client.execute(code))
    notebook.wait_iopub(lambda message: message["msg_type"] == "stream")
    proxy.stall(True)
    notebook.manager.interrupt_kernel()
    notebook.wait_iopub(lambda message: "interrupt again" in str(message["content"]))
    if times == 2:
        notebook.manager.interrupt_kernel()
        assert "may still run there" in notebook.reply_to(msg_id)["evalue"]
    return msg_id


def reach_again(proxy: FaultProxy) -> None:
    proxy.cut()
    proxy.stall(False)


def test_a_cell_that_was_freed_is_interrupted_once_when_the_session_is_back(pool: Pool) -> None:
    with FaultProxy.before(pool.endpoint) as proxy:
        notebook = Notebook.start(environ=pool.environ(proxy.endpoint))
        try:
            tidying = "finally:\n    time.sleep(0.3); tidy = True"
            code = f"import time\ntry:\n    print('go', flush=True); time.sleep(600)\n{tidying}"
            run_and_interrupt(notebook, proxy, code)
            reach_again(proxy)
            assert notebook.run("tidy").result == "True"
            assert "KeyboardInterrupt" in str(notebook.run("%session missed").messages)
        finally:
            proxy.stall(False)
            notebook.close()


@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupt_that_comes_late_hits_nobody_else_s_cell(pool: Pool, times: int) -> None:
    """The cell ends while the session cannot be reached, and then another kernel's runs in the same interpreter."""
    identifier = f"late-{times}"
    with FaultProxy.before(pool.endpoint) as proxy, pool.client() as client, ThreadPoolExecutor() as threads:

        def cursor() -> int:
            kernels = client.get("/api/v2/session", params={"identifier": identifier}).json()["kernels"]
            return int(next(kernel["cursor"] for kernel in kernels if kernel["name"] == "main"))

        def help_along(code: str) -> None:
            run_in_pod(client, code, identifier=identifier, kernel="other")

        notebook = Notebook.start(environ={**pool.environ(proxy.endpoint), "REMOTE_KERNEL_IDENTIFIER": identifier})
        try:
            wait = "import os, time\nwhile not os.path.exists('{}'): time.sleep(0.01)\n"
            msg_id = run_and_interrupt(notebook, proxy, f"print('go', flush=True)\n{wait.format('end')}", times=times)
            help_along("open('end', 'w').close()")
            others = f"open('begun', 'w').close()\n{wait.format('others end')}print('whole')"
            running = threads.submit(run_in_pod, client, others, identifier=identifier)
            help_along(wait.format("begun"))
            before = cursor()
            reach_again(proxy)
            wait_until(lambda: cursor() > before)  # the interrupt has been answered
            help_along("open('others end', 'w').close()")
            assert stdout_of(running.result()) == "whole\n"
            assert times == 2 or notebook.reply_to(msg_id)["status"] == "ok"
            assert notebook.run("'next'").result == "'next'"
        finally:
            proxy.stall(False)
            notebook.close()


def is_end_of(msg_id: str, message: Content) -> bool:
    return is_idle(message) and bool(message["parent_header"].get("msg_id") == msg_id)


def is_idle(message: Content) -> bool:
    return bool(message["content"].get("execution_state") == "idle")


def test_an_interrupt_that_the_pod_does_not_acknowledge_is_not_taken_for_done(pool: Pool) -> None:
    """The link looks well, but nothing gets through: as in the first seconds after a Wi-Fi network has gone."""
    with FaultProxy.before(pool.endpoint) as proxy:
        notebook = Notebook.start(environ={**pool.environ(proxy.endpoint), "REMOTE_KERNEL_IDENTIFIER": "deaf"})
        try:
            msg_id = notebook.client.execute("print('go', flush=True)\nimport time; time.sleep(600)")
            notebook.wait_iopub(lambda message: message["msg_type"] == "stream")
            proxy.stall(True)
            notebook.manager.interrupt_kernel()
            notebook.wait_iopub(lambda message: "interrupt again to stop waiting" in str(message["content"]))
            notebook.manager.interrupt_kernel()
            assert "may still run there" in notebook.reply_to(msg_id)["evalue"]
            notebook.wait_iopub(lambda message: is_end_of(msg_id, message))
            proxy.cut()
            proxy.stall(False)
            # The session was found again.
            notebook.wait_iopub(lambda message: message["content"].get("execution_state") == "busy")
            proxy.refuse(True)
            notebook.manager.interrupt_kernel()  # which waits for the link, as what is left running does
            proxy.refuse(False)
            # Of the cell, which has ended here, nothing more is said.
            notebook.wait_iopub(lambda message: is_idle(message) and not message["parent_header"])
            # Its reply, which nobody waits for, comes a moment before or after its idle; what is sent before is aborted
            # like anything queued.
            wait_until(lambda: notebook.run("1").reply["status"] == "ok")
        finally:
            proxy.stall(False)
            notebook.close()


def test_a_pool_that_was_restarted_is_found_again_and_the_loss_is_told() -> None:
    """The user's own local pool: another process, another port, another token."""
    notebook = Notebook.start()
    try:
        notebook.run("a = 1")
        msg_id = notebook.client.execute("print('go', flush=True)\nimport time; time.sleep(600)")
        notebook.wait_iopub(lambda message: message["msg_type"] == "stream")
        subprocess.run([sys.executable, "-m", "remote_kernel.cli", "pool", "stop"], check=True, capture_output=True)
        assert notebook.reply_to(msg_id)["ename"] == "SessionLost"
        assert notebook.run("'a' in globals()").result == "False"
    finally:
        notebook.close()
        subprocess.run([sys.executable, "-m", "remote_kernel.cli", "pool", "stop"], check=True, capture_output=True)


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT"])
def test_an_interpreter_that_crashes_is_told_with_its_signal(notebook: Notebook, name: str) -> None:
    cell = notebook.run(f"import os, signal; os.kill(os.getpid(), signal.{name})")
    assert cell.reply["ename"] == "SessionLost"
    assert f"({name})" in cell.reply["evalue"]


@pytest.mark.slow
def test_a_message_that_is_too_large_ends_its_cell_and_nothing_else(notebook: Notebook) -> None:
    notebook.run("a = 42")
    ids = [notebook.client.execute(code) for code in ("import time; time.sleep(0.5); a", "#" * (257 << 20), "b = 1")]
    replies = [notebook.reply_to(msg_id) for msg_id in ids]
    assert [reply["status"] for reply in replies] == ["ok", "error", "aborted"]
    assert "in smaller pieces" in replies[1]["evalue"]
    assert notebook.run("a, 'b' in globals()").result == "(42, False)"


def test_ending_a_notebook_whose_session_is_gone_takes_no_new_one(
    start_notebook: Start, pool: Pool, private_folders: Path
) -> None:
    notebook = start_notebook(REMOTE_KERNEL_IDENTIFIER="lost-pod-3", REMOTE_KERNEL_KEEPALIVE_MINUTES="0")
    notebook.run("pass")
    before = len(pool.sessions())
    pool.stop_session("lost-pod-3")
    logs = private_folders / "runtime" / "remote-kernel" / "logs"
    wait_until(lambda: any('"SessionLost"' in log.read_text() for log in logs.glob("kernel-*.log")))
    notebook.close()
    assert len(pool.sessions()) == before - 1


def test_a_stalled_link_comes_back_with_nothing_lost(pool: Pool) -> None:
    with FaultProxy.before(pool.endpoint) as proxy, Notebook.start(environ=pool.environ(proxy.endpoint)) as notebook:
        msg_id = notebook.client.execute(
            "import time\nfor i in range(20):\n    print(i, flush=True)\n    time.sleep(0.05)"
        )
        notebook.wait_iopub(lambda message: message["msg_type"] == "stream")
        proxy.stall(True)
        proxy.cut()
        proxy.stall(False)
        assert notebook.reply_to(msg_id)["status"] == "ok"


def test_a_fresh_run_leaves_the_open_notebook_alone(start_notebook: Start, pool: Pool, tmp_path: Path) -> None:
    environ = {"REMOTE_KERNEL_NOTEBOOK": str(tmp_path / "a.ipynb")}
    notebook = start_notebook(**environ)
    notebook.run("a = 1")
    run = start_notebook(**environ, REMOTE_KERNEL_FRESH="1")
    which_pod = "__import__('os').environ['REMOTE_KERNEL_POD']"
    assert run.run("'a' in globals()").result == "False"
    assert run.run(which_pod).result == notebook.run(which_pod).result
    run.close()
    assert notebook.run("a").result == "1"


def test_nothing_of_ours_in_the_pod_s_environment(notebook: Notebook) -> None:
    cell = notebook.run("import os; sorted(name for name in os.environ if 'REMOTE_KERNEL' in name)")
    assert cell.result == "['REMOTE_KERNEL_POD', 'REMOTE_KERNEL_POD_COOLDOWN_SECONDS']"  # what the pod is, no more
