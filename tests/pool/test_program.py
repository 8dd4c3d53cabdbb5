"""`python -m remote_kernel.pool` with real pods, as its operator and its clients see it."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from remote_kernel import __version__
from remote_kernel.core.pools.local_pool import RunningPool
from remote_kernel.io.local_pools import folder_of, this_environment
from tests.driver import Pool, is_alive

DEADLINE_SECONDS = 30


def wait_until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def run_cell(pool: Pool, code: str, **query: str) -> httpx.Response:
    with pool.client() as client:
        return client.post("/api/v2/execute", params=query, json={"code": code})


def printed(answer: httpx.Response) -> str:
    messages = [json.loads(line) for line in answer.raise_for_status().text.splitlines()]
    return "".join(message["content"]["text"] for message in messages if message["msg_type"] == "stream")


def runtime_file() -> Path:
    return folder_of(this_environment().name) / "pool.json"


@contextmanager
def start_program(*options: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "remote_kernel.pool", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def read_pool(process: "subprocess.Popen[str]") -> Pool:
    assert process.stdout is not None
    return Pool(**json.loads(process.stdout.readline()), process=process)


def read_errors(process: "subprocess.Popen[str]") -> str:
    assert process.stderr is not None
    return process.stderr.read()


def run_program(*options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "remote_kernel.pool", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_SECONDS)


def test_pool_whose_address_nobody_reads_ends_without_a_traceback() -> None:
    with start_program("--port", "0", "--json") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert read_errors(process) == ""
        assert process.wait() == 1


@pytest.fixture(scope="module")
def five() -> Iterator[Pool]:
    with Pool.start("--max-sessions", "5") as pool:
        yield pool


def test_five_sessions_work_at_once_and_the_sixth_is_refused(five: Pool) -> None:
    with ThreadPoolExecutor() as executor:
        cells = [executor.submit(run_cell, five, f"x = {name!r}", identifier=name) for name in "abcde"]
    assert [cell.result().status_code for cell in cells] == [200] * 5
    answer = run_cell(five, "1", identifier="f")
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    assert [printed(run_cell(five, "print(x)", identifier=name)) for name in "abcde"] == [
        f"{name}\n" for name in "abcde"
    ]


def test_runtime_file_names_the_pool_and_is_private(tmp_path: Path) -> None:
    with Pool.start() as pool:
        registered = RunningPool.from_json(json.loads(runtime_file().read_text()))
        assert registered == RunningPool(
            endpoint=pool.endpoint,
            token=pool.token,
            pid=pool.process.pid,
            python=sys.executable,
            version=__version__,
        )
        assert stat.S_IMODE(runtime_file().stat().st_mode) == 0o600
        assert stat.S_IMODE(runtime_file().parent.stat().st_mode) == 0o700
    assert not runtime_file().exists()


def test_second_pool_leaves_the_first_one_registered_and_says_so() -> None:
    with Pool.start() as first:
        before = runtime_file().read_text()
        with start_program("--port", "0", "--ready", "0") as second:
            assert second.stdout is not None
            _, who, _ = (second.stdout.readline() for _ in range(3))
            assert runtime_file().read_text() == before
            second.terminate()
            assert second.wait(DEADLINE_SECONDS) == 0
        assert runtime_file().read_text() == before
    assert f"as they find the pool that runs already at {first.endpoint};" in who


def test_pool_that_no_kernel_can_find_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", "/proc/nowhere")
    with start_program("--ready", "0", "--json") as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["endpoint"].startswith("http://127.0.0.1:")
        process.terminate()
        _, told = process.communicate()
    assert "Kernels cannot find this pool, as Jupyter's runtime folder cannot be written (" in told
    assert told.rstrip().endswith("set JUPYTER_RUNTIME_DIR to a folder of yours.")


def test_pool_that_was_killed_is_replaced_in_the_runtime_file() -> None:
    with Pool.start() as first:
        first.process.kill()
        first.process.wait()
        with Pool.start() as second:
            registered = RunningPool.from_json(json.loads(runtime_file().read_text()))
            assert registered is not None
            assert registered.pid == second.process.pid


def test_pod_dies_with_its_kernel_when_the_pool_is_killed() -> None:
    with Pool.start("--ready", "1") as pool:
        kernels = [int(printed(run_cell(pool, "import os; print(os.getpid())", identifier=name))) for name in "ab"]
        pods = [process.pid for process in psutil.Process(pool.process.pid).children()]
        pool.process.kill()
        wait_until(lambda: not any(is_alive(pid) for pid in [*kernels, *pods]))


@pytest.mark.slow
def test_cooldown_frees_a_slot_and_a_killed_pod_does() -> None:
    with Pool.start("--max-sessions", "1", "--cooldown", "3") as pool:
        first = int(printed(run_cell(pool, "x = 1; import os; print(os.getppid())", identifier="first")))
        assert run_cell(pool, "1", identifier="second").status_code == 429
        wait_until(lambda: pool.sessions() == [])
        assert not printed(run_cell(pool, "print(globals().get('x', ''), end='')", identifier="second"))
        (session,) = pool.sessions()
        assert session["pid"] != first
        os.kill(session["pid"], signal.SIGKILL)
        wait_until(lambda: pool.sessions() == [])
        assert run_cell(pool, "1", identifier="third").status_code == 200


def test_cell_sees_no_secret_and_works_in_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {"AZURE_CLIENT_SECRET": "s1", "REMOTE_KERNEL_TOKEN": "s2", "JUPYTERHUB_API_TOKEN": "s3", "MY_KEY": "s4"}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    with Pool.start("--max-sessions", "1") as pool:
        environ, folder = json.loads(
            printed(run_cell(pool, "import os, json; print(json.dumps([dict(os.environ), os.getcwd()]))"))
        )
        assert set(secrets).isdisjoint(environ)
        assert pool.token not in environ.values()
        assert Path(folder).is_dir()
        assert stat.S_IMODE(Path(folder).parent.stat().st_mode) & 0o077 == 0
    assert not Path(folder).exists()


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130), (signal.SIGHUP, 0)])
def test_signal_ends_it_at_once_with_an_answer_open(signum: signal.Signals, status: int) -> None:
    with start_program("--json", "--max-sessions", "1") as process:
        pool = read_pool(process)
        cell = {"code": "import time; print('begun', flush=True); time.sleep(60)"}
        with pool.client() as client, client.stream("POST", "/api/v2/execute", json=cell) as answer:
            next(line for line in answer.iter_lines() if "begun" in line)
            pods = psutil.Process(process.pid).children(recursive=True)
            begin = time.monotonic()
            process.send_signal(signum)
            assert process.wait(DEADLINE_SECONDS) == status
            assert time.monotonic() - begin < 3.5
        assert not any(pod.is_running() for pod in pods)
        assert read_errors(process) == ""


def test_text_for_people_shows_no_token() -> None:
    with start_program("--ready", "0") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        registered = RunningPool.from_json(json.loads(runtime_file().read_text()))
        assert registered is not None
        assert registered.endpoint in line
        process.terminate()
        assert registered.token not in line + process.stdout.read()


def test_port_in_use_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = run_program("--port", str(taken.getsockname()[1]))
    assert ended.returncode == 1
    assert re.fullmatch(
        r"The pool cannot listen on 127\.0\.0\.1, port \d+: Address already in use\. .*\n", ended.stderr
    )


def test_unknown_host_is_one_sentence() -> None:
    ended = run_program("--host", "no-such-host.invalid")
    assert ended.returncode == 1
    assert ended.stderr.startswith("The pool cannot listen on no-such-host.invalid")
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "options",
    [("--port", "65536"), ("--max-sessions", "0"), ("--cooldown", "0"), ("--cooldown", "nan"), ("--ready", "-1")],
)
def test_number_that_cannot_be_used_is_named(options: tuple[str, str]) -> None:
    ended = run_program(*options)
    assert ended.returncode == 2
    assert options[0] in ended.stderr
    assert repr(options[1]) in ended.stderr


def test_no_identifier_token_or_code_is_ever_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Every logger of the process at its lowest level, as an operator in search of a fault may set it.
    (tmp_path / "sitecustomize.py").write_text("import logging; logging.basicConfig(level=0)")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    with start_program("--json", "--max-sessions", "1") as process:
        pool = read_pool(process)
        run_cell(pool, "hidden_code = 1", identifier="hidden-identifier")
        run_cell(pool, "hidden_code = 1", identifier="hidden-identifier-2")
        (session,) = pool.sessions()
        os.kill(session["pid"], signal.SIGKILL)
        wait_until(lambda: pool.sessions() == [])
        process.terminate()
        log = read_errors(process)
    assert "ended by itself" in log
    assert not re.search(f"hidden|{re.escape(pool.token)}", log)


def test_page_shows_more_of_the_log_than_the_terminal(tmp_path: Path) -> None:
    with (tmp_path / "stderr").open("w+b") as stderr:
        with Pool.start("--ready", "1", stderr=stderr) as pool, pool.client() as client:
            wait_until(lambda: "pod ready" in client.get("/.local/page/feed").json()["log"])
        stderr.seek(0)
        assert b"pod ready" not in stderr.read()
