"""A pod's kernel need not be Python's: TypeScript by Deno, which PyPI ships as a program."""

import contextlib
import json
import queue
from collections.abc import Iterator

import pytest

from tests.driver import Content, Notebook, Pool, wait_until

pytest.importorskip("deno", reason="needs Deno: make places")


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """A pool whose pods have Deno's kernel, as its own `deno jupyter --install` makes it but for the interrupts."""
    from deno import find_deno_bin

    jupyter = tmp_path_factory.mktemp("jupyter")
    spec = {
        "argv": [find_deno_bin(), "jupyter", "--kernel", "--conn", "{connection_file}"],
        "display_name": "Deno",
        "language": "typescript",
        "interrupt_mode": "message",
    }
    folder = jupyter / "kernels" / "deno"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps(spec))
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("JUPYTER_PATH", str(jupyter))
        with Pool.start() as running:
            yield running


@pytest.fixture(scope="module")
def deno(pool: Pool) -> Iterator[Notebook]:
    environ = {
        "REMOTE_KERNEL_ENDPOINT": pool.endpoint,
        "REMOTE_KERNEL_TOKEN": pool.token,
        "REMOTE_KERNEL_POD_KERNEL": "deno",
    }
    notebook = Notebook.start(environ=environ)
    yield notebook
    notebook.close()


def test_the_first_contact_tells_the_language(deno: Notebook) -> None:
    info = deno.request("shell", "kernel_info_request", {})
    assert info["language_info"]["name"] == "typescript"
    assert info["language_info"]["file_extension"] == ".ts"
    assert info["implementation"] == "Deno kernel"


def say(deno: Notebook, code: str, msg_type: str) -> Content:
    """Run code, and return what comes of it in the first message of a type: Deno may say that it is idle before."""
    msg_id = deno.client.execute(code)
    message = deno.wait_iopub(
        lambda message: message["parent_header"].get("msg_id") == msg_id and message["msg_type"] == msg_type
    )
    content: Content = message["content"]
    return content


def test_state_output_results_and_errors(deno: Notebook) -> None:
    assert say(deno, "let numbers: number[] = [20, 22]; console.log(numbers.length)", "stream")["text"] == "2\n"
    assert "42" in say(deno, "numbers.reduce((a, b) => a + b)", "execute_result")["data"]["text/plain"]
    failed = deno.run("throw new TypeError('no such thing')")
    assert (failed.reply["ename"], failed.reply["evalue"]) == ("TypeError", "no such thing")
    shown = say(deno, "await Deno.jupyter.display({'text/html': '<b>x</b>'}, {raw: true})", "display_data")
    assert shown["data"] == {"text/html": "<b>x</b>"}


def test_completion_and_unfinished_code(deno: Notebook) -> None:
    reply = deno.request("shell", "complete_request", {"code": "Deno.versi", "cursor_pos": 10})
    assert "version" in reply["matches"]
    assert deno.request("shell", "is_complete_request", {"code": "function f() {"})["status"] == "incomplete"


def test_an_interrupt_stops_the_cell_and_keeps_the_variables(deno: Notebook) -> None:
    deno.run("let kept = 7")
    endless = deno.client.execute("console.log('begun'); while (true) {}")
    deno.wait_iopub(lambda message: message["msg_type"] == "execute_input")
    replies: list[Content] = []

    def is_stopped() -> bool:
        deno.manager.interrupt_kernel()  # Deno overlooks one that comes before the code runs
        with contextlib.suppress(queue.Empty):
            replies.append(deno.client.get_shell_msg(timeout=1))
        return bool(replies)

    wait_until(is_stopped)
    assert (replies[0]["parent_header"]["msg_id"], replies[0]["content"]["status"]) == (endless, "error")
    assert "7" in say(deno, "kept", "execute_result")["data"]["text/plain"]


def test_a_kernel_that_cannot_be_started_is_told_with_what_there_is(pool: Pool) -> None:
    notebook = Notebook.start(
        environ={
            "REMOTE_KERNEL_ENDPOINT": pool.endpoint,
            "REMOTE_KERNEL_TOKEN": pool.token,
            "REMOTE_KERNEL_POD_KERNEL": "ir",
        }
    )
    reply = notebook.run("1").reply
    notebook.close()
    assert "no kernel named 'ir'" in reply["evalue"]
    assert "deno, python3" in reply["evalue"]
    assert "REMOTE_KERNEL_POD_KERNEL" in reply["evalue"]
