"""Requests as few front ends send them: ids that are not unique, prompts of what has ended, contents that are none."""

import time

import pytest

from tests.driver import TIMEOUT_SECONDS, Content, Notebook

SLEEP = "import time; print('begun', flush=True); time.sleep(60)"


def replies(notebook: Notebook, msg_id: str, count: int) -> list[Content]:
    """Return the next replies on the shell channel to requests of this id."""
    found: list[Content] = []
    while len(found) < count:
        message = notebook.client.get_shell_msg(timeout=TIMEOUT_SECONDS)
        if message["parent_header"]["msg_id"] == msg_id:
            found.append(message)
    return found


def wait_printed(notebook: Notebook, text: str) -> None:
    notebook.wait_iopub(lambda message: text in message["content"].get("text", ""))


def test_interrupt_with_the_id_of_a_cell_takes_nothing_from_it(notebook: Notebook) -> None:
    """A kernel manager and its client count separately under one session id."""
    cell = notebook.client.execute(SLEEP)
    wait_printed(notebook, "begun")
    for _ in range(2):
        notebook.send("control", "interrupt_request", {}, msg_id=cell)
    (reply,) = replies(notebook, cell, 1)
    assert (reply["msg_type"], reply["content"]["ename"]) == ("execute_reply", "KeyboardInterrupt")
    said = [notebook.client.get_control_msg(timeout=TIMEOUT_SECONDS)["msg_type"] for _ in range(2)]
    assert said == ["interrupt_reply", "interrupt_reply"]
    assert notebook.run("1").result == "1"


def test_requests_with_one_id_get_a_reply_each(notebook: Notebook) -> None:
    contents = [
        {"code": code, "silent": False, "user_expressions": {"n": str(number)}}
        for number, code in enumerate(("import time; time.sleep(1)", "2", "3"))
    ]
    for content in contents:
        notebook.send("shell", "execute_request", content, msg_id="the-same")
    notebook.send("shell", "inspect_request", {"code": "len", "cursor_pos": 3}, msg_id="the-same")
    said = replies(notebook, "the-same", 4)
    executed = [each["content"] for each in said if each["msg_type"] == "execute_reply"]
    assert [each["user_expressions"]["n"]["data"]["text/plain"] for each in executed] == ["0", "1", "2"]
    assert [each["msg_type"] for each in said].count("inspect_reply") == 1
    assert notebook.run("%session").reply["status"] == "ok"


ASK_LATER = """
import asyncio
async def ask():
    await asyncio.sleep(0.5)
    print("heard", input("who? "))
asked = asyncio.create_task(ask())
"""


def test_prompt_of_a_cell_that_has_ended_goes_to_the_one_that_runs(notebook: Notebook) -> None:
    notebook.run(ASK_LATER)
    cell = notebook.client.execute("await asked", allow_stdin=True)
    prompt = notebook.client.get_stdin_msg(timeout=TIMEOUT_SECONDS)
    assert prompt["content"]["prompt"] == "who? "
    notebook.client.input("me")
    wait_printed(notebook, "heard me")
    assert notebook.reply_to(cell)["status"] == "ok"


@pytest.mark.parametrize("content", [{}, {"silent": True}, {"code": 3}])
def test_request_that_gets_no_reply_ends_with_an_error(notebook: Notebook, content: Content) -> None:
    notebook.run("1")
    odd = notebook.send("shell", "execute_request", content)
    began = time.monotonic()
    assert notebook.reply_to(odd)["status"] == "error"
    assert time.monotonic() - began < 20
    assert "busy" not in notebook.run("%session").displayed
    assert notebook.run("2").result == "2"


@pytest.mark.parametrize("version", [{}, {"version": None}, {"version": 5}])
def test_cell_whose_header_has_no_version_is_run(notebook: Notebook, version: Content) -> None:
    session = notebook.client.session
    message = session.msg("execute_request", {"code": "1"})
    message["header"] = {name: value for name, value in message["header"].items() if name != "version"} | version
    session.send(notebook.client.shell_channel.socket, message)
    assert notebook.reply_to(message["header"]["msg_id"])["status"] == "ok"


def test_error_that_is_no_unicode_is_an_error(notebook: Notebook) -> None:
    """What stands behind it, such as a release that was queued, is not carried out."""
    notebook.run("kept = 1")
    sent = [
        notebook.client.execute(code)
        for code in ("import time; time.sleep(1); raise ValueError('\\udcc0')", "%session release")
    ]
    assert [notebook.reply_to(each)["status"] for each in sent] == ["error", "aborted"]
    assert notebook.run("%session").reply["status"] == "ok"
    assert notebook.run("kept").result == "1"
    notebook.run("raise ValueError('\\ud83d')")
    assert notebook.run("kept").result == "1"
