"""A container that runs under a user id without an account, as `docker run --user` makes them."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from remote_kernel.core.errors import HOMELESS
from tests.cli.command import write_notebook
from tests.driver import Notebook

AS_NOBODY_S_ID = ["unshare", "--user", "--map-user=12345"]


def can_change_id() -> bool:
    """Whether this system lets us: Linux does, as far as it allows namespaces, which containers often may not have."""
    try:
        return subprocess.run([*AS_NOBODY_S_ID, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


pytestmark = pytest.mark.skipif(not can_change_id(), reason="this system has no user namespaces")


@pytest.fixture(autouse=True)
def kernelspec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel `contained` whose user has a number only."""
    folder = tmp_path / "kernels" / "contained"
    folder.mkdir(parents=True)
    command = [*AS_NOBODY_S_ID, sys.executable, "-m", "remote_kernel", "-f", "{connection_file}"]
    spec = {"argv": command, "display_name": "contained", "language": "python", "interrupt_mode": "message"}
    (folder / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    for name in ("USER", "LOGNAME", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)


def test_a_user_without_a_name_is_asked_for_one_and_has_a_session_with_it(
    start_notebook: Callable[..., Notebook], tmp_path: Path
) -> None:
    path = str(tmp_path / "a.ipynb")
    reply = start_notebook("contained", REMOTE_KERNEL_NOTEBOOK=path).run("1").reply
    assert (reply["ename"], "set REMOTE_KERNEL_USER" in reply["evalue"]) == ("SettingsError", True)
    named = start_notebook("contained", REMOTE_KERNEL_NOTEBOOK=path, REMOTE_KERNEL_USER="ada")
    assert named.run("print('here')").stdout == "here\n"


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "remote_kernel.cli", "list"],
        ["-m", "remote_kernel.cli", "sessions"],
        ["-m", "remote_kernel.cli", "run", "{notebook}"],
        ["-m", "remote_kernel.cli", "doctor"],
        ["-m", "remote_kernel", "-f", "{connection_file}"],
    ],
)
def test_account_without_a_home_folder_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    names = {"notebook": str(write_notebook(tmp_path / "n.ipynb", "1")), "connection_file": str(tmp_path / "c.json")}
    ports = dict.fromkeys(("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port"), 0)
    (tmp_path / "c.json").write_text(json.dumps({"ip": "127.0.0.1", "transport": "tcp", "key": "k", **ports}))
    for name in ("HOME", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_PATH", "IPYTHONDIR"):
        monkeypatch.delenv(name, raising=False)
    words = [word.format(**names) for word in command]
    done = subprocess.run([*AS_NOBODY_S_ID, sys.executable, *words], capture_output=True, text=True, check=False)
    if "doctor" in command:  # of which it is a finding
        assert (done.returncode, done.stderr) == (1, "")
        assert done.stdout.endswith(f"failed  kernels        {HOMELESS}\n")
    else:
        assert (done.returncode, done.stderr) == (2, f"remote-kernel: {HOMELESS}\n")
