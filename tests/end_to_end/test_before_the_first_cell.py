"""Before the first cell a kernel answers what it can, and only what must takes a session."""

from collections.abc import Callable
from typing import Any

import pytest

from remote_kernel.core.jupyter.debugger_files import PREFIX
from remote_kernel.kernel.before_session.first_requests import TREATMENTS
from tests.driver import Content, Notebook, Pool, wait_until

Start = Callable[..., Notebook]

SILENT = {"silent": True, "store_history": False, "stop_on_error": False, "allow_stdin": False}

# Every request of the protocol that needs an answer and no session, with some of what is in its reply.
ANSWERED: list[tuple[str, str, Content, Content]] = [
    ("shell", "kernel_info_request", {}, {"status": "ok", "implementation": "ipython"}),
    ("shell", "inspect_request", {"code": "zip", "cursor_pos": 3, "detail_level": 0}, {"status": "ok", "found": False}),
    ("shell", "complete_request", {"code": "zi", "cursor_pos": 2}, {"status": "ok", "matches": [], "cursor_end": 2}),
    ("shell", "history_request", {"hist_access_type": "tail", "n": 3}, {"status": "ok", "history": []}),
    ("shell", "is_complete_request", {"code": "for i in x:"}, {"status": "incomplete", "indent": "    "}),
    ("shell", "is_complete_request", {"code": "1 + 1"}, {"status": "complete"}),
    ("shell", "is_complete_request", {"code": "%%time\n1"}, {"status": "unknown"}),
    ("shell", "comm_info_request", {}, {"status": "ok", "comms": {}}),
    ("shell", "connect_request", {}, {"status": "ok"}),
    ("shell", "execute_request", {"code": "", **SILENT}, {"status": "ok", "user_expressions": {}}),
    ("control", "kernel_info_request", {}, {"status": "ok"}),
    ("control", "list_subshell_request", {}, {"status": "ok", "subshell_id": []}),
    ("control", "create_subshell_request", {}, {"status": "error", "ename": "NoSession"}),
    ("control", "delete_subshell_request", {"subshell_id": "x"}, {"status": "ok"}),
    ("control", "usage_request", {}, {"status": "ok"}),
    ("control", "debug_request", {"type": "request", "seq": 7, "command": "debugInfo"}, {"success": True}),
    ("control", "debug_request", {"type": "request", "seq": 8, "command": "inspectVariables"}, {"success": False}),
    ("control", "interrupt_request", {}, {"status": "ok"}),
]

UNANSWERED: list[tuple[str, str, Content]] = [
    ("shell", "comm_msg", {"comm_id": "c", "data": {}}),
    ("shell", "comm_close", {"comm_id": "c", "data": {}}),
    ("stdin", "input_reply", {"value": "nobody asked"}),
    ("shell", "execute_request", {"code": "first = 1", **SILENT}),
    ("shell", "request_of_some_other_kernel", {}),
]


def has_in_it(whole: Content, part: Content) -> bool:
    return all(whole.get(name) == value for name, value in part.items())


def test_what_front_ends_ask_by_themselves_takes_no_session(start_notebook: Start, pool: Pool) -> None:
    notebook = start_notebook()
    for channel, msg_type, content, expected in ANSWERED:
        reply = notebook.request(channel, msg_type, content)
        assert has_in_it(reply, expected), (msg_type, reply)
    for channel, msg_type, content in UNANSWERED:
        notebook.send(channel, msg_type, content)
    notebook.send("shell", "comm_open", {"comm_id": "mine", "target_name": "anything", "data": {}})
    closed = notebook.wait_iopub(lambda message: message["msg_type"] == "comm_close")
    assert closed["content"]["comm_id"] == "mine"
    assert pool.sessions() == []


def test_the_table_has_every_request_of_the_protocol() -> None:
    """That of version 5.4, and what ipykernel answers besides."""
    tried = {msg_type for _, msg_type, _, _ in ANSWERED} | {"comm_open", "comm_msg", "comm_close", "input_reply"}
    assert set(TREATMENTS) == tried | {"shutdown_request"}


def test_the_kernel_s_own_ports_are_its_connection(start_notebook: Start) -> None:
    notebook = start_notebook()
    reply = notebook.request("shell", "connect_request", {})
    assert reply["shell_port"] == notebook.client.shell_port


