"""The tools that people run notebooks with, unchanged, on the kernel `remote`."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import jupyter_kernel_test
import nbformat
import pytest
from nbclient import NotebookClient

from tests.driver import Notebook, Pool


@pytest.fixture(autouse=True)
def use_pool(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMOTE_KERNEL_ENDPOINT", pool.endpoint)
    monkeypatch.setenv("REMOTE_KERNEL_TOKEN", pool.token)


@pytest.fixture(scope="class", autouse=True)
def use_pool_for_class(pool: Pool) -> Iterator[None]:
    """jupyter_kernel_test starts its kernel before the fixtures of a test."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("REMOTE_KERNEL_ENDPOINT", pool.endpoint)
        monkeypatch.setenv("REMOTE_KERNEL_TOKEN", pool.token)
        yield


class PatientChannel:
    """An iopub channel that waits for what is still owed.

    After a reply the suite gives the kernel 0.1 s to say the rest on iopub, which a busy machine may exceed; what comes
    up to the `idle` that belongs to the reply is waited for here.
    """

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._owed: set[str] = set()

    def owe(self, msg_id: str) -> None:
        self._owed.add(msg_id)

    def get_msg(self, timeout: float | None = None) -> Any:
        message = self._channel.get_msg(timeout=jupyter_kernel_test.TIMEOUT if self._owed else timeout)
        if message["content"].get("execution_state") == "idle":
            self._owed.discard(message["parent_header"]["msg_id"])
        return message

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)


class TestIopubWelcome(jupyter_kernel_test.IopubWelcomeTests):
    """Jupyter's own test that the first that a front end hears on iopub is that it is heard."""

    kernel_name = "remote"
    support_iopub_welcome = True


class TestKernel(jupyter_kernel_test.KernelTests):
    """Jupyter's own suite for kernels, with every feature that ipykernel has switched on in its own tests."""

    iopub: ClassVar[PatientChannel]
    kernel_name = "remote"
    language_name = "python"
    file_extension = ".py"
    code_hello_world = "print('hello, world')"
    code_stderr = "import sys; print('test', file=sys.stderr)"
    completion_samples = [{"text": "zi", "matches": {"zip"}}]  # noqa: RUF012 - as the suite asks for it
    complete_code_samples = ["1", "print('hello, world')", "def f(x):\n  return x*2\n\n\n"]  # noqa: RUF012
    incomplete_code_samples = ["print('''hello", "def f(x):\n  x*2"]  # noqa: RUF012
    invalid_code_samples = ["import = 7q"]  # noqa: RUF012
    code_page_something = "zip?"
    code_generate_error = "raise"
    code_execute_result = [{"code": "1+2+3", "result": "6"}]  # noqa: RUF012
    code_display_data = [  # noqa: RUF012
        {"code": "from IPython.display import HTML, display; display(HTML('<b>test</b>'))", "mime": "text/html"},
        {"code": "from IPython.display import Math, display; display(Math('\\\\frac{1}{2}'))", "mime": "text/latex"},
    ]
    code_history_pattern = "1?2*"
    supported_history_operations = ("tail", "search")
    code_inspect_sample = "zip"
    code_clear_output = "from IPython.display import clear_output; clear_output()"

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.iopub = PatientChannel(cls.kc.iopub_channel)
        cls.kc._iopub_channel = cls.iopub

    def get_non_kernel_info_reply(self, timeout: float | None = None) -> dict[str, Any] | None:
        reply: dict[str, Any] | None = super().get_non_kernel_info_reply(timeout)
        assert reply is not None
        self.iopub.owe(reply["parent_header"]["msg_id"])
        return reply


def write_notebook(path: Path, *sources: str) -> Path:
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def outputs_of(path: Path) -> list[str]:
    notebook = nbformat.read(path, as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.outputs]
    return [output["text"] if output.output_type == "stream" else output["data"]["text/plain"] for output in outputs]


# A line of our log, for people or for programs; it may begin behind a progress bar.
LOG_LINE = re.compile(r"\[[A-Z] [^\]]* (remote-)?(kernel|pool|pod) \d+\]|\"program\":")


