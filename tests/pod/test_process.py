"""The pod's process: it leaves nothing behind."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from remote_kernel.core.interpreter_api.versions import ApiVersion
from remote_kernel.core.text.log_lines import LogEvent, LogLine
from remote_kernel.core.wire.codec import decode_all
from remote_kernel.core.wire.frames import EVENTS_PATH, End
from remote_kernel.pod.__main__ import main
from tests.driver import TIMEOUT_SECONDS, PodProgram, few_files, is_alive, run_in_pod, stdout_of, wait_until
from tests.pod.scripted_interpreter import KERNELSPEC, ScriptedInterpreter, install


def start_child(client: httpx.Client) -> list[int]:
    """Return the process ids of the interpreter and of a program that it started."""
    code = "import os, subprocess; print(os.getpid(), subprocess.Popen(['sleep', '600']).pid)"
    return [int(word) for word in stdout_of(run_in_pod(client, code)).split()]


def test_a_pod_ends_with_its_input_and_takes_everything_along() -> None:
    scratch = Path(tempfile.mkdtemp(prefix="rk-"))
    with PodProgram.start(scratch) as pod:
        with httpx.Client(base_url=pod.endpoint, timeout=TIMEOUT_SECONDS) as client:
            pids = start_child(client)
        assert all(map(is_alive, pids))
    assert pod.process.returncode == 0
    assert not any(map(is_alive, pids))
    assert not scratch.exists()


@pytest.fixture
def starting() -> Iterator[tuple["subprocess.Popen[bytes]", Path, ScriptedInterpreter]]:
    """A supervised pod whose interpreter has not answered yet, its socket and that interpreter."""
    folder = Path(tempfile.mkdtemp(prefix="rk-"))
    scratch, address = folder / "s", folder / "a"
    command = [sys.executable, "-m", "remote_kernel.pod", "--supervised", "--uds", str(address)]
    command += ["--kernel", KERNELSPEC, "--scratch", str(scratch), "--data", str(folder / "data")]
    with (
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **install(folder)},
        ) as process,
        ScriptedInterpreter.serve(scratch) as interpreter,
    ):
        yield process, address, interpreter
        process.kill()
    shutil.rmtree(folder)


def test_a_pod_that_is_stopped_while_it_starts_says_nothing(
    starting: tuple["subprocess.Popen[bytes]", Path, ScriptedInterpreter],
) -> None:
    process, address, interpreter = starting
    wait_until(lambda: accepts(address))
    with socket.socket(socket.AF_UNIX) as half:  # for which a server that is stopped has some patience
        half.connect(str(address))
        half.sendall(b"GET /health HTTP/1.1\r\nhost: pod\r\n\r\n")
        half.sendall(b"POST /code/execute?api-version=2024-02-02-preview HTTP/1.1\r\n")
        half.sendall(b"host: pod\r\ncontent-length: 9\r\n\r\n{")
        assert half.recv(1000).startswith(b"HTTP/1.1 200 ")
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: not accepts(address))
        interpreter.answer_while(lambda: process.poll() is None)
    assert (process.returncode, *process.communicate()) == (0, b"", b"")


def accepts(address: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as attempt:
        return attempt.connect_ex(str(address)) == 0


def test_a_pod_to_which_nobody_listens_when_it_is_ready_ends_with_its_input(
    starting: tuple["subprocess.Popen[bytes]", Path, ScriptedInterpreter],
) -> None:
    process, address, interpreter = starting
    assert process.stdout is not None
    process.stdout.close()
    wait_until(lambda: accepts(address))
    target = {"kernel": "main", "kernelspec": KERNELSPEC, "reader": "r", "identifier": "i"}
    answering = threading.Thread(target=interpreter.answer_while, args=[lambda: process.poll() is None])
    answering.start()
    with (
        httpx.Client(transport=httpx.HTTPTransport(uds=str(address)), timeout=TIMEOUT_SECONDS) as client,
        client.stream("GET", f"http://pod{EVENTS_PATH}", params=target) as events,
    ):
        assert next(events.iter_raw())  # so it is ready
    assert process.stdin is not None
    process.stdin.close()
    answering.join()
    assert process.stderr is not None
    assert (process.returncode, process.stderr.read()) == (0, b"")


@pytest.mark.parametrize("end", ["end of input", "SIGTERM", "SIGHUP"])
def test_exit_handlers_run_when_a_pod_is_stopped(tmp_path: Path, end: str) -> None:
    code = f"""