def test_silent_code_waits_for_the_first_cell_and_goes_ahead_of_it(start_notebook: Start, pool: Pool) -> None:
    notebook = start_notebook()
    before = len(pool.sessions())
    silent = [notebook.send("shell", "execute_request", {"code": f"said = {n}; 1 / {n}", **SILENT}) for n in (0, 1)]
    assert notebook.reply_to(notebook.client.is_complete("1"))["status"] == "complete"  # both have arrived
    assert len(pool.sessions()) == before
    cell = notebook.client.execute("1 / (said - 1)")
    assert [notebook.reply_to(msg_id)["status"] for msg_id in [*silent, cell]] == ["error", "ok", "error"]


def test_silent_code_that_is_to_give_values_is_run(start_notebook: Start) -> None:
    content = {"code": "n = 6 * 7", **SILENT, "user_expressions": {"value": "n"}}
    reply = start_notebook().request("shell", "execute_request", content)
    assert reply["user_expressions"]["value"]["data"]["text/plain"] == "42"


def test_a_program_that_only_sends_silent_code_has_a_session_in_the_end(start_notebook: Start) -> None:
    notebook = start_notebook()
    ids = [notebook.send("shell", "execute_request", {"code": f"n = {n}", **SILENT}) for n in range(33)]
    assert {notebook.reply_to(msg_id)["status"] for msg_id in ids} == {"ok"}


INITIALIZE = {"clientID": "jupyterlab", "adapterID": "", "pathFormat": "path", "linesStartAt1": True}


class Lab:
    """What JupyterLab does with its debugger."""

    def __init__(self, notebook: Notebook) -> None:
        self.notebook = notebook
        self._seq = 0

    def send(self, command: str, **arguments: Any) -> str:
        self._seq += 1
        content = {"type": "request", "seq": self._seq, "command": command, "arguments": arguments}
        return self.notebook.send("control", "debug_request", content)

    def ask(self, command: str, **arguments: Any) -> Content:
        return self.notebook.reply_to(self.send(command, **arguments))

    def body(self, command: str, **arguments: Any) -> Content:
        reply = self.ask(command, **arguments)
        assert reply["success"], reply
        body: Content = reply.get("body", {})
        return body

    def click(self) -> None:
        self.body("debugInfo")
        self.body("initialize", **INITIALIZE)
        self.body("attach")

    def file_of(self, code: str) -> str:
        """Return the name that JupyterLab computes."""
        info = self.body("debugInfo")
        assert info["hashMethod"] == "Murmur2"
        return f"{info['tmpFilePrefix']}{murmur2(code.encode(), info['hashSeed'])}{info['tmpFileSuffix']}"

    def stop_in(self, code: str, line: int) -> tuple[str, Content]:
        """Run a cell up to a breakpoint; return the request's id and the frame."""
        path = self.file_of(code)
        assert self.body("dumpCell", code=code)["sourcePath"] == path
        found = self.body("setBreakpoints", source={"path": path}, breakpoints=[{"line": line}], sourceModified=False)
        assert found["breakpoints"][0]["source"]["path"] == path
        self.body("configurationDone")
        return self.run_until_stop(code)

    def run_until_stop(self, code: str) -> tuple[str, Content]:
        msg_id = self.notebook.client.execute(code)
        self.notebook.wait_iopub(
            lambda message: message["msg_type"] == "debug_event" and message["content"]["event"] == "stopped"
        )
        thread = self.body("threads")["threads"][0]["id"]
        frame: Content = self.body("stackTrace", threadId=thread)["stackFrames"][0]
        assert self.body("source", source={"path": frame["source"]["path"]})["content"] == code
        self.body("continue", threadId=thread)
        return msg_id, frame


