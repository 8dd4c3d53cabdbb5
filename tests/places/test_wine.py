"""The command and its kernels in a Python for Windows under Wine, against a local pool beside it: see `tests.wine`.

Wine is not Windows: its rules for open files, paths and processes are its own. What runs is Python's Windows: its loop,
its modules, its line ends, and the wheels that people on Windows have.
"""

import json
from pathlib import Path

import nbformat
import pytest

from tests.driver import Pool, wait_until
from tests.wine.windows import PYTHON, environ, run_python

pytestmark = [
    pytest.mark.wine,
    pytest.mark.skipif(not PYTHON.exists(), reason="there is no Python for Windows: make wine"),
    pytest.mark.timeout(600),
]

CELLS = (
    "import sys; print(sys.platform, 'ünï côdé')",
    "print(open('côdé.csv').read())",
)


def test_every_verb_works_with_an_agent_in_the_pod(tmp_path: Path) -> None:
    with Pool.start() as pool:
        env = environ(
            REMOTE_KERNEL_ENDPOINT=pool.endpoint, REMOTE_KERNEL_TOKEN=pool.token, APPDATA=str(tmp_path / "roaming")
        )
        cells = [nbformat.v4.new_code_cell(text) for text in CELLS]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "a.ipynb")
        (tmp_path / "côdé.csv").write_text("1,2")
        for arguments in (
            ("install", "--name", "other", "--user"), ("list",), ("identifier", "a.ipynb"), ("doctor",),
            ("upload", "a.ipynb", "côdé.csv"), ("download", "a.ipynb", "côdé.csv", "--to", "back"), ("run", "a.ipynb"),
            ("sessions", "--json"), ("sessions", "stop", "--all"), ("logs",), ("uninstall", "other"),
        ):  # fmt: skip
            done = run_python("-m", "remote_kernel.cli", *arguments, env=env, cwd=tmp_path)
            assert done.returncode == 0, (arguments, done.stdout, done.stderr)
            assert "Traceback" not in done.stderr, arguments
    executed = nbformat.read(tmp_path / "a.executed.ipynb", as_version=4)
    shown = "".join(output["text"] for cell in executed.cells for output in cell.outputs if "text" in output)
    assert shown == "linux ünï côdé\n1,2\n", "cells run in the pod, which has Linux"
    assert (tmp_path / "back" / "côdé.csv").read_text() == "1,2"


# A front end on Windows: jupyter_client starts the kernel as it does there, with a handle of its own process, and for
# interrupts with an event.
FRONT_END = """
from jupyter_client.manager import KernelManager
manager = KernelManager(kernel_name="remote")
manager.start_kernel()
client = manager.blocking_client()
client.start_channels()
client.wait_for_ready(timeout=200)

def answer(message):
    client.input("Ada")

def interrupt(message):
    if message["msg_type"] == "stream":
        manager.interrupt_kernel()

def run(code, **options):
    return client.execute_interactive(code, timeout=200, **options)["content"]

run("name = input('name? '); kept = 1", allow_stdin=True, stdin_hook=answer)
print(run("import time; print(1); time.sleep(100)", output_hook=interrupt)["ename"])
run("print(name, kept)")
manager.restart_kernel()
client.wait_for_ready(timeout=200)
run("print('kept' in globals())")
client.stop_channels()
manager.shutdown_kernel()
"""


def test_a_kernel_asks_is_interrupted_and_begins_anew(tmp_path: Path) -> None:
    with Pool.start() as pool:
        env = environ(REMOTE_KERNEL_ENDPOINT=pool.endpoint, REMOTE_KERNEL_TOKEN=pool.token, APPDATA=str(tmp_path))
        done = run_python("-W", "ignore", "-c", FRONT_END, env=env, cwd=tmp_path)
        assert done.stdout.split() == ["KeyboardInterrupt", "Ada", "1", "False"], done.stderr
        wait_until(lambda: pool.sessions() == [])


def test_the_local_pool_is_said_not_to_be_there(tmp_path: Path) -> None:
    done = run_python("-m", "remote_kernel.cli", "doctor", "--json", env=environ(), cwd=tmp_path)
    assert done.returncode == 1
    assert "runs on Linux and macOS" in json.dumps(json.loads(done.stdout))
