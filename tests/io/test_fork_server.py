"""Copies of a real fork server are what programs of their own would be, and their ends are told."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from remote_kernel.io.system.fork_server import STATUS, UNKNOWN_STATUS, ForkedProcess, ForkServer, NoForkServer
from tests.driver import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="where there are descriptors of processes")

# A copy runs the code that is its first argument.
SERVER = """
import os, socket, sys
from remote_kernel.io.system.forking import Loaded, package_folders, prepare_to_fork, serve
loaded = Loaded(package_folders())
prepare_to_fork()
job = serve(socket.socket(fileno=os.dup(0)), loaded)
if job is not None:
    exec(job.arguments[1], {"job": job})
"""

FACTS = """
import json, os, resource, signal, socket, sys, tempfile, threading, time
print(json.dumps({
    "argv": sys.argv, "cwd": os.getcwd(), "environ": dict(os.environ), "path": sys.path,
    "files": sorted(map(int, os.listdir("/proc/self/fd"))), "limit": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    "leads": [os.getpgid(0) == os.getpid(), os.getsid(0) == os.getpid()], "tz": time.tzname[0],
    "temporary": tempfile.gettempdir(), "threads": threading.active_count(),
    "signals": [str(signal.getsignal(each)) for each in (signal.SIGCHLD, signal.SIGTERM)],
    "wakes": signal.set_wakeup_fd(-1), "read": sys.stdin.read(),
}))
"""


@dataclass(frozen=True, slots=True)
class Running:
    """A fork server of the test's own.

    Attributes:
        packages: a folder that its modules may come from.
    """

    process: subprocess.Popen[bytes]
    server: ForkServer
    packages: Path
    folder: Path

    def fork(self, code: str, environ: Mapping[str, str] | None = None, **more: Any) -> tuple[ForkedProcess, int]:
        """Return a copy that runs `code`, and what it prints to."""
        printed, stdout = os.pipe()
        null = os.open(os.devnull, os.O_RDWR)
        try:
            arguments = ["copy", code, "argument"]
            streams = (null, stdout, 2)
            found = dict(os.environ) if environ is None else environ
            return self.server.fork(arguments, cwd=str(self.folder), environ=found, streams=streams, **more), printed
        finally:
            os.close(null)
            os.close(stdout)

    def run(self, code: str, environ: Mapping[str, str] | None = None) -> str:
        """Return what a copy has printed when it has ended."""
        process, printed = self.fork(code, environ)
        with open(printed, encoding="utf-8") as file:  # noqa: PTH123
            text = file.read()
        assert process.wait() == 0
        return text


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    packages = tmp_path / "packages"
    packages.mkdir()
    ours, of_server = socket.socketpair()
    environ = {**os.environ, "PYTHONPATH": f"{packages}{os.pathsep}{Path(__file__).parents[2]}"}
    with ExitStack() as stack:
        with of_server:
            process = stack.enter_context(
                subprocess.Popen([sys.executable, "-c", SERVER], stdin=of_server.fileno(), env=environ)
            )
        stack.callback(process.kill)
        server = ForkServer(ours)
        stack.callback(server.close)
        yield Running(process, server, packages, tmp_path)


def test_a_copy_is_what_a_program_would_be(running: Running) -> None:
    environ = {
        "TZ": "XYZ3",
        "TMPDIR": str(running.packages),
        "ODD": "\udcff",
        "PYTHONPATH": f"/first{os.pathsep}/second",
    }
    facts = json.loads(running.run(FACTS, environ))
    assert (facts["argv"], facts["cwd"]) == (["copy", FACTS, "argument"], str(running.folder))
    assert facts["environ"] == environ
    assert facts["path"][:2] == ["/first", "/second"]
    assert facts["files"] == [0, 1, 2, 3]  # the last one lists the others
    assert facts["limit"] == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert facts["leads"] == [True, True]
    assert (facts["tz"], facts["temporary"], facts["threads"]) == ("XYZ", str(running.packages), 1)
    assert facts["signals"] == [str(signal.getsignal(each)) for each in (signal.SIGCHLD, signal.SIGTERM)]
    assert (facts["wakes"], facts["read"]) == (-1, "")


def test_a_large_environment_arrives(running: Running) -> None:
    environ = {f"NAME_{number}": "x" * 100_000 for number in range(10)}
    assert running.run("import os; print(sum(map(len, os.environ.values())))", environ) == "1000000\n"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("raise SystemExit(3)", 3),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
        ("import atexit, os; atexit.register(lambda: os._exit(7))", 7),
    ],
)
def test_how_a_copy_has_ended_is_told(running: Running, code: str, status: int) -> None:
    process, _ = running.fork(code)
    assert process.wait() == status
    assert process.poll() == process.wait() == status


def test_a_copy_is_waited_for_and_signalled_like_any_child(running: Running) -> None:
    process, printed = running.fork("import time; print('here', flush=True); time.sleep(600)")
    assert os.read(printed, 4) == b"here"
    assert process.poll() is None
    process.terminate()
    assert process.wait() == -signal.SIGTERM
    process.kill()  # nobody


def test_copies_of_a_server_that_was_killed_live_on(running: Running) -> None:
    process, printed = running.fork("import time; print('here', flush=True); time.sleep(600)")
    assert os.read(printed, 4) == b"here"
    running.process.kill()
    running.process.wait()
    with pytest.raises(NoForkServer):
        running.fork("pass")
    assert process.poll() is None
    process.kill()
    assert process.wait() == UNKNOWN_STATUS


def test_a_server_stays_as_long_as_its_copies_when_nobody_asks_any_more(running: Running) -> None:
    process, printed = running.fork("import time; print('here', flush=True); time.sleep(600)")
    assert os.read(printed, 4) == b"here"
    running.server.close()
    process.send_signal(signal.SIGINT)
    assert process.wait() in (1, -signal.SIGINT)
    assert running.process.wait() == 0


def test_who_asks_a_server_that_was_let_go_is_told(running: Running) -> None:
    running.server.close()
    with pytest.raises(NoForkServer):
        running.fork("pass")


def test_a_copy_whose_descriptor_does_not_arrive_is_ended() -> None:
    ours, of_server = socket.socketpair()
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    with ours, of_server, subprocess.Popen(sleep) as copy:
        of_server.sendall(STATUS.pack(copy.pid))  # all that comes where this process may open no more
        with pytest.raises(NoForkServer, match="Too many open files"):
            ForkServer(ours).fork(["copy"], cwd="/", environ={}, streams=(0, 1, 2))
        assert copy.wait() == -signal.SIGKILL


def test_a_server_that_does_not_get_all_streams_forks_nothing_and_lives_on(running: Running) -> None:
    with pytest.raises(NoForkServer, match="Too many open files"):
        running.server.fork(["copy", "pass"], cwd="/", environ={}, streams=(2,))
    assert running.run("print('here')") == "here\n"


def test_no_copy_is_left_as_a_zombie(running: Running) -> None:
    for _ in range(3):
        running.run("pass")
    assert psutil.Process(running.process.pid).children() == []


def test_what_was_installed_since_is_not_what_a_copy_would_have(running: Running) -> None:
    assert running.run("print('same')") == "same\n"
    (running.packages / "new-1.0.dist-info").mkdir()
    with pytest.raises(NoForkServer, match="no longer what is installed"):
        running.fork("pass")
    (running.packages / "new-1.0.dist-info").rmdir()
    with pytest.raises(NoForkServer, match="no longer what is installed"):
        running.fork("pass")


def test_what_fails_before_it_begins_is_an_end_with_a_status(running: Running) -> None:
    process, _ = running.fork("pass", mounting=["false"])
    wait_until(lambda: process.poll() is not None)
    assert process.wait() == 1
