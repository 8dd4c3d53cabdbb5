"""`remote-kernel run` executes a notebook to its end and writes what came of it."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest
from jupyter_client.asynchronous.client import AsyncKernelClient
from nbformat.v4 import new_code_cell, new_notebook, new_output

from remote_kernel.cli.run.execution import Listener, Outcome, Plan, execute_notebook
from remote_kernel.cli.signals import Signals
from remote_kernel.core.identity import JOB_VARIABLES
from tests.cli.command import (
    COMMAND,
    outputs_of,
    run_command,
    start_command,
    tagged,
    texts_of,
    wait_line,
    write_notebook,
)


def test_executed_notebook_is_written_beside_the_notebook(tmp_path: Path, remote_kernel: str) -> None:
    notebook = write_notebook(tmp_path / "sums.ipynb", "total = 40", "print('adding')\ntotal + 2")
    before = notebook.read_bytes()
    done = run_command("run", notebook, "--kernel", remote_kernel)
    assert (done.status, done.stderr) == (0, "")
    assert texts_of(tmp_path / "sums.executed.ipynb") == ["", "adding\n42"]
    assert notebook.read_bytes() == before


def test_output_is_shown_as_plain_lines_where_there_is_no_terminal(tmp_path: Path, remote_kernel: str) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "print('\\x1b[31mred\\x1b[0m')\n6 * 7", "None")
    done = run_command("run", notebook, "--kernel", remote_kernel, "-o", tmp_path / "out.ipynb")
    *lines, summary, path = done.stdout.splitlines()
    # A machine that is busy takes more than a second to start a session, which is told.
    assert [line for line in lines if not line.startswith("starting a remote session")] == [
        "[1/2] print('\\x1b[31mred\\x1b[0m') …",
        "red",
        "42",
        "[2/2] None",
    ]
    assert summary.startswith("2 cells in ")
    assert path == str(tmp_path / "out.ipynb")


def test_kernel_of_the_notebook_is_not_used(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "1")
    fields = json.loads(notebook.read_text())
    fields["metadata"]["kernelspec"] = {"name": "julia-9.9", "display_name": "Julia", "language": "julia"}
    notebook.write_text(json.dumps(fields))
    assert run_command("run", notebook, "--kernel", "python3").status == 0
    executed = json.loads((tmp_path / "n.executed.ipynb").read_text())
    assert executed["metadata"]["kernelspec"]["name"] == "julia-9.9"
    assert executed["metadata"]["language_info"]["name"] == "python"


def test_kernel_works_in_the_notebooks_folder_and_knows_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my work").mkdir()
    (tmp_path / "elsewhere").mkdir()
    variables = "os.environ['REMOTE_KERNEL_NOTEBOOK'], os.environ['REMOTE_KERNEL_FRESH']"
    source = f"import os; print(os.getcwd(), {variables}, sep='|')"
    notebook = write_notebook(tmp_path / "my work" / "n.ipynb", source)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run_command("run", "../my work/n.ipynb", "--kernel", "python3").status == 0
    assert texts_of(tmp_path / "my work" / "n.executed.ipynb") == [f"{notebook.parent}|{notebook}|1\n"]


def test_all_cells_run_in_one_pod(tmp_path: Path, remote_kernel: str) -> None:
    source = "import os; print(os.environ['REMOTE_KERNEL_POD'], os.getpid())"
    notebook = write_notebook(tmp_path / "n.ipynb", source, source, source)
    assert run_command("run", notebook).status == 0
    assert len(set(texts_of(tmp_path / "n.executed.ipynb"))) == 1


@pytest.mark.parametrize("own", ["", "7"])
def test_hashes_are_the_same_in_each_run(
    tmp_path: Path, remote_kernel: str, monkeypatch: pytest.MonkeyPatch, own: str
) -> None:
    if own:
        monkeypatch.setenv("PYTHONHASHSEED", own)
    printed = []
    for name in ("one", "two"):
        notebook = write_notebook(
            tmp_path / f"{name}.ipynb", "import os; print(hash('a'), os.environ['PYTHONHASHSEED'])"
        )
        assert run_command("run", notebook, "--kernel", remote_kernel).status == 0
        printed += texts_of(tmp_path / f"{name}.executed.ipynb")
    assert printed[0] == printed[1]
    assert printed[0].split()[1] == (own or "0")


def test_setting_that_cannot_be_used_is_told_before_anything_runs(
    tmp_path: Path, remote_kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REMOTE_KERNEL_STARTUP", str(tmp_path / "missing.py"))
    done = run_command("run", write_notebook(tmp_path / "n.ipynb", "1"), "--kernel", remote_kernel)
    assert done.status == 2
    assert "REMOTE_KERNEL_STARTUP" in done.stderr


def test_error_ends_the_run_and_keeps_what_was_executed(tmp_path: Path, remote_kernel: str) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "print('one')", "x = 0\nprint('two')\n1 / x", "print('three')")
    done = run_command("run", notebook, "--kernel", remote_kernel)
    assert done.status == 1
    assert done.stderr.startswith("remote-kernel: cell 2 of 3 raised ZeroDivisionError: division by zero\n    x = 0\n")
    assert "----> 3 1 / x" in done.stderr
    assert "\x1b" not in done.stderr
    one, two, three = outputs_of(tmp_path / "n.executed.ipynb")
    assert [output["output_type"] for output in one + two] == ["stream", "stream", "error"]
    assert three == []


@pytest.mark.parametrize(("status", "ended"), [("", 0), ("0", 0), ("3", 1), ("'bad data'", 1)])
def test_sys_exit_ends_the_run_with_its_status(tmp_path: Path, status: str, ended: int) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "print(1)", f"import sys\nsys.exit({status})", "print('never')")
    done = run_command("run", notebook, "--kernel", "python3")
    assert done.status == ended
    assert "2 of 3 cells in" in done.stdout
    assert texts_of(tmp_path / "n.executed.ipynb")[0] == "1\n"
    assert texts_of(tmp_path / "n.executed.ipynb")[-1] == ""


def test_cell_that_may_raise_does_not_end_the_run(tmp_path: Path, remote_kernel: str) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", tagged("1 / 0", "raises-exception"), "print('after')")
    done = run_command("run", notebook, "--kernel", remote_kernel)
    assert (done.status, done.stderr) == (0, "")
    assert "ZeroDivisionError: division by zero" in done.stdout
    assert texts_of(tmp_path / "n.executed.ipynb")[1] == "after\n"


def test_allow_errors_goes_on_after_any_error(tmp_path: Path, remote_kernel: str) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "1 / 0", "print('after')")
    assert run_command("run", notebook, "--kernel", remote_kernel, "--allow-errors").status == 0
    assert texts_of(tmp_path / "n.executed.ipynb")[1] == "after\n"


def test_cells_without_code_or_tagged_to_skip_are_not_counted(tmp_path: Path) -> None:
    cells = ["", tagged("1 / 0", "skip-execution"), nbformat.v4.new_markdown_cell("# Title"), "print('only')"]
    done = run_command("run", write_notebook(tmp_path / "n.ipynb", *cells), "--kernel", "python3")
    assert done.status == 0
    assert done.stdout.startswith("[1/1] print('only')\nonly\n1 cell in ")


def test_notebook_without_code_needs_no_more_than_its_kernel(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb")
    assert run_command("run", notebook, "--kernel", "python3").status == 0
    assert outputs_of(tmp_path / "n.executed.ipynb") == []


def test_old_outputs_never_pass_for_new_ones(tmp_path: Path) -> None:
    stale = new_code_cell("'fresh'", execution_count=7, outputs=[new_output("stream", text="stale")])
    notebook = write_notebook(tmp_path / "n.ipynb", "1 / 0", stale)
    assert run_command("run", notebook, "--kernel", "python3", "-o", notebook).status == 1
    assert outputs_of(notebook)[1] == []
    assert json.loads(notebook.read_text())["cells"][1]["execution_count"] is None


def test_streams_are_stored_as_front_ends_store_them(tmp_path: Path, remote_kernel: str) -> None:
    source = "for part in ('10%\\r', '99%\\r', '100%\\n', 'done\\n'):\n    print(part, end='', flush=True)"
    notebook = write_notebook(tmp_path / "n.ipynb", source)
    assert run_command("run", notebook, "--kernel", remote_kernel).status == 0
    (output,) = outputs_of(tmp_path / "n.executed.ipynb")[0]
    assert "".join(output["text"]) == "100%\ndone\n"


def test_timeout_interrupts_the_cell(tmp_path: Path, remote_kernel: str) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "import time\ntime.sleep(600)", "print('never')")
    done = run_command("run", notebook, "--kernel", remote_kernel, "--timeout", "3")
    assert done.status == 1
    assert done.stderr.startswith("remote-kernel: cell 1 of 2 took longer than --timeout allows and was interrupted\n")
    first, second = outputs_of(tmp_path / "n.executed.ipynb")
    assert first[-1]["ename"] == "KeyboardInterrupt"
    assert second == []


def test_dead_kernel_is_one_sentence(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "print('one')", "import os; os._exit(3)")
    done = run_command("run", notebook, "--kernel", "python3")
    assert done.status == 1
    assert done.stderr.startswith("remote-kernel: the kernel died in cell 2 of 2\n")
    assert "Traceback" not in done.stderr
    assert texts_of(tmp_path / "n.executed.ipynb") == ["one\n", ""]


@pytest.mark.parametrize("options", [[], ["--allow-errors"]])
def test_lost_session_ends_the_run_and_is_said(tmp_path: Path, remote_kernel: str, options: list[str]) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "print('one')", "import os; os._exit(3)", "print('three')")
    done = run_command("run", notebook, "--kernel", remote_kernel, *options)
    assert done.status == 1
    assert done.stderr.startswith(
        "remote-kernel: cell 2 of 3 raised SessionLost: The remote session has lost its state"
    )
    assert "exit status 3" in done.stderr
    assert "failed inside" not in done.stderr
    one, two, three = outputs_of(tmp_path / "n.executed.ipynb")
    assert [output["output_type"] for output in one + two] == ["stream", "error"]
    assert three == []


def test_a_kernel_that_has_ended_with_its_session_is_asked_nothing_more(
    tmp_path: Path, remote_kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer would be waited for."""
    asked: list[str] = []

    def inspect(_client: AsyncKernelClient, code: str) -> str:
        asked.append(code)
        return "a message id"

    async def execute() -> Outcome:
        notebook = new_notebook(cells=[new_code_cell("import os; os._exit(3)")])
        plan = Plan(path=tmp_path / "n.ipynb", kernel=remote_kernel, environ=dict(os.environ))
        return await execute_notebook(notebook, plan, Listener(), Signals())

    monkeypatch.setattr(AsyncKernelClient, "inspect", inspect)
    failure = asyncio.run(execute()).failure
    assert failure is not None
    assert failure.error.startswith("SessionLost: ")
    assert asked == []