import atexit, os, pathlib, time
os.chdir({str(tmp_path)!r})
unflushed = open('unflushed', 'w')
unflushed.write('text')
atexit.register(lambda: (time.sleep(0.2), pathlib.Path('handled').touch()))
"""
    with (
        PodProgram.start(Path(tempfile.mkdtemp(prefix="rk-"))) as pod,
        httpx.Client(base_url=pod.endpoint, timeout=TIMEOUT_SECONDS) as client,
    ):
        run_in_pod(client, code)
        if end != "end of input":
            pod.process.send_signal(signal.Signals[end])
            assert pod.process.wait(10) == 0
    assert (tmp_path / "handled").exists()
    assert (tmp_path / "unflushed").read_text() == "text"


def test_a_pod_that_is_ready_loads_nothing_for_its_first_cell(tmp_path: Path) -> None:
    log = tmp_path / "imports"
    with (
        log.open("wb") as stderr,
        PodProgram.start(Path(tempfile.mkdtemp(prefix="rk-")), stderr=stderr, PYTHONPROFILEIMPORTTIME="1") as pod,
    ):
        loaded = log.read_text()
        assert "remote_kernel.pod.api.api" in loaded
        with httpx.Client(base_url=pod.endpoint, timeout=TIMEOUT_SECONDS) as client:
            with client.stream("GET", EVENTS_PATH) as events:
                assert next(events.iter_raw())
            assert stdout_of(run_in_pod(client, "print('ran')")) == "ran\n"
        assert log.read_text().removeprefix(loaded) == ""


@pytest.mark.parametrize(("host", "why"), [("127.0.0.1", "Address already in use"), ("no-such-host.invalid", "")])
def test_a_pod_that_cannot_listen_says_so_in_a_sentence(host: str, why: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "remote_kernel.pod", "--host", host, "--port", port]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    assert ended.returncode == 1
    assert re.fullmatch(rf"remote-kernel-pod: cannot listen on {host}, port {port}: {why}.*\.\n", ended.stderr)


@pytest.mark.parametrize(
    ("option", "place", "sentence"),
    [
        ("--uds", "missing/s", "cannot listen on {}: No such file or directory."),
        ("--uds", "s" * 120, "cannot listen on {}: AF_UNIX path too long."),
        ("--scratch", "file", "cannot use {}: File exists."),
        ("--data", "file/data", "cannot use {}: Not a directory."),
    ],
)
def test_a_place_that_a_pod_cannot_use_is_named_in_a_sentence(
    tmp_path: Path, option: str, place: str, sentence: str
) -> None:
    (tmp_path / "file").touch()
    path = str(tmp_path / place)
    command = [sys.executable, "-m", "remote_kernel.pod", "--port", "0", option, path]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    assert (ended.returncode, ended.stderr) == (1, f"remote-kernel-pod: {sentence.format(path)}\n")


def test_idle_connections_do_not_keep_a_pod_from_answering() -> None:
    scratch = Path(tempfile.mkdtemp(prefix="rk-"))
    with PodProgram.start(scratch, prefix=few_files(128)) as pod, contextlib.ExitStack() as stack:
        address = urlsplit(pod.endpoint)
        for _ in range(150):
            stack.enter_context(socket.create_connection((address.hostname, address.port)))
        with httpx.Client(base_url=pod.endpoint, timeout=15) as client:  # less than idle connections are kept
            assert "42" in client.post("/api/v2/execute", json={"code": "6 * 7"}).raise_for_status().text


def test_a_port_that_is_none_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--port", "99999"])
    assert ended.value.code == 2
    assert "'99999' is not a port from 0 to 65535" in capsys.readouterr().err


def test_a_pod_ends_within_seconds_although_a_stream_is_open() -> None:
    with (
        PodProgram.start(Path(tempfile.mkdtemp(prefix="rk-"))) as pod,
        httpx.Client(base_url=pod.endpoint, timeout=TIMEOUT_SECONDS) as client,
        client.stream("GET", "/api/v2/events") as response,
    ):
        chunks = response.iter_raw()
        next(chunks)
        pod.process.send_signal(signal.SIGTERM)
        assert decode_all(b"".join(chunks))[-1] == End(reason="stopping")
        assert pod.process.wait(10) == 0


def test_a_cell_that_runs_when_its_pod_is_stopped_ends_with_a_reply_that_says_so(tmp_path: Path) -> None:
    cell = {"code": "print('go', flush=True)\nimport time; time.sleep(600)"}
    with (tmp_path / "log").open("w+b") as stderr:
        with (
            PodProgram.start(Path(tempfile.mkdtemp(prefix="rk-")), stderr=stderr) as pod,
            httpx.Client(base_url=pod.endpoint, timeout=TIMEOUT_SECONDS) as client,
            client.stream("POST", "/api/v2/execute", json=cell) as response,
        ):
            lines = response.iter_lines()
            assert any("go" in line for line in lines)
            pod.process.send_signal(signal.SIGTERM)
            *_, reply = map(json.loads, lines)
        stderr.seek(0)
        assert stderr.read() == b""
    assert (reply["msg_type"], reply["content"]["ename"]) == ("execute_reply", "SessionLost")
    assert reply["content"]["evalue"] == "The interpreter ended (its pod is stopped); its variables are gone."


def test_executions_that_wait_or_run_when_their_pod_is_stopped_are_answered(tmp_path: Path) -> None:
    params = {"api-version": ApiVersion.V2025_10_02.value}
    code = "print('begun')\nimport time; time.sleep(600)"
    with (
        (tmp_path / "log").open("w+b") as stderr,
        PodProgram.start(Path(tempfile.mkdtemp(prefix="rk-")), stderr=stderr) as pod,
        httpx.Client(base_url=pod.endpoint, timeout=TIMEOUT_SECONDS, params=params) as client,
        ThreadPoolExecutor() as threads,
    ):

        def begin(name: str, state: str) -> "Future[httpx.Response]":
            answer = threads.submit(client.post, "/executions", json={"code": code}, headers={"operation-id": name})
            wait_until(lambda: client.get(f"/executions/{name}").json().get("status") == state)
            return answer

        answers = [begin("first", "Running"), begin("second", "NotStarted")]
        pod.process.send_signal(signal.SIGTERM)
        first, second = (answer.result().json() for answer in answers)
        assert pod.process.wait(10) == 0
        stderr.seek(0)
        assert stderr.read() == b""
    error = {"code": "SessionLost", "message": "The interpreter ended (its pod is stopped); its variables are gone."}
    assert [execution["error"]["error"] for execution in (first, second)] == [error, error]


def test_a_request_that_has_half_arrived_when_its_pod_is_stopped_is_cut_without_a_word(tmp_path: Path) -> None:
    with (
        (tmp_path / "log").open("w+b") as stderr,
        PodProgram.start(Path(tempfile.mkdtemp(prefix="rk-")), stderr=stderr) as pod,
        httpx.Client(base_url=pod.endpoint, timeout=TIMEOUT_SECONDS) as client,
        socket.create_connection(("127.0.0.1", client.base_url.port or 0)) as half,
    ):
        half.sendall(b"POST /code/execute?api-version=2024-02-02-preview HTTP/1.1\r\n")
        half.sendall(b"host: pod\r\ncontent-length: 9\r\n\r\n{")
        assert client.get("/health").status_code == 200  # the server has read what came before
        pod.process.send_signal(signal.SIGTERM)
        half.settimeout(TIMEOUT_SECONDS)
        with contextlib.suppress(ConnectionResetError):
            assert half.recv(1000) == b""
        assert pod.process.wait(10) == 0
        stderr.seek(0)
        assert stderr.read() == b""


def test_an_interpreter_and_what_it_has_started_end_when_their_pod_is_killed() -> None:
    with PodProgram.start(Path(tempfile.mkdtemp(prefix="rk-"))) as pod:
        with httpx.Client(base_url=pod.endpoint, timeout=TIMEOUT_SECONDS) as client:
            pids = start_child(client)
        kill(pod)
        wait_until(lambda: not any(map(is_alive, pids)), timeout_seconds=20)


def kill(pod: PodProgram) -> None:
    """Kill a pod, which has no time to tidy up."""
    pod.process.kill()
    pod.process.wait()
    shutil.rmtree(pod.scratch)


def test_a_kernel_that_is_no_python_ends_when_its_pod_is_killed(tmp_path: Path) -> None:
    """The process that the agent starts is a shell, which knows nothing of parents; what answers is its child."""
    folder = tmp_path / "kernels" / "shell"
    folder.mkdir(parents=True)
    command = f"{sys.executable} -m ipykernel_launcher -f {{connection_file}} & wait; sleep 600"
    spec = {"argv": ["/bin/sh", "-c", command], "display_name": "", "language": "shell"}
    (folder / "kernel.json").write_text(json.dumps(spec))
    with PodProgram.start(Path(tempfile.mkdtemp(prefix="rk-")), JUPYTER_PATH=str(tmp_path)) as pod:
        with httpx.Client(base_url=pod.endpoint, timeout=TIMEOUT_SECONDS) as client:
            code = "import os; print(os.getpid(), os.getppid())"
            said = stdout_of(run_in_pod(client, code, kernel="shell", kernelspec="shell"))
        pids = [int(word) for word in said.split()]
        assert len(pids) == 2
        kill(pod)
        try:
            wait_until(lambda: not any(map(is_alive, pids)), timeout_seconds=10)
        finally:
            for pid in filter(is_alive, pids):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no signal for a parent's death")
def test_an_interpreter_that_is_held_ends_when_its_pod_is_killed() -> None:
    """It cannot look whether the pod is there while it is held, for a reader that is behind."""
    with PodProgram.start(Path(tempfile.mkdtemp(prefix="rk-"))) as pod:
        with httpx.Client(base_url=pod.endpoint, timeout=TIMEOUT_SECONDS) as client:
            interpreter, child = start_child(client)
        os.kill(interpreter, signal.SIGSTOP)
        kill(pod)
        wait_until(lambda: not is_alive(interpreter) and not is_alive(child), timeout_seconds=20)


def test_the_end_of_an_interpreter_is_a_line_in_the_log_without_what_it_was_about(tmp_path: Path) -> None:
    code = "secret = 1; import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    with (tmp_path / "log").open("w+b") as stderr:
        with (
            PodProgram.start(Path(tempfile.mkdtemp(prefix="rk-")), stderr=stderr) as pod,
            httpx.Client(base_url=pod.endpoint, timeout=TIMEOUT_SECONDS) as client,
        ):
            run_in_pod(client, code)
        stderr.seek(0)
        (line,) = [LogLine.from_json(text.decode()) for text in stderr]
    assert line is not None
    assert (line.program, line.level, line.pid) == ("pod", "warning", pod.process.pid)
    assert line.event == LogEvent("interpreter died", kernel="main", detail="signal 9 (SIGKILL)")
