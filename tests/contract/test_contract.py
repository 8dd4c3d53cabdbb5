"""What a notebook may expect of its kernel, whichever way goes to the pod."""

import pytest

from tests.contract.ways import Way
from tests.driver import Content

pytestmark = pytest.mark.contract


def test_a_cell_prints_shows_and_returns(way: Way) -> None:
    cell = way.notebook.run("import sys\nprint('out')\nprint('err', file=sys.stderr)\ndisplay({'a': 1})\n6 * 7")
    assert cell.reply["status"] == "ok"
    assert cell.stdout == "out\n"
    assert "err\n" in "".join(content["text"] for content in cell.of_type("stream") if content["name"] == "stderr")
    assert [content["data"]["text/plain"] for content in cell.of_type("display_data")] == ["{'a': 1}"]
    assert cell.result == "42"


def test_variables_last_and_prompts_count_on(way: Way) -> None:
    first = way.notebook.run("x = 1")
    second = way.notebook.run("x += 1; x")
    assert second.result == "2"
    (result,) = second.of_type("execute_result")
    assert second.reply["execution_count"] == result["execution_count"] > first.reply["execution_count"]
    assert way.notebook.run("_ + 1").result == "3"


def test_rich_output_arrives_as_it_was_made(way: Way) -> None:
    code = "from IPython.display import HTML, Image, display\nimport base64\n"
    code += "display(HTML('<b>bold</b>'), metadata={'isolated': True})\n"
    code += "handle = display('first', display_id=True); handle.update('second')\n"
    code += "Image(base64.b64decode('iVBORw0KGgo='), format='png')"
    cell = way.notebook.run(code)
    html, shown = cell.of_type("display_data")
    assert (html["data"]["text/html"], html["metadata"]) == ("<b>bold</b>", {"isolated": True})
    (update,) = cell.of_type("update_display_data")
    assert update["transient"]["display_id"] == shown["transient"]["display_id"]
    (picture,) = cell.of_type("execute_result")
    assert picture["data"]["image/png"].strip() == "iVBORw0KGgo="


def test_an_error_has_its_trace_and_aborts_what_was_sent_behind_it(way: Way) -> None:
    failing = way.notebook.client.execute("def f(): return 1 / 0\nf()")
    behind = way.notebook.client.execute("print('never')")
    reply = way.notebook.reply_to(failing)
    assert (reply["status"], reply["ename"], reply["evalue"]) == ("error", "ZeroDivisionError", "division by zero")
    assert any("f()" in line for line in reply["traceback"])
    assert way.notebook.reply_to(behind)["status"] == "aborted"
    assert way.notebook.run("1").result == "1"


def test_a_large_output_arrives_whole(way: Way) -> None:
    cell = way.notebook.run("import random\nr = random.Random(1)\nprint(r.randbytes(600_000).hex())")
    import random

    assert cell.stdout == random.Random(1).randbytes(600_000).hex() + "\n"


def test_questions_are_answered(way: Way) -> None:
    way.notebook.run("some_variable = 1\n%config Completer.use_jedi = False")  # which takes seconds to load
    reply = way.notebook.request("shell", "complete_request", {"code": "some_va", "cursor_pos": 7})
    assert reply["matches"] == ["some_variable"]
    assert way.notebook.request("shell", "inspect_request", {"code": "print", "cursor_pos": 5, "detail_level": 0})[
        "found"
    ]
    assert way.notebook.request("shell", "is_complete_request", {"code": "for"})["status"] == "invalid"


@pytest.mark.needs("streaming", "interrupt")
@pytest.mark.parametrize(
    ("code", "error"),
    [("while True: pass", "KeyboardInterrupt"), ("import asyncio; await asyncio.Event().wait()", "CancelledError")],
    ids=["runs", "awaits"],
)
def test_output_comes_while_a_cell_runs_and_an_interrupt_stops_it(way: Way, code: str, error: str) -> None:
    def interrupt(message: Content) -> None:
        if message["msg_type"] == "stream":
            way.notebook.send("control", "interrupt_request", {})

    cell = way.notebook.run(f"print('begun', flush=True)\n{code}", on_message=interrupt)
    assert (cell.stdout, cell.reply["ename"]) == ("begun\n", error)


@pytest.mark.needs("input")
def test_input_is_asked_for_and_given(way: Way) -> None:
    assert way.notebook.run("input('name? ') + '!'", answer="Ada").result == "'Ada!'"


@pytest.mark.needs("comms")
def test_comms_carry_buffers_both_ways(way: Way) -> None:
    code = "from comm import create_comm, get_comm_manager\n"
    code += "def opened(comm, message):\n"
    code += "    comm.on_msg(lambda m: comm.send({'n': len(m['buffers'])}, buffers=m['buffers'][::-1]))\n"
    code += "get_comm_manager().register_target('echo', opened)"
    assert way.notebook.run(code).reply["status"] == "ok"
    client = way.notebook.client
    client.shell_channel.send(client.session.msg("comm_open", {"comm_id": "c", "target_name": "echo", "data": {}}))
    message = client.session.msg("comm_msg", {"comm_id": "c", "data": {}})
    client.session.send(client.shell_channel.socket, message, buffers=[b"one", b"\x00" * 300_000])
    answer = way.notebook.wait_iopub(lambda message: message["msg_type"] == "comm_msg")
    assert [bytes(buffer) for buffer in answer["buffers"]] == [b"\x00" * 300_000, b"one"]
    assert answer["content"]["data"] == {"n": 2}


@pytest.mark.needs("death")
def test_an_interpreter_that_dies_is_told_before_anything_runs_in_another(way: Way) -> None:
    way.notebook.run("kept = 1")
    assert way.notebook.run("import os; os._exit(7)").reply["ename"] == "SessionLost"
    assert way.notebook.run("'kept' in globals()").result == "False"


@pytest.mark.needs("restart")
def test_a_restart_gives_a_fresh_interpreter_among_the_same_files(way: Way) -> None:
    way.notebook.run("kept = 1; open('kept', 'w').close()")
    way.notebook.manager.restart_kernel()
    way.notebook.wait_answers()
    cell = way.notebook.run("import os; 'kept' in globals(), os.path.exists('kept')")
    assert cell.result == "(False, True)"


@pytest.mark.needs("pool")
def test_a_pod_that_is_gone_is_told_before_anything_runs_in_another(way: Way) -> None:
    way.notebook.run("kept = 1")
    way.take_pod()
    lost = way.notebook.run("open('ran', 'w').close()")
    assert (lost.reply["status"], lost.reply["ename"]) == ("error", "SessionLost")
    assert way.notebook.run("import os; 'kept' in globals(), os.path.exists('ran')").result == "(False, False)"