def test_kernel_that_does_not_start_leaves_the_output_alone(tmp_path: Path, private_folders: Path) -> None:
    spec = private_folders / "data" / "kernels" / "broken"
    spec.mkdir(parents=True)
    argv = [sys.executable, "-c", "import sys; sys.exit('it never worked')", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "Broken", "language": "none"}))
    (tmp_path / "out.ipynb").write_text("precious")
    notebook = write_notebook(tmp_path / "n.ipynb", "1")
    done = run_command("run", notebook, "--kernel", "broken", "-o", tmp_path / "out.ipynb")
    assert done.status == 1
    assert done.stderr == "remote-kernel: the kernel died before it was ready\nit never worked\n"
    assert (tmp_path / "out.ipynb").read_text() == "precious"


@pytest.mark.parametrize(("program", "transport"), [("ipykernel_launcher", "ipc"), ("ipykernel", "tcp")])
def test_kernel_has_ports_only_where_it_promises_nothing_else(
    tmp_path: Path, private_folders: Path, program: str, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only of IPython's own program, and of ours, is it known that they listen on Unix sockets."""
    folder = private_folders / "data" / "kernels" / "named"
    folder.mkdir(parents=True)
    argv = [sys.executable, "-m", program, "-f", "{connection_file}"]
    (folder / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "N", "language": "python"}))
    source = "import json, ipykernel\nprint(json.loads(ipykernel.get_connection_info())['transport'])"
    notebook = write_notebook(tmp_path / "n.ipynb", source)
    with tempfile.TemporaryDirectory(prefix="rk-") as temporary:
        monkeypatch.setenv("TMPDIR", temporary)
        assert transport in run_command("run", notebook, "--kernel", "named").stdout.splitlines()
        assert list(Path(temporary).glob("rk-run-*")) == []


