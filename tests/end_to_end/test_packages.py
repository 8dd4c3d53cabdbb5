"""`%session install` in a notebook: packages that neither the pod nor its network has."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from remote_kernel.kernel.output import style
from tests.driver import Notebook
from tests.wheels import make_wheel, use_index

pytestmark = pytest.mark.slow

Start = Callable[..., Notebook]


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which pip finds packages; kernels that are started later know it as well."""
    use_index(tmp_path / "index", monkeypatch)
    return tmp_path / "index"


def test_a_cell_installs_what_the_next_one_imports(index: Path, start_notebook: Start) -> None:
    make_wheel(index, "rk-cell", requires=["rk-need>=1"])
    make_wheel(index, "rk-need")
    notebook = start_notebook()
    assert notebook.run("import rk_cell").reply["ename"] == "ModuleNotFoundError"
    shown = [message["content"]["data"]["text/plain"] for message in notebook.run("%session install rk-cell").messages
             if message["msg_type"] in {"display_data", "update_display_data"}]  # fmt: skip
    assert shown[0].startswith("Installing packages: ")
    assert shown[-1] == "Installed 2 packages in the session: rk-cell 1.0, rk-need 1.0."
    assert notebook.run("import rk_cell, rk_need; rk_cell.version").result == "'1.0'"
    assert notebook.run("%session install rk-cell 'rk-need>=1'").displayed == "The session has all of that already."
    notebook.manager.restart_kernel()
    notebook.wait_answers()
    assert notebook.run("import rk_cell; rk_cell.version").result == "'1.0'"
    assert notebook.run("%session reset").reply["status"] == "ok"
    assert notebook.run("import rk_cell").reply["ename"] == "ModuleNotFoundError", "packages go with their pod"


def test_what_a_project_names_is_installed_as_its_settings_are_now(
    index: Path, start_notebook: Start, tmp_path: Path
) -> None:
    make_wheel(index, "rk-first")
    make_wheel(index, "rk-second")
    project = tmp_path / "project"
    project.mkdir()
    settings = project / "pyproject.toml"
    settings.write_text('[tool.remote-kernel]\npackages = ["rk-first"]\n')
    notebook = start_notebook(REMOTE_KERNEL_NOTEBOOK=str(project / "n.ipynb"))
    first = notebook.run("import rk_first; rk_first.version")
    assert first.result == "'1.0'"
    assert first.displayed.endswith("[Installed 1 package in the session: rk-first 1.0.]")
    assert style.ACCENT in first.of_type("display_data")[-1]["data"]["text/html"], "it is no warning"
    settings.write_text('[tool.remote-kernel]\npackages = ["rk-first", "rk-second"]\n')
    assert notebook.run("import rk_second").reply["ename"] == "ModuleNotFoundError"
    cell = notebook.run("%session install --project")
    assert cell.displayed.endswith("Installed 1 package in the session: rk-second 1.0.")
    assert notebook.run("import rk_second; rk_second.version").result == "'1.0'"
    assert notebook.run("%session reset").reply["status"] == "ok"
    assert notebook.run("import rk_second; rk_second.version").result == "'1.0'", "a new pod gets it, too"


def test_what_cannot_be_installed_is_told_and_takes_no_session(index: Path, start_notebook: Start) -> None:
    notebook = start_notebook()
    for line, said in [
        ("%session install", "Say which packages: %session install NAME… | -r FILE | --project"),
        ("%session install --pre x", "'--pre' is not understood here: %session install NAME…"),
        ("%session install --project x", "'--project' is not understood here: %session install NAME…"),
        ("%session install --project", "No project's settings name packages: write 'packages = "),
        ("%session install -r nosuch.txt", "cannot read "),
        ("%session install ./folder", "'./folder' is not the name of a package"),
    ]:
        reply = notebook.run(line).reply
        assert reply["ename"] == "UsageError"
        assert said in reply["evalue"]
    assert "not started" in notebook.run("%session").displayed
    assert "There is no wheel of 'rk-nosuch'" in notebook.run("%session install rk-nosuch").reply["evalue"]


def test_an_installation_can_be_interrupted(
    index: Path, start_notebook: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # takes connections, and never answers
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{listener.getsockname()[1]}/simple")
        notebook = start_notebook()
        request = notebook.client.execute("%session install rk-slow")
        connection, _ = listener.accept()
        with connection:
            notebook.manager.interrupt_kernel()
            reply = notebook.reply_to(request)
    assert (reply["ename"], reply["evalue"]) == (
        "KeyboardInterrupt",
        "The installation was interrupted. Run the cell again to go on where it stopped.",
    )
    assert notebook.run("40 + 2").result == "42"


def test_tab_completes_the_command(start_notebook: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "requirements.txt").write_text("")
    monkeypatch.chdir(tmp_path)
    notebook = start_notebook()
    for line, matches in [
        ("%session ins", ["install"]),
        ("%session install -", ["-r", "--project"]),
        ("%session install --p", ["--project"]),
        ("%session install -r req", ["requirements.txt"]),
        ("%session install num", []),
    ]:
        assert notebook.client.complete(line, reply=True, timeout=30)["content"]["matches"] == matches
