"""Through the relay, a notebook sees all that a local ipykernel would show."""

import base64
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.driver import Content, Notebook


def test_stream_arrives_while_the_cell_runs(shared_notebook: Notebook) -> None:
    seen: list[tuple[str, float]] = []

    def note(message: Content) -> None:
        if message["msg_type"] == "stream":
            seen.append((message["content"]["text"], time.monotonic()))

    shared_notebook.run("print('early', flush=True)\nimport time; time.sleep(0.5)\nprint('late')", on_message=note)
    assert [text for text, _ in seen] == ["early\n", "late\n"]
    assert seen[1][1] - seen[0][1] > 0.3


def test_stderr_is_told_from_stdout(shared_notebook: Notebook) -> None:
    cell = shared_notebook.run("import sys; print('out'); print('err', file=sys.stderr)")
    assert {(content["name"], content["text"]) for content in cell.of_type("stream")} == {
        ("stdout", "out\n"),
        ("stderr", "err\n"),
    }


def test_display_is_updated_and_cleared(shared_notebook: Notebook) -> None:
    cell = shared_notebook.run(
        "from IPython.display import display, clear_output\n"
        "handle = display('one', display_id='x')\nhandle.update('two')\nclear_output(wait=True)"
    )
    assert cell.of_type("display_data")[0]["transient"] == {"display_id": "x"}
    assert cell.of_type("update_display_data")[0]["data"]["text/plain"] == "'two'"
    assert cell.of_type("clear_output") == [{"wait": True}]


def test_every_mime_type_passes_unchanged(shared_notebook: Notebook) -> None:
    bundle = {
        "text/plain": "plain",
        "text/html": "<b>ü</b>",
        "image/svg+xml": "<svg/>",
        "application/json": {"a": [1, 2.5, None]},
        "application/vnd.own+json": {"deep": {"er": "☃"}},
        "image/png": base64.b64encode(bytes(range(256))).decode(),
    }
    cell = shared_notebook.run(f"from IPython.display import display; display({bundle!r}, raw=True)")
    assert cell.of_type("display_data")[0]["data"] == bundle


def test_binary_buffers_pass_unchanged_both_ways(shared_notebook: Notebook) -> None:
    shared_notebook.run(
        "from comm import create_comm, get_comm_manager\n"
        "def opened(comm, message):\n"
        "    comm.on_msg(lambda m: comm.send({'echo': True}, buffers=[bytes(b)[::-1] for b in m['buffers']]))\n"
        "get_comm_manager().register_target('mirror', opened)"
    )
    buffers = [bytes(range(256)) * 1000, b"", b"\x00"]
    shared_notebook.send("shell", "comm_open", {"comm_id": "c1", "target_name": "mirror", "data": {}})
    message = shared_notebook.client.session.msg("comm_msg", {"comm_id": "c1", "data": {}})
    message["buffers"] = buffers
    shared_notebook.client.shell_channel.send(message)
    answer = shared_notebook.wait_iopub(lambda message: message["msg_type"] == "comm_msg")
    assert [bytes(buffer) for buffer in answer["buffers"]] == [buffer[::-1] for buffer in buffers]


def test_error_has_its_traceback(shared_notebook: Notebook) -> None:
    cell = shared_notebook.run("def f():\n    return 1 / 0\nf()")
    assert cell.reply["status"] == "error"
    (error,) = cell.of_type("error")
    assert error["ename"] == "ZeroDivisionError"
    assert "return" in "\n".join(error["traceback"])


def test_input_and_getpass_are_answered(shared_notebook: Notebook) -> None:
    cell = shared_notebook.run("from getpass import getpass\ninput('name? ') + getpass('secret? ')", answer="bob")
    assert cell.result == "'bobbob'"


def test_input_without_a_front_end_for_it_is_an_error(shared_notebook: Notebook) -> None:
    assert shared_notebook.run("input()", allow_stdin=False).reply["ename"] == "StdinNotImplementedError"


def test_completion_inspection_is_complete_and_history(shared_notebook: Notebook) -> None:
    shared_notebook.run("a_long_name = 1")
    client = shared_notebook.client
    assert "a_long_name" in shared_notebook.reply_to(client.complete("a_lo"))["matches"]
    assert "int" in shared_notebook.reply_to(client.inspect("a_long_name"))["data"]["text/plain"]
    assert shared_notebook.reply_to(client.is_complete("for i in x:"))["status"] == "incomplete"
    history = shared_notebook.reply_to(client.history(hist_access_type="tail", n=1))["history"]
    assert history[-1][-1] == "a_long_name = 1"


def test_silent_cell_leaves_no_trace(notebook: Notebook) -> None:
    notebook.run("1")
    cell = notebook.run("1 + 1", silent=True)
    assert cell.of_type("execute_result") == []
    assert notebook.run("2 + 2").reply["execution_count"] == 2


def test_cell_without_history_is_not_counted(notebook: Notebook) -> None:
    notebook.run("1", store_history=False)
    assert notebook.run("2").reply["execution_count"] == 1