def test_reader_that_goes_away_does_not_stop_the_run(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "print('first', flush=True)", "print('x' * 200_000)", "print(3)")
    process = start_command("run", notebook, "--kernel", "python3")
    wait_line(process, "first")
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait() == 1
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
    assert texts_of(tmp_path / "n.executed.ipynb")[2] == "3\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_a_log_on_a_full_disk_does_not_stop_the_run(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "print('kept')")
    with Path("/dev/full").open("w") as full:
        command = [*COMMAND, "run", str(notebook), "--kernel", "python3"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    sentence = "remote-kernel: not everything could be written: there is no space left\n"
    assert (done.returncode, done.stderr) == (1, sentence)
    assert texts_of(tmp_path / "n.executed.ipynb") == ["kept\n"]


def test_html_report_is_written(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "print('a cell in a report')")
    done = run_command("run", notebook, "--kernel", "python3", "--html", tmp_path / "n.html")
    assert done.stdout.splitlines()[-2:] == [str(tmp_path / "n.executed.ipynb"), str(tmp_path / "n.html")]
    assert "a cell in a report" in (tmp_path / "n.html").read_text()


def test_html_without_nbconvert_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nbconvert", None)  # the import system's own way to say that there is none
    notebook = write_notebook(tmp_path / "n.ipynb", "open('ran', 'w')")
    done = run_command("run", notebook, "--html", tmp_path / "n.html")
    assert done.status == 2
    assert 'pip install "remote-session-kernel[html]"' in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["n.ipynb"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["missing.ipynb"], "cannot read missing.ipynb: no such file or directory"),
        (["empty"], "there is no notebook in the folder empty"),
        (["text.ipynb"], "text.ipynb is not a notebook"),
        (["list.ipynb"], "list.ipynb is not a notebook"),
        (["binary.ipynb"], "binary.ipynb is not a notebook: it is not text in UTF-8"),
        (
            ["good.ipynb", "--kernel", "nosuch"],
            "there is no Jupyter kernel named 'nosuch': see 'jupyter kernelspec list'",
        ),
        (["good.ipynb", "-o", "."], "cannot write .: it is a folder"),
        (["good.ipynb", "-o", "no/where.ipynb"], "cannot write no/where.ipynb: there is no folder"),
        (["good.ipynb", "--html", "no/where.html"], "cannot write no/where.html: there is no folder"),
        (["good.ipynb", "--timeout", "0"], "'0' is not a number of seconds over 0"),
        (["good.ipynb", "--timeout", "nan"], "'nan' is not a number of seconds over 0"),
        ([], "the following arguments are required: NOTEBOOK"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_notebook(Path("good.ipynb"), "open('ran', 'w')")
    Path("empty").mkdir()
    Path("text.ipynb").write_text("just text")
    Path("list.ipynb").write_text("[]")
    Path("binary.ipynb").write_bytes(b"\xff\xfe\x00")
    done = run_command("run", *arguments)
    assert done.status == 2
    assert sentence in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not Path("ran").exists()


@pytest.fixture
def no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the tests run in no job, as far as the programs know that they start."""
    for name in JOB_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("no_job")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REMOTE_KERNEL_WAIT_SECONDS", "long"),
        ("REMOTE_KERNEL_SCOPE", "job"),  # and no job is known
        ("REMOTE_KERNEL_ENDPOINT", "http://127.0.0.1:9"),  # and no token is set
        ("REMOTE_KERNEL_IDENTITY_KEY", "c2hvcnQ="),
    ],
)
def test_a_setting_that_cannot_be_used_ends_the_run_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    done = run_command("run", write_notebook(tmp_path / "n.ipynb", "1"))
    assert (done.status, done.stdout) == (2, "")
    assert done.stderr.startswith(f"remote-kernel: {name} ")
    assert not (tmp_path / "n.executed.ipynb").exists()


@pytest.mark.usefixtures("no_job")
def test_the_settings_that_count_are_those_of_the_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, private_folders: Path
) -> None:
    monkeypatch.setenv("REMOTE_KERNEL_WAIT_SECONDS", "long")
    notebook = write_notebook(tmp_path / "n.ipynb", "print('ran')")
    assert run_command("run", notebook, "--kernel", "python3").status == 0
    options = ["--env", "REMOTE_KERNEL_WAIT_SECONDS=60", "--scope", "job"]
    assert run_command("install", "--name", "patient", *options).status == 0
    spec = private_folders / "data" / "kernels" / "patient" / "kernel.json"
    spec.write_text(spec.read_text().replace('"60"', '"${MY_SECONDS}"'))
    monkeypatch.setenv("MY_SECONDS", "60")
    done = run_command("run", notebook, "--kernel", "patient")
    assert (done.status, "REMOTE_KERNEL_SCOPE is 'job'" in done.stderr) == (2, True)


def test_a_current_folder_that_was_removed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "1")
    removed = tmp_path / "removed"
    removed.mkdir()
    monkeypatch.chdir(removed)
    removed.rmdir()
    done = run_command("run", notebook)
    sentence = "remote-kernel: the current folder is not there any more: change to another one\n"
    assert (done.status, done.stderr) == (2, sentence)
