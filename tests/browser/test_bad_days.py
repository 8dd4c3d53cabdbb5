"""What a user of JupyterLab sees on a bad day: sentences that say what happened and what to do."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest

from remote_kernel.core.interpreter_api.versions import ApiVersion
from remote_kernel.core.pools.front_door import LIST_MANAGED_PATH
from remote_kernel.core.pools.local_pool import POOLS_FOLDER, RUNTIME_FILE, RunningPool
from remote_kernel.core.wire.frames import SESSION_PATH, STOP_SESSION_PATH
from remote_kernel.io.local_pools import this_environment
from tests.browser.lab import Lab, OpenNotebook
from tests.driver import TIMEOUT_SECONDS, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page

expect = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install -e .[browser]").expect

pytestmark = pytest.mark.browser

Shoot = Callable[[str], None]


@pytest.fixture(scope="module")
def lab_environ() -> dict[str, str]:
    """Nothing, so that kernels use the user's own local pool."""
    return {}


@pytest.fixture
def daemon(lab: Lab) -> Iterator[Callable[[], RunningPool]]:
    """The user's pool, a small one."""
    environ = {**os.environ, "JUPYTER_RUNTIME_DIR": str(lab.folder.parent / "runtime")}
    file = lab.folder.parent / "runtime" / POOLS_FOLDER / this_environment().name / RUNTIME_FILE
    command = [sys.executable, "-m", "remote_kernel.pool", "--daemon", "--json", "--max-sessions", "1"]
    subprocess.run(command, env=environ, check=True, stdout=subprocess.PIPE)
    wait_until(file.exists)

    def read() -> RunningPool:
        pool = RunningPool.from_json(json.loads(file.read_text()))
        assert pool is not None
        return pool

    yield read
    lab.shut_kernels_down()
    subprocess.run([sys.executable, "-m", "remote_kernel.cli", "pool", "stop"], env=environ, check=True)


def ask(pool: RunningPool, method: str, path: str, **params: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {pool.token}"}
    answer = httpx.request(method, pool.endpoint + path, params=params, headers=headers, timeout=TIMEOUT_SECONDS)
    return answer.raise_for_status()


def stop_the_session(pool: RunningPool) -> None:
    """End the only session of the pool, as its cooldown would."""
    version = {"api-version": ApiVersion.V2025_10_02}
    (session,) = ask(pool, "POST", LIST_MANAGED_PATH, **version).json()["value"]
    ask(pool, "POST", STOP_SESSION_PATH, identifier=session["identifier"], **version)


def is_busy(pool: RunningPool, identifier: str) -> bool:
    kernels = ask(pool, "GET", SESSION_PATH, identifier=identifier).json()["kernels"]
    return any(kernel["is_busy"] for kernel in kernels)


def test_bad_days(lab: Lab, page: "Page", daemon: Callable[[], RunningPool], shoot: Shoot) -> None:
    cells = (
        "a = 42",
        "a + 1",
        "'a' in globals()",
        "import time\nfor i in range(600):\n    print(i, flush=True)\n    time.sleep(0.5)",
        "'ran'",
    )
    lab.write_notebook("bad_days.ipynb", cells)
    notebook = OpenNotebook.open(page, "bad_days.ipynb")
    notebook.run(0)
    expect(notebook.prompt(0)).to_have_text("[1]:")

    # The session ends.
    stop_the_session(daemon())
    # A cell that is sent before the kernel has noticed is refused by a new session, which then is the only one.
    (binding,) = (lab.folder.parent / "runtime/remote-kernel/kernels").glob("*.json")
    wait_until(lambda: json.loads(binding.read_text())["epoch"] == "")
    notebook.run(1)
    expect(notebook.output(1)).to_have_text(
        re.compile("Session lost.*The remote session is gone.*SessionLost$", re.DOTALL)
    )
    expect(notebook.output(1)).to_contain_text("Run the notebook again from the top")
    shoot("1-lost")

    # Somebody else has the only session.
    ask(daemon(), "GET", SESSION_PATH, identifier="somebody-else")
    notebook.run(2)
    line = re.compile(r"waiting for a free session, \d\d:\d\d \(1 of 1 in use\)")
    expect(notebook.output(2)).to_have_text(line)
    shoot("2-full")
    stop_the_session(daemon())
    expect(notebook.output(2)).to_have_text(re.compile("False$"))
    shoot("3-room-again")

    # The local kernel is killed while a cell runs; JupyterLab starts another.
    notebook.run(3)
    expect(notebook.output(3)).to_contain_text("2\n")
    kill_kernel(lab)
    page.get_by_text("Kernel Restarting").wait_for()
    shoot("4-kernel-killed")
    notebook.confirm()
    notebook.wait_state("Busy")
    notebook.press_button("Interrupt the kernel")
    # The page may say idle for a moment before, as its question who the kernel is has been answered. A cell that is
    # sent then stands behind the one that is interrupted, and is aborted with it.
    wait_until(lambda: not is_busy(daemon(), json.loads(binding.read_text())["identifier"]))
    notebook.wait_state("Idle")
    notebook.run(4)
    expect(notebook.output(4)).to_contain_text("'%session missed' shows it")
    expect(notebook.output(4)).to_contain_text("'ran'")
    shoot("5-reattached")

    # The pool is killed while a cell runs.
    notebook.run(3)
    expect(notebook.output(3)).to_contain_text("2\n")
    os.kill(daemon().pid, signal.SIGKILL)
    expect(notebook.output(3)).to_have_text(
        re.compile("Session lost.*The remote session is gone.*SessionLost$", re.DOTALL)
    )
    shoot("6-pool-killed")
    notebook.run(2)
    expect(notebook.output(2)).to_have_text(re.compile("False$"))


def kill_kernel(lab: Lab) -> None:
    """Kill the one local kernel of the server."""
    (kernel,) = (
        process
        for process in psutil.process_iter(["cmdline", "environ"])
        if "remote_kernel" in (process.info["cmdline"] or [])
        and (process.info["environ"] or {}).get("JUPYTER_RUNTIME_DIR") == str(lab.folder.parent / "runtime")
    )
    kernel.kill()