def test_user_expressions_are_evaluated(shared_notebook: Notebook) -> None:
    reply = shared_notebook.run("a = 20", user_expressions={"double": "a * 2", "bad": "b"}).reply
    assert reply["user_expressions"]["double"]["data"]["text/plain"] == "40"
    assert reply["user_expressions"]["bad"]["status"] == "error"


def test_cells_behind_an_error_are_aborted(shared_notebook: Notebook) -> None:
    codes = ("import time; time.sleep(0.2); 1/0", "aborted = 1", "also_aborted = 1")
    ids = [shared_notebook.client.execute(code) for code in codes]
    assert [shared_notebook.reply_to(msg_id)["status"] for msg_id in ids] == ["error", "aborted", "aborted"]
    assert shared_notebook.run("'aborted' in globals()").result == "False"


def test_cells_behind_an_error_run_where_nobody_wants_a_stop(shared_notebook: Notebook) -> None:
    ids = [shared_notebook.client.execute(code, stop_on_error=False) for code in ("1/0", "a = 1")]
    assert [shared_notebook.reply_to(msg_id)["status"] for msg_id in ids] == ["error", "ok"]


GROUP = """\
import asyncio
async with asyncio.TaskGroup() as group:
    group.create_task(asyncio.sleep(60))
    print('go', flush=True)
"""
OTHER_LOOP = """\
import asyncio, threading
thread = threading.Thread(target=lambda: asyncio.run(asyncio.sleep(60)), daemon=True)
thread.start()
print('go', flush=True)
thread.join()
"""


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("print('go', flush=True); import time; time.sleep(60)", "KeyboardInterrupt"),
        ("print('go', flush=True)\nwhile True: pass", "KeyboardInterrupt"),
        ("!echo go; sleep 60", "KeyboardInterrupt"),
        ("%%bash\necho go; sleep 60", "CalledProcessError"),
        ("import subprocess; print('go', flush=True); subprocess.run(['sleep', '60'])", "KeyboardInterrupt"),
        ("print('go', flush=True); input()", "KeyboardInterrupt"),
        (OTHER_LOOP, "KeyboardInterrupt"),
        ("import asyncio; print('go', flush=True); await asyncio.sleep(60)", "CancelledError"),
        ("import asyncio; print('go', flush=True); await asyncio.Event().wait()", "CancelledError"),
        (GROUP, "CancelledError"),
    ],
    ids=["sleep", "loop", "shell", "bash", "process", "input", "another loop", "await", "await for ever", "group"],
)
def test_interrupt_ends_the_cell(shared_notebook: Notebook, code: str, error: str) -> None:
    msg_id = shared_notebook.client.execute(code, allow_stdin=True)
    shared_notebook.wait_iopub(lambda message: message["msg_type"] == "stream")
    shared_notebook.manager.interrupt_kernel()
    reply = shared_notebook.reply_to(msg_id)
    assert reply.get("ename", error) in {error, "KeyboardInterrupt"}
    assert shared_notebook.run("1 + 1").result == "2"


def test_restart_gives_a_fresh_interpreter_in_the_same_pod(notebook: Notebook) -> None:
    pod = notebook.run("a = 1\nopen('kept', 'w').close()\nimport os; os.environ['REMOTE_KERNEL_POD']").result
    notebook.manager.restart_kernel()
    notebook.wait_answers()
    after = notebook.run("import os; os.environ['REMOTE_KERNEL_POD'], 'a' in globals(), os.path.exists('kept')")
    assert after.result == f"({pod}, False, True)"
    assert after.reply["execution_count"] == 1


def test_magics_and_shell_work(shared_notebook: Notebook) -> None:
    cell = shared_notebook.run("!echo from the shell\n%env ONLY_HERE=1\n%timeit -n1 -r1 pass")
    assert "from the shell" in cell.stdout
    assert "loop" in cell.stdout


def test_pager_payload_arrives(shared_notebook: Notebook) -> None:
    (payload,) = shared_notebook.run("len?").reply["payload"]
    assert payload["source"] == "page"


def test_matplotlib_draws_inline(shared_notebook: Notebook) -> None:
    cell = shared_notebook.run("%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 2]);")
    png = base64.b64decode(cell.of_type("display_data")[0]["data"]["image/png"])
    assert png.startswith(b"\x89PNG")


def test_tqdm_moves(shared_notebook: Notebook) -> None:
    cell = shared_notebook.run("from tqdm import tqdm\nfor _ in tqdm(range(3)): pass")
    assert "3/3" in "".join(content["text"] for content in cell.of_type("stream"))


def test_widget_is_moved_from_the_front_end(shared_notebook: Notebook) -> None:
    cell = shared_notebook.run(
        "import ipywidgets\nslider = ipywidgets.IntSlider(value=1)\nmoves = []\n"
        "slider.observe(lambda change: moves.append(change.new), 'value')\nslider"
    )
    view = cell.of_type("execute_result")[0]["data"]["application/vnd.jupyter.widget-view+json"]
    update = {"method": "update", "state": {"value": 7}, "buffer_paths": []}
    shared_notebook.send("shell", "comm_msg", {"comm_id": view["model_id"], "data": update})
    assert shared_notebook.run("slider.value, moves").result == "(7, [7])"
    comms = shared_notebook.reply_to(shared_notebook.client.comm_info())["comms"]
    assert view["model_id"] in comms


