"""Calls of a program in the interpreter of a real pod: silent, between the cells, and ended whatever happens."""

import hashlib
import json
import os
import secrets
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from remote_kernel.core.wire import files
from remote_kernel.core.wire.frames import CALLS_PATH, CANCEL_PATH, EVENTS_PATH, SESSION_PATH
from remote_kernel.core.wire.saves import MAX_VARIABLES, OBJECTS_FOLDER, SAVES_FOLDER, CallState, Order, Report
from tests.driver import TIMEOUT_SECONDS, Pod, PodProgram, is_alive, run_in_pod, stdout_of, wait_until
from tests.saves_program import archive

pytestmark = pytest.mark.slow


class Caller:
    """A client that calls the program in the interpreter of one kernel."""

    def __init__(self, client: httpx.Client, kernel: str = "main", kernelspec: str = "python3") -> None:
        self.client = client
        self.kernel = kernel
        self.kernelspec = kernelspec
        self.program, content = archive()
        sha256 = hashlib.sha256(content).hexdigest()
        params = {"path": f"{SAVES_FOLDER}/{self.program}", "size": f"{len(content)}", "sha256": sha256, "offset": "0"}
        client.post(files.CONTENT_PATH, params=params, content=content).raise_for_status()
        self.epoch = self.newest_epoch()

    def newest_epoch(self) -> str:
        self.run("pass")
        kernels = self.client.get(SESSION_PATH).raise_for_status().json()["kernels"]
        return next(str(kernel["epoch"]) for kernel in kernels if kernel["name"] == self.kernel)

    def is_busy(self) -> bool:
        kernels = self.client.get(SESSION_PATH).raise_for_status().json()["kernels"]
        return any(kernel["is_busy"] for kernel in kernels if kernel["name"] == self.kernel)

    def run(self, code: str) -> str:
        return stdout_of(run_in_pod(self.client, code, kernel=self.kernel, kernelspec=self.kernelspec))

    def ask(self, method: str, path: str, job: str, content: bytes = b"") -> httpx.Response:
        params = {"kernel": self.kernel, "epoch": self.epoch, "job": job}
        return self.client.request(method, path, params=params, content=content)

    def begin(self, call: str, job: str, *, objects: str = "", **arguments: Any) -> CallState:
        order = Order(program=self.program, call=call, arguments=arguments, objects=objects)
        answer = self.ask("POST", CALLS_PATH, job, json.dumps(order.to_json()).encode()).raise_for_status()
        return CallState.from_json(answer.json())

    def look(self, job: str) -> CallState:
        return CallState.from_json(self.ask("GET", CALLS_PATH, job).raise_for_status().json())

    def cancel(self, job: str) -> CallState:
        return CallState.from_json(self.ask("POST", CANCEL_PATH, job).raise_for_status().json())

    def call(self, call: str, job: str = "", **arguments: Any) -> CallState:
        """Call, and ask until it is done."""
        job = job or secrets.token_hex(8)
        state = self.begin(call, job, **arguments)
        while not state.is_done and not state.is_busy:
            state = self.look(job)
        return state


@pytest.fixture
def caller(client: httpx.Client) -> Caller:
    """A client of a kernel of its own."""
    return Caller(client, secrets.token_hex(4))


def test_an_answer_that_is_too_long_to_arrive_is_counted(caller: Caller) -> None:
    state = caller.call("many", count=200_000)
    assert (state.problem, state.is_done) == ("", True)
    assert len(state.answer["restored"]) + state.answer["more_restored"] == 200_000
    report = Report.from_json(state.answer)
    assert (len(report.restored), report.restored_count, report.lost_count) == (MAX_VARIABLES, 200_000, 0)
    assert "more_restored" not in caller.call("many", count=2).answer


def test_a_call_leaves_no_trace_in_the_interpreter(caller: Caller) -> None:
    caller.run("40 + 2")
    caller.run("names = {*globals()}; path = [*__import__('sys').path]; count = get_ipython().execution_count")
    for call in ("changed", "print", "save"):
        assert caller.call(call).problem == ""
    new = "sorted(name for name in globals() if name not in names and name[:2] != '_i')"
    look = f"In[-2][:7], _, get_ipython().execution_count - count, {new}, __import__('sys').path == path"
    assert caller.run(f"print({look})") == "names = 42 1 ['count', 'names', 'path'] True\n"


@pytest.mark.parametrize("fork", [True, False])
def test_what_is_saved_comes_back_in_another_interpreter(caller: Caller, pod: Pod, fork: bool) -> None:
    caller.run("x, text = [1, 2], 'é'")
    job = secrets.token_hex(8)
    state = caller.call("save", job, fork=fork)
    assert (state.problem, state.progress.state, state.progress.done) == ("", "done", 2)
    folder = pod.scratch / "data" / SAVES_FOLDER
    manifest = json.loads((folder / job / "manifest.json").read_text())
    (folder / "objects-0123abcd").mkdir()
    for name, _ in manifest["objects"]:
        (folder / job / OBJECTS_FOLDER / name).rename(folder / "objects-0123abcd" / name)
    caller.cancel(job)
    assert not (folder / job).exists()
    caller.run("import os; os._exit(1)")
    caller.epoch = caller.newest_epoch()
    caller.run("x = 5")
    refused = caller.call("restore", objects="0123abcd", packs=manifest["packs"])
    assert (refused.problem, refused.answer["conflicts"]) == ("", ["x"])
    state = caller.call("restore", objects="0123abcd", packs=manifest["packs"], force=True)
    assert (state.problem, [each["name"] for each in state.answer["restored"]]) == ("", ["x", "text"])
    assert caller.run("print(x, text)") == "[1, 2] é\n"
    assert not (folder / "objects-0123abcd").exists()


