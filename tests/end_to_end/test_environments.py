"""Two environments of one user: the kernels of each have a local pool of their own."""

import json
import os
import re
import site
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import Done, run_command
from tests.driver import Notebook, wait_until


@pytest.fixture(scope="module")
def other_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The interpreter of an environment that has the packages of this one, and is another."""
    folder = tmp_path_factory.mktemp("other")
    venv.create(folder, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    lines = [f"import site; site.addsitedir({path!r})" for path in site.getsitepackages()]
    (packages / "these.pth").write_text("\n".join(lines))
    return str(folder / "bin" / "python")


@pytest.fixture
def here_and_there(other_python: str, private_folders: Path) -> Iterator[tuple[Notebook, Notebook]]:
    """A kernel of each environment, on the same notebook."""
    spec = private_folders / "data" / "kernels" / "there" / "kernel.json"
    spec.parent.mkdir(parents=True)
    argv = [other_python, "-m", "remote_kernel", "-f", "{connection_file}"]
    spec.write_text(json.dumps({"argv": argv, "display_name": "There", "language": "python"}))
    environ = {"REMOTE_KERNEL_NOTEBOOK": str(private_folders / "report.ipynb")}
    notebooks = [Notebook.start(name, environ) for name in ("remote", "there")]
    yield notebooks[0], notebooks[1]
    for notebook in notebooks:
        notebook.close()
    command(sys.executable, "pool", "stop", "--all")


def command(python: str, *arguments: str) -> Done:
    """Run a command in an environment; in this one without the time that another process takes."""
    if python == sys.executable:
        return run_command(*arguments)
    done = subprocess.run([python, "-m", "remote_kernel.cli", *arguments], capture_output=True, text=True)
    return Done(done.returncode, done.stdout, done.stderr)


def test_kernels_of_two_environments_have_two_pools(
    here_and_there: tuple[Notebook, Notebook], other_python: str
) -> None:
    here, there = here_and_there
    other_prefix = str(Path(other_python).parent.parent)
    assert here.run("import sys; sys.prefix").result == repr(sys.prefix)
    assert there.run("import sys; sys.prefix").result == repr(other_prefix)
    there.run("a = 1")
    assert here.run("'a' in globals()").result == "False"

    # Each environment's own comes first.
    for python, other in ((sys.executable, other_python), (other_python, sys.executable)):
        status = json.loads(command(python, "pool", "status", "--json").stdout)
        assert (status["python"], status["others"][0]["python"]) == (python, other)
        assert status["endpoint"] != status["others"][0]["endpoint"]
    shown = command(sys.executable, "pool", "status").stdout
    assert re.findall("Environment: (.+), version", shown) == [sys.executable, other_python]
    assert f"that of {other_python} at http://127.0.0.1:" in command(sys.executable, "doctor", "--no-session").stdout

    rows = json.loads(command(sys.executable, "sessions", "--json").stdout)
    assert {(row["pool"], row["environment"], row["state"], row["kernel"]) for row in rows} == {
        ("local", sys.executable, "warm", "alive"),
        ("local", other_python, "warm", "alive"),
    }
    (label,) = {row["label"] for row in rows if row["environment"] == other_python}
    assert f"local ({other_python})" in command(sys.executable, "sessions").stdout
    assert command(sys.executable, "sessions", "stop", label).status == 0
    # Its pod runs what comes before it has heard of its end.
    wait_until(lambda: there.run("1").reply.get("ename") == "SessionLost")
    assert here.run("sys.prefix").result == repr(sys.prefix)

    assert command(other_python, "pool", "stop").stdout == "The local pool has stopped.\n"
    alone = command(other_python, "pool", "status", "--json")
    assert (alone.status, json.loads(alone.stdout).keys()) == (1, {"others"})
    assert alone.stderr.startswith("No local pool of this environment is running.")
    assert command(sys.executable, "pool", "stop", "--all").stdout == "The local pool has stopped.\n"
    assert command(sys.executable, "pool", "stop", "--all").status == 1


def test_environment_by_another_name_is_the_same_one_and_another_version_is_not(
    other_python: str, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(Path(other_python).parent.parent)
    ask = "from remote_kernel.io.local_pools import this_environment; print(this_environment().name)"
    ask_newer = f"import remote_kernel; remote_kernel.__version__ = '9'; {ask}"
    names = [
        subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, env=os.environ).stdout
        for python, code in (
            (other_python, ask),
            (str(link / "bin" / "python"), ask),
            (sys.executable, ask),
            (other_python, ask_newer),
        )
    ]
    assert names[0] == names[1]
    assert len({names[0], names[2], names[3]}) == 3