def test_subshell_answers_while_the_main_shell_is_busy(shared_notebook: Notebook) -> None:
    shared_notebook.run("import threading; go_on = threading.Event()")
    subshell = shared_notebook.request("control", "create_subshell_request", {})["subshell_id"]
    assert shared_notebook.request("control", "list_subshell_request", {})["subshell_id"] == [subshell]
    blocked = shared_notebook.client.execute("go_on.wait(30)")
    content = {"code": "go_on.set()", "silent": False, "store_history": False, "stop_on_error": True}
    reply = shared_notebook.request("shell", "execute_request", content, subshell_id=subshell)
    assert reply["status"] == "ok", f"{reply.get('ename')}: {reply.get('evalue')}"
    assert shared_notebook.reply_to(blocked)["status"] == "ok"


class Debugger:
    """A front end's debugger."""

    def __init__(self, notebook: Notebook) -> None:
        self._notebook = notebook
        self._seq = 0

    def ask(self, command: str, **arguments: Any) -> Content:
        self._seq += 1
        content = {"type": "request", "seq": self._seq, "command": command, "arguments": arguments}
        reply = self._notebook.request("control", "debug_request", content)
        assert reply["success"], reply
        body: Content = reply.get("body", {})
        return body


def test_breakpoint_is_hit_and_variables_are_seen(notebook: Notebook) -> None:
    debugger = Debugger(notebook)
    notebook.run("pass")
    debugger.ask("initialize", clientID="test", adapterID="", pathFormat="path", linesStartAt1=True)
    debugger.ask("attach")
    code = "value = 41\nvalue += 1\nvalue"
    source = debugger.ask("dumpCell", code=code)["sourcePath"]
    debugger.ask("setBreakpoints", source={"path": source}, breakpoints=[{"line": 2}], sourceModified=False)
    debugger.ask("configurationDone")
    msg_id = notebook.client.execute(code)
    notebook.wait_iopub(
        lambda message: message["msg_type"] == "debug_event" and message["content"]["event"] == "stopped"
    )
    thread = debugger.ask("threads")["threads"][0]["id"]
    frame = debugger.ask("stackTrace", threadId=thread)["stackFrames"][0]
    assert frame["line"] == 2
    scope = debugger.ask("scopes", frameId=frame["id"])["scopes"][0]
    variables = debugger.ask("variables", variablesReference=scope["variablesReference"])["variables"]
    assert ("value", "41") in {(variable["name"], variable["value"]) for variable in variables}
    debugger.ask("continue", threadId=thread)
    assert notebook.reply_to(msg_id)["status"] == "ok"


def test_looking_at_a_notebook_takes_no_session(start_notebook: Callable[..., Notebook], pool: Any) -> None:
    before = len(pool.sessions())
    notebook = start_notebook()
    assert notebook.reply_to(notebook.client.kernel_info())["language_info"]["name"] == "python"
    assert notebook.reply_to(notebook.client.comm_info())["comms"] == {}
    assert notebook.reply_to(notebook.client.history(n=10))["history"] == []
    info = notebook.request("control", "debug_request", {"type": "request", "seq": 1, "command": "debugInfo"})
    assert info["body"]["isStarted"] is False
    notebook.send("shell", "comm_open", {"comm_id": "c9", "target_name": "jupyter.widget.control", "data": {}})
    closed = notebook.wait_iopub(lambda message: message["msg_type"] == "comm_close")
    assert closed["content"]["comm_id"] == "c9"
    assert len(pool.sessions()) == before


def test_shutdown_gives_the_pod_back(start_notebook: Callable[..., Notebook], pool: Any) -> None:
    before = len(pool.sessions())
    notebook = start_notebook()
    notebook.run("pass")
    assert len(pool.sessions()) == before + 1
    notebook.close()
    assert len(pool.sessions()) == before


def test_what_a_kernel_says_is_passed_on_whatever_its_parent_header_is(notebook: Notebook) -> None:
    notebook.run("pass")  # the line that counts while the session starts is a display, too
    msg_id = notebook.client.execute(
        """
import json
kernel = get_ipython().kernel
def say(msg_type, content):
    header = json.dumps(kernel.session.msg_header(msg_type), default=str).encode()
    kernel.iopub_socket.send_multipart([b"x", b"<IDS|MSG>", b"", header, b"null", b"{}", json.dumps(content).encode()])
for state in ("busy", "idle"):
    say("status", {"execution_state": state})
say("display_data", {"data": {"text/plain": "odd"}, "metadata": {}})
print("even")
"""
    )
    said = notebook.wait_iopub(lambda message: message["msg_type"] == "display_data")
    assert said["content"]["data"] == {"text/plain": "odd"}
    assert not said["parent_header"]
    notebook.wait_iopub(lambda message: message["content"].get("text") == "even\n")
    assert notebook.reply_to(msg_id)["status"] == "ok"
    assert notebook.run("6 * 7").result == "42"