def test_what_a_call_says_is_heard_by_no_reader_and_what_threads_say_is(caller: Caller, pod: Pod) -> None:
    caller.run("import pathlib, threading, time; go = pathlib.Path('go')")
    caller.run("def say():\n    while not go.exists(): time.sleep(0.01)\n    print('of the', 'thread', flush=True)")
    caller.run("threading.Thread(target=say).start()")
    assert caller.call("print").problem == ""
    (pod.scratch / "data/go").touch()
    params = {"kernel": caller.kernel, "epoch": caller.epoch, "after": "0"}
    with caller.client.stream("GET", EVENTS_PATH, params=params) as events:
        data, chunks = b"", events.iter_raw()
        while b"of the thread" not in data:
            data += next(chunks)
    assert b"agent-calls" not in data


def test_a_busy_interpreter_is_told_and_nothing_begun(caller: Caller, pod: Pod) -> None:
    go = pod.scratch / "data/run-on"
    code = "import os, time\nwhile not os.path.exists('run-on'): time.sleep(0.01)"
    cell = threading.Thread(target=caller.run, args=(code,))
    cell.start()
    wait_until(caller.is_busy)
    job = secrets.token_hex(8)
    assert caller.begin("changed", job).is_busy
    go.touch()
    cell.join()
    assert caller.call("changed", job).problem == ""


def test_a_second_call_waits_for_nobody_and_the_cells_behind_one_run(caller: Caller) -> None:
    job, other = secrets.token_hex(8), secrets.token_hex(8)
    assert not caller.begin("save", job, seconds=60).is_done
    assert caller.begin("changed", other).is_busy
    cell = threading.Thread(target=caller.run, args=("ran = 1",))
    cell.start()
    wait_until(caller.is_busy)
    assert caller.cancel(job).problem == "It was given up."
    cell.join()
    assert caller.run("print(ran)") == "1\n"
    answer = caller.ask("GET", CALLS_PATH, job)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "CallMissing")


def test_a_request_that_is_repeated_begins_nothing_again(caller: Caller) -> None:
    job = secrets.token_hex(8)
    first = caller.call("save", job, fork=True)
    assert caller.begin("save", job, fork=True) == first


def test_what_fails_in_the_program_is_told_in_a_sentence(caller: Caller) -> None:
    assert caller.call("fail").problem == "The program has failed in the session (ValueError: no)."
    caller.run("module = __import__('sys')")
    assert caller.call("save", fork=True).problem == "It failed: TypeError."


@pytest.mark.parametrize("dies", ["child", "interpreter", "interpreter in place"])
def test_a_process_that_dies_ends_the_call(caller: Caller, dies: str) -> None:
    pid = int(caller.run("import os; print(os.getpid())"))
    caller.run("del os")
    job = secrets.token_hex(8)
    if dies == "child":
        assert "ended before it was done" in caller.call("save", job, fork=True, dies=1).problem
    else:
        state = caller.begin("save", job, fork=dies == "interpreter", seconds=60)
        assert not state.is_done
        os.kill(pid, signal.SIGKILL)
        while not state.is_done:
            state = caller.look(job)
        assert state.problem == "The interpreter ended meanwhile, and its variables are gone."
        wait_until(lambda: caller.newest_epoch() != caller.epoch)
    caller.cancel(job)
    assert caller.run("print(1)") == "1\n"


def test_a_process_of_a_save_that_is_given_up_ends(caller: Caller, pod: Pod) -> None:
    job = secrets.token_hex(8)
    interpreter = psutil.Process(int(caller.run("print(__import__('os').getpid())")))
    state = caller.begin("save", job, fork=True, seconds=60)
    assert (state.is_done, state.answer["mode"]) == (False, "fork"), "a cell may change variables from now on"
    (child,) = interpreter.children()
    caller.cancel(job)
    wait_until(lambda: not is_alive(child.pid))
    assert not (pod.scratch / "data" / SAVES_FOLDER / job).exists()
    assert caller.call("changed").problem == ""


def test_what_is_not_to_be_called_is_refused(caller: Caller) -> None:
    def refusal(call: str = "changed", job: str = "0123456789", program: str = "", kernel: str = "") -> tuple[int, str]:
        caller.program, caller.kernel = program or caller.program, kernel or caller.kernel
        order = json.dumps({"program": caller.program, "call": call, "arguments": {}})
        answer = caller.ask("POST", CALLS_PATH, job, order.encode())
        return answer.status_code, answer.json()["error"]["code"]

    assert refusal(call="__import__") == (400, "WireError")
    assert refusal(job="../../etc") == (400, "BadRequest")
    assert refusal(program="../x.zip") == (400, "WireError")
    assert refusal(program="program-0000000000000000.zip") == (409, "ProgramMissing")
    assert refusal(kernel="another") == (409, "EpochMismatch")
    caller.epoch = "another"
    assert refusal() == (409, "EpochMismatch")


def test_a_kernel_of_another_language_is_told(private_folders: Path) -> None:
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    folder = private_folders / "data/kernels/other"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "Other", "language": "other"}))
    with (
        PodProgram.start(Path(tempfile.mkdtemp(prefix="rk-"))) as pod,
        httpx.Client(base_url=pod.endpoint, timeout=TIMEOUT_SECONDS) as client,
    ):
        caller = Caller(client, kernelspec="other")
        order = json.dumps({"program": caller.program, "call": "changed", "arguments": {}})
        answer = caller.ask("POST", CALLS_PATH, "01234567", order.encode())
    assert (answer.status_code, answer.json()["error"]["code"]) == (424, "NotPython")
    assert answer.json()["error"]["message"] == (
        "The kernel 'other' is not one of Python's: variables can be saved of those."
    )
