"""What a kernel has loaded when its first cell has run: every start waits for it, and it stays in memory."""

import compileall
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from jupyter_client.blocking.client import BlockingKernelClient

from tests.driver import TIMEOUT_SECONDS, write_connection_file
from tests.kernel.scripted_pod import ScriptedPod
from tests.kernel.test_cell_costs import run_cell

PACKAGE = Path(__file__).parents[2] / "remote_kernel"

# Each of ours takes 0.2 to 0.5 ms of a start, and some 20 KB.
MAX_MODULES = 152

# What few cells need is loaded when one does. Some milliseconds each, or many together.
LATE = (
    "client.auth", "client.early_contact", "client.files.download", "client.http.certificates", "client.http.proxy",
    "client.http.rejections", "client.interpreter", "client.local_pool", "client.packages", "client.saves",
    "client.workspace", "core.download_paths", "core.forwarding", "core.jupyter.debugger_files",
    "core.pools.pod_facts", "core.project_settings", "core.saves", "core.wire.compression", "core.wire.files",
    "core.wire.packages", "core.wire.saves", "kernel.before_session.completeness", "kernel.frontend.question",
    "kernel.interrupt_event", "kernel.launch.startup_file", "kernel.magics.actions", "kernel.magics.command_line",
    "kernel.magics.completion", "kernel.magics.session_command", "kernel.magics.status_card",
    "kernel.magics.transfers", "kernel.preparation.error_hints", "kernel.preparation.workspace",
    "kernel.saves.session_saves", "kernel.session.known_sessions", "kernel.session.leftovers",
    "kernel.session.restarts", "kernel.session.workspace_choice",
)  # fmt: skip
OF_PYTHON = {"argparse", "codeop", "difflib", "email", "gettext", "html", "shlex", "tomllib", "zipfile"}

# Runs the kernel until it would serve, and says whether the collector works before and then, and how many objects it
# leaves alone.
PROGRAM = """
import gc, runpy
from remote_kernel.kernel import serving
enabled = []

async def serve(*_arguments):
    print(enabled[0], gc.isenabled(), gc.get_freeze_count())
    return 0

def find_parent(_environ):
    enabled.append(gc.isenabled())

serving.serve = serve
from remote_kernel.kernel import parent
parent.find_parent = find_parent
runpy.run_module("remote_kernel", run_name="__main__", alter_sys=True)
"""


# The libraries that each kernel uses take most of its memory. What comes on top is ours: modules, threads, a buffer.
OF_OTHERS = """
import asyncio, concurrent.futures.thread, http, httptools, jupyter_core.paths, secrets, tempfile, zmq
print(open("/proc/self/status").read())
"""
_ANONYMOUS = re.compile(r"RssAnon:\s+(\d+) kB")
MAX_OWN_KILOBYTES = 5_600


class Started(NamedTuple):
    """A kernel that has run its first cell.

    Attributes:
        modules: in the order in which they were loaded.
        status: what Linux says of the process.
    """

    modules: list[str]
    status: str


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Started:
    folder = tmp_path_factory.mktemp("started")
    connection_file, log = folder / "c.json", folder / "importtime"
    write_connection_file(connection_file, key=b"key")
    compileall.compile_dir(PACKAGE, quiet=1)  # as an installation has it: what is compiled at the start leaves memory
    command = [sys.executable, "-X", "importtime", "-m", "remote_kernel", "-f", str(connection_file)]
    with ScriptedPod.serve() as pod, log.open("wb") as stderr:
        environ = {**os.environ, "REMOTE_KERNEL_ENDPOINT": pod.endpoint, "REMOTE_KERNEL_TOKEN": "t"}
        with subprocess.Popen(command, env=environ, stderr=stderr, cwd=folder) as kernel:
            client = BlockingKernelClient(connection_file=str(connection_file))
            client.load_connection_file()
            client.start_channels(hb=False)
            client.wait_for_ready(TIMEOUT_SECONDS)
            run_cell(client, pod)
            text, status = log.read_text(), Path(f"/proc/{kernel.pid}/status")
            memory = status.read_text() if status.exists() else ""
            client.shutdown()
            kernel.wait(TIMEOUT_SECONDS)
            client.stop_channels()
    return Started(re.findall(r"import time:.*\|\s+([\w.]+)$", text, re.MULTILINE), memory)


def test_a_first_cell_takes_no_more_modules_than_it_must(started: Started) -> None:
    ours = [name for name in started.modules if name.split(".")[0] == "remote_kernel"]
    assert "remote_kernel.kernel.relay" in ours
    assert len(ours) <= MAX_MODULES, ours


def test_what_few_cells_need_is_loaded_when_one_does(started: Started) -> None:
    late = tuple(f"remote_kernel.{name}" for name in LATE)
    assert [name for name in started.modules if name.startswith(late)] == []
    assert OF_PYTHON & set(started.modules) == set()


@pytest.mark.skipif(sys.platform != "linux", reason="it is Linux that tells")
def test_an_idle_kernel_adds_little_to_what_its_libraries_take(started: Started) -> None:
    others = subprocess.run([sys.executable, "-c", OF_OTHERS], capture_output=True, text=True, check=True).stdout
    kernel, basis = (int(found[1]) for text in (started.status, others) if (found := _ANONYMOUS.search(text)))
    assert kernel - basis <= MAX_OWN_KILOBYTES


def test_the_garbage_collector_looks_at_nothing_that_is_loaded(tmp_path: Path) -> None:
    connection_file = tmp_path / "c.json"
    write_connection_file(connection_file, key=b"key")
    command = [sys.executable, "-c", PROGRAM, "-f", str(connection_file)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    was_enabled, is_enabled, frozen = ended.stdout.split()
    assert (was_enabled, is_enabled) == ("False", "True")
    assert int(frozen) > 10_000


def test_each_late_module_is_one_of_ours() -> None:
    paths = [PACKAGE / name.replace(".", "/") for name in LATE]
    assert [path for path in paths if not (path.is_dir() or path.with_suffix(".py").exists())] == []