def run_python(*arguments: str, cwd: Path) -> str:
    """Run a program on a good notebook, which is no reason for a word of ours; return its standard error."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not LOG_LINE.search(done.stderr), done.stderr
    return done.stderr


def run_module(*command: str, cwd: Path) -> None:
    run_python("-m", *command, cwd=cwd)


def test_nbconvert_executes(tmp_path: Path) -> None:
    write_notebook(tmp_path / "a.ipynb", "a = 20", "print(a + 1)")
    run_module(
        "jupyter", "nbconvert", "--execute", "--to", "notebook", "--ExecutePreprocessor.kernel_name=remote",
        "--output", "out.ipynb", "a.ipynb", cwd=tmp_path,
    )  # fmt: skip
    assert outputs_of(tmp_path / "out.ipynb") == ["21\n"]


NBCLIENT_AT_ONCE = """
import concurrent.futures, nbformat, nbclient
def run(_number):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print(6 * 7)")])
    nbclient.NotebookClient(notebook, kernel_name="remote").execute()
    return notebook.cells[0].outputs[0].text
with concurrent.futures.ThreadPoolExecutor() as executor:
    assert list(executor.map(run, range(2))) == ["42\\n"] * 2
"""


def test_notebooks_at_once_say_nothing_on_standard_error(tmp_path: Path) -> None:
    stderr = run_python("-W", "ignore", "-c", NBCLIENT_AT_ONCE, cwd=tmp_path)
    assert stderr == ""


def test_papermill_executes_with_parameters(tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "a.ipynb", "a = 1", "print(a + 1)")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[0].metadata["tags"] = ["parameters"]
    notebook.metadata["language_info"] = {"name": "python"}  # papermill asks the notebook for it, not the kernel
    nbformat.write(notebook, path)
    run_module(
        "papermill", "-k", "remote", "--log-level", "ERROR", "a.ipynb", "out.ipynb", "-p", "a", "41", cwd=tmp_path
    )
    assert outputs_of(tmp_path / "out.ipynb") == ["42\n"]


def test_papermill_that_injects_its_paths_finds_the_notebook_s_session(
    tmp_path: Path, start_notebook: Callable[..., Notebook]
) -> None:
    path = write_notebook(tmp_path / "a.ipynb", "print(kept)")
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata["language_info"] = {"name": "python"}
    nbformat.write(notebook, path)
    start_notebook(REMOTE_KERNEL_NOTEBOOK=str(path)).run("kept = 'as it was left'")
    run_module(
        "papermill", "-k", "remote", "--inject-paths", "--log-level", "ERROR", "a.ipynb", "b.ipynb", cwd=tmp_path
    )
    told, printed = outputs_of(tmp_path / "b.ipynb")
    assert "Another kernel uses this notebook's session" in told
    assert printed == "as it was left\n"


def test_jupyter_execute_executes_and_gives_the_pod_back(tmp_path: Path, pool: Pool) -> None:
    write_notebook(tmp_path / "a.ipynb", "print(6 * 7)", "import os; print(os.environ['REMOTE_KERNEL_POD'])")
    before = {session["pid"] for session in pool.sessions()}
    run_module("jupyter", "execute", "--kernel_name=remote", "--inplace", "a.ipynb", cwd=tmp_path)
    answer, pod = outputs_of(tmp_path / "a.ipynb")
    assert answer == "42\n"
    assert pod.startswith("pod-"), "it ran in the pool"
    assert {session["pid"] for session in pool.sessions()} <= before


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_widgets_notebook_keeps_the_state_of_its_widgets(tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("import ipywidgets; slider = ipywidgets.IntSlider(3); slider"),
            nbformat.v4.new_code_cell("slider.value = 8; out = ipywidgets.Output(); out"),
            nbformat.v4.new_code_cell("with out: print('inside')"),
        ]
    )
    NotebookClient(notebook, kernel_name="remote", timeout=60).execute(cwd=str(tmp_path))
    states = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"].values()
    by_model = {state["model_name"]: state["state"] for state in states}
    assert by_model["IntSliderModel"]["value"] == 8
    assert by_model["OutputModel"]["outputs"][0]["text"] == "inside\n"
