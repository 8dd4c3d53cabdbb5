"""A notebook in VS Code, as its Jupyter extension drives the kernel.

The messages are those of microsoft/vscode-jupyter in July 2026: `executeSilently` in `src/kernels/helpers.ts`, what
`src/kernels/kernel.ts` sends after a start, and `src/kernels/execution/cellExecution.ts`.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.driver import Cell, Content, Notebook, Pool

pytestmark = pytest.mark.slow

WIDGETS = 'import ipywidgets as _VSCODE_ipywidgets\nprint("e976ee50" + _VSCODE_ipywidgets.__version__)'


class VsCode:
    """What the extension does with one notebook."""

    def __init__(self, kernel: Notebook, path: str) -> None:
        self.kernel = kernel
        self._path = path
        self._hidden: set[str] = set()

    def open(self, *startup_commands: str) -> list[Cell]:
        """Do what follows the start of a kernel, each step after the end of the one before."""
        startup = f'__vsc_ipynb_file__ = "{self._path}"\n%config Completer.use_jedi = False\nprint("themed")'
        cells = [self.run_hidden(code) for code in (WIDGETS, startup, *startup_commands)]
        self.kernel.request("control", "kernel_info_request", {})
        self.complete("__file__.")
        return cells

    def run_hidden(self, code: str) -> Cell:
        cell = self.kernel.run(code, store_history=False, stop_on_error=False, answer="")
        self._hidden.add(cell.messages[0]["parent_header"]["msg_id"])
        return cell

    def complete(self, code: str) -> list[str]:
        reply = self.kernel.request("shell", "complete_request", {"code": code, "cursor_pos": len(code)})
        assert reply["status"] == "ok"
        matches: list[str] = reply["matches"]
        return matches

    def run(self, code: str, uri: str = "") -> Cell:
        """Run a cell of the user."""
        message = self.kernel.client.session.msg(
            "execute_request",
            {"code": code, "silent": False, "store_history": True, "stop_on_error": False, "allow_stdin": True},
            metadata={"cellId": uri or f"vscode-notebook-cell:{self._path}#W0sZmlsZQ%3D%3D"},
        )
        self.kernel.client.shell_channel.send(message)
        msg_id = message["header"]["msg_id"]
        messages: list[Content] = []
        while not messages or messages[-1]["content"].get("execution_state") != "idle":
            shown = self.kernel.wait_iopub(lambda _: True)
            parent = shown["parent_header"].get("msg_id")
            assert parent not in self._hidden, "a hidden cell ended twice"
            messages += [shown] if parent == msg_id else []
        return Cell(self.kernel.reply_to(msg_id), messages)


@pytest.fixture
def open_vscode(start_notebook: Callable[..., Notebook]) -> Callable[[str], VsCode]:
    return lambda path: VsCode(start_notebook(), path)


def test_opening_a_notebook_takes_no_session(open_vscode: Callable[[str], VsCode], pool: Pool) -> None:
    cells = open_vscode("/home/ada/a.ipynb").open()
    assert [cell.reply["status"] for cell in cells] == ["ok", "ok"]
    assert pool.sessions() == []


def test_hidden_cells_run_once_ahead_of_the_first_cell_and_say_nothing_in_it(
    open_vscode: Callable[[str], VsCode],
) -> None:
    vscode = open_vscode("/home/ada/a.ipynb")
    vscode.open("count = globals().get('count', 0) + 1")
    assert vscode.run("print(count, __vsc_ipynb_file__)").stdout == "1 /home/ada/a.ipynb\n"
    assert vscode.run_hidden("print('now', count)").stdout == "now 1\n"
    assert vscode.complete("coun") == ["count"]


def test_the_cell_id_names_the_notebook(open_vscode: Callable[[str], VsCode]) -> None:
    whose = "import os; print(os.environ['REMOTE_KERNEL_POD'])"
    one, same, other = (open_vscode(f"/home/ada/{name}.ipynb") for name in ("a b", "a b", "c"))
    other.open()
    # The first two name the notebook by their cells alone.
    pods = [window.run(whose, "vscode-notebook-cell:/home/ada/a%20b.ipynb#W1").stdout for window in (one, same)]
    assert pods[0] == pods[1] != other.run(whose).stdout


def test_notebooks_that_were_never_saved_share_nothing(open_vscode: Callable[[str], VsCode]) -> None:
    whose = "import os; print(os.environ['REMOTE_KERNEL_POD'])"
    windows = [open_vscode("Untitled-1.ipynb") for _ in range(2)]
    for window in windows:
        window.open()
    uri = "vscode-notebook-cell:Untitled-1.ipynb?jupyter-notebook#W0sdW50aXRsZWQ%3D"
    assert len({window.run(whose, uri).stdout for window in windows}) == 2


def test_what_another_front_end_runs_without_history_is_run(notebook: Notebook) -> None:
    assert notebook.run("print('here')", store_history=False, stop_on_error=False, answer="").stdout == "here\n"


def test_what_an_extension_asks_of_the_kernel_is_run(open_vscode: Callable[[str], VsCode], tmp_path: Path) -> None:
    vscode = open_vscode(str(tmp_path / "a.ipynb"))
    vscode.open()
    asked = vscode.kernel.run(
        "print(_VSCODE_ipywidgets.__version__[:2])", store_history=False, stop_on_error=False, allow_stdin=False
    )
    assert asked.stdout == "8.\n"
