"""`remote-kernel install-packages`: the notebook's own session, exit statuses, sentences."""

import json
import os
from pathlib import Path

import pytest

from tests.cli.command import run_command, write_notebook
from tests.cli.test_terminal import show_on_terminal
from tests.driver import Notebook
from tests.wheels import make_wheel, use_index

pytestmark = pytest.mark.slow


@pytest.fixture
def notebook(notebook: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The notebook; packages are found in the folder "index" beside it."""
    use_index(notebook.parent / "index", monkeypatch)
    return notebook


def test_packages_of_a_file_are_in_the_session_that_the_notebook_s_kernel_has(notebook: Path, folder: Path) -> None:
    make_wheel(folder / "index", "rk-cli", requires=["rk-beside"])
    make_wheel(folder / "index", "rk-beside")
    (folder / "requirements.txt").write_text("rk-cli  # what this is about\n")
    done = run_command("install-packages", notebook, "-r", "requirements.txt")
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout == "Installed 2 packages in the session: rk-beside 1.0, rk-cli 1.0.\n"
    with Notebook.start(environ={"REMOTE_KERNEL_NOTEBOOK": str(notebook)}) as kernel:
        assert kernel.run("import rk_cli, rk_beside; rk_cli.version").result == "'1.0'"


def test_what_is_there_is_told_also_as_json(notebook: Path, folder: Path) -> None:
    make_wheel(folder / "index", "rk-json")
    size = (folder / "index/rk_json-1.0-py3-none-any.whl").stat().st_size
    done = run_command("install-packages", notebook, "rk-json", "--json")
    assert json.loads(done.stdout) == {
        "installed": [{"name": "rk-json", "before": "", "after": "1.0"}],
        "sent_bytes": size,
    }
    again = run_command("install-packages", notebook, "rk-json")
    assert (again.status, again.stdout) == (0, "The session has all of that already.\n")


def test_packages_of_the_notebook_s_project(notebook: Path, folder: Path) -> None:
    make_wheel(folder / "index", "rk-project")
    (folder / "of a project").mkdir()
    write_notebook(folder / "of a project" / "n.ipynb", "1")
    (folder / "of a project" / "pyproject.toml").write_text('[tool.remote-kernel]\npackages = "needs.txt"\n')
    (folder / "of a project" / "needs.txt").write_text("rk-project\n")
    done = run_command("install-packages", Path("of a project", "n.ipynb"), "--project")
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout == "Installed 1 package in the session: rk-project 1.0.\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["n.ipynb"], "say which packages: NAME or -r FILE, or --project by itself"),
        (["n.ipynb", "numpy", "--project"], "say which packages: NAME or -r FILE, or --project by itself"),
        (["n.ipynb", "--project"], "No project's settings name packages: write 'packages = "),
        (["n.ipynb", "rk-nosuch"], "There is no wheel of 'rk-nosuch' for the session (Python 3."),
        (["n.ipynb", "a b"], "'a b' is not the name of a package"),
        (["n.ipynb", "-r", "nosuch.txt"], "cannot read "),
        (["nosuch.ipynb", "numpy"], "there is no notebook at nosuch.ipynb"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(notebook: Path, arguments: list[str], said: str) -> None:
    done = run_command("install-packages", *arguments)
    assert (done.status, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_terminal_shows_what_is_done_and_ctrl_c_ends_it(notebook: Path, folder: Path) -> None:
    make_wheel(folder / "index", "rk-stopped", files={"rk_stopped.py": f"x = '{os.urandom(1000).hex()}'"})
    status, text = show_on_terminal("install-packages", notebook, "rk-stopped", interrupt_at=b"finding packages for it")
    assert status == 130
    assert "the same command goes on where it stopped" in text