def murmur2(data: bytes, seed: int) -> int:
    """Hash as "Murmur2" is meant by the front ends (32 bits, little endian)."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = seed ^ len(data)
    whole = len(data) & ~3
    for start in range(0, whole, 4):
        k = int.from_bytes(data[start : start + 4], "little") * m & mask
        h = (h * m & mask) ^ ((k ^ k >> 24) * m & mask)
    if rest := data[whole:]:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


CODE = "total = 40\ntotal += 2\ntotal"


def test_the_debugger_works_at_its_first_click(start_notebook: Start, pool: Pool) -> None:
    before = len(pool.sessions())
    lab = Lab(start_notebook())
    info = lab.body("debugInfo")
    assert (info["tmpFilePrefix"], info["isStarted"]) == (PREFIX, False)
    assert len(pool.sessions()) == before
    lab.click()
    assert len(pool.sessions()) == before + 1
    msg_id, frame = lab.stop_in(CODE, line=2)
    assert (frame["line"], frame["source"]["path"]) == (2, lab.file_of(CODE))
    assert lab.notebook.reply_to(msg_id)["status"] == "ok"
    assert lab.body("debugInfo")["breakpoints"] == [{"source": lab.file_of(CODE), "breakpoints": [{"line": 2}]}]


def test_breakpoints_have_the_same_names_after_a_restart(start_notebook: Start) -> None:
    lab = Lab(start_notebook())
    lab.click()
    path = lab.file_of(CODE)
    lab.body("dumpCell", code=CODE)
    lab.notebook.manager.restart_kernel()
    lab.notebook.wait_answers()
    assert lab.file_of(CODE) == path
    lab.click()
    # JupyterLab gives a cell's file again only where names have changed.
    found = lab.body("setBreakpoints", source={"path": path}, breakpoints=[{"line": 3}], sourceModified=False)
    assert found["breakpoints"][0]["verified"]
    lab.body("configurationDone")
    _, frame = lab.run_until_stop(CODE)
    assert (frame["line"], frame["source"]["path"]) == (3, path)


def test_the_debugger_starts_though_somebody_has_taken_its_port(start_notebook: Start) -> None:
    notebook = start_notebook()
    notebook.run("""
        import socket
        taken = socket.create_server(("127.0.0.1", 0))
        get_ipython().kernel.debugger.debugpy_client.debugpy_port = str(taken.getsockname()[1])
    """)
    lab = Lab(notebook)
    lab.click()
    msg_id, frame = lab.stop_in(CODE, line=2)
    assert frame["line"] == 2
    assert notebook.reply_to(msg_id)["status"] == "ok"


def test_requests_of_the_debugger_that_come_at_once_keep_their_order(start_notebook: Start) -> None:
    lab = Lab(start_notebook())
    lab.body("debugInfo")
    ids = [lab.send("initialize", **INITIALIZE), lab.send("attach")]
    assert [lab.notebook.reply_to(msg_id)["success"] for msg_id in ids] == [True, True]


def test_a_first_click_without_a_session_to_be_had_says_why(start_notebook: Start) -> None:
    lab = Lab(start_notebook(REMOTE_KERNEL_ENDPOINT="http://127.0.0.1:9", REMOTE_KERNEL_WAIT_SECONDS="0"))
    lab.body("debugInfo")
    refusal = lab.ask("initialize")
    assert not refusal["success"]
    assert "cannot be reached" in refusal["message"]


def test_a_pool_whose_kernels_have_no_debugger_refuses_the_click() -> None:
    with Pool.start("--flavor", "interpreter", "--sandbox", "strict") as pool:
        settings = pool.environ()
        notebook = Notebook.start(environ=settings)
        lab = Lab(notebook)
        lab.body("debugInfo")
        assert not lab.ask("initialize")["success"]
        assert notebook.run("6 * 7").result == "42"
        notebook.close()


@pytest.mark.parametrize("channel", ["shell", "control"])
def test_odd_requests_take_no_session_and_end_nothing(start_notebook: Start, pool: Pool, channel: str) -> None:
    before = len(pool.sessions())
    notebook = start_notebook()
    odd: list[tuple[str, Content]] = [
        ("complete_request", {"code": None, "cursor_pos": "x"}),
        ("is_complete_request", {"code": ["x"]}),
        ("comm_open", {"comm_id": 4}),
        ("debug_request", {"command": ["x"]}),
        ("inspect_request", {}),
        ("execute_request", {"silent": True, "code": "", "user_expressions": [1]}),
    ]
    for msg_type, content in odd:
        notebook.send(channel, msg_type, content)
    wait_until(lambda: notebook.reply_to(notebook.client.kernel_info())["status"] == "ok")
    assert len(pool.sessions()) == before
