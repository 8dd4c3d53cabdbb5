"""On a terminal a run shows a bar, colours and the line that is being written."""

import os
import pty
import re
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from remote_kernel.cli.doctor import MARGIN
from tests.cli.command import COMMAND, texts_of, write_notebook
from tests.driver import wait_until


def show_on_terminal(
    *arguments: object, interrupt_at: bytes | None = None, answer: tuple[bytes, bytes] | None = None, **environ: str
) -> tuple[int, str]:
    """Run the command on a terminal of its own and return its exit status and all that it wrote there.

    SIGINT is sent when the terminal shows `interrupt_at` and the command waits: Python does not see a signal that comes
    just before it begins to read. The second of `answer` is typed when the terminal shows the first.
    """
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdin=theirs if answer else None,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", **environ},
    )
    os.close(theirs)
    written = b""
    while part := _read(ours):
        written += part
        if interrupt_at is not None and interrupt_at in written:
            wait_until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_SLEEPING)
            process.send_signal(signal.SIGINT)
            interrupt_at = None
        if answer is not None and answer[0] in written:
            os.write(ours, answer[1])
            answer = None
    os.close(ours)
    return process.wait(), written.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # how Linux says that the other end was closed
        return b""


def test_bar_counts_the_cells_below_their_output_until_an_error_ends_it(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "print('\\x1b[31mred\\x1b[0m')", "6 * 7", "1 / 0")
    status, text = show_on_terminal("run", notebook, "--kernel", "python3")
    assert status == 1
    assert "starting the kernel" in text
    assert text.count("cell 3 of 3") > 1  # in the bar, too
    assert "\x1b[31mred" in text
    assert "42" in text
    assert text.count("ZeroDivisionError: division by zero") == 1  # in the sentence; the traceback has colours inside
    assert "\x1b[31mZeroDivisionError" in text
    assert text.rindex("\x1b[?25h") < text.index("remote-kernel: cell 3 of 3 raised")  # the cursor is back
    assert text.rstrip().endswith("n.executed.ipynb")


def test_line_that_is_being_written_is_shown(tmp_path: Path) -> None:
    source = "import time; print('half of', 'a line', end='', flush=True); time.sleep(600)"
    notebook = write_notebook(tmp_path / "n.ipynb", source)
    status, text = show_on_terminal("run", notebook, "--kernel", "python3", interrupt_at=b"half of a line")
    assert status == 130
    assert text.index("half of a line") < text.index("interrupting the cell")


COLOURS = re.compile(r"\x1b\[[0-9;]*m")
LONG = "a notebook with a rather long name that goes on until it no longer fits.ipynb"


def test_rows_of_several_notebooks_fit_a_narrow_terminal(tmp_path: Path) -> None:
    notebooks = [write_notebook(tmp_path / name, "1 / 0") for name in ("n.ipynb", LONG)]
    _, text = show_on_terminal("run", *notebooks, "--kernel", "python3", "--jobs", "2", COLUMNS="60")
    table = COLOURS.sub("", text[text.index("NOTEBOOK ") :]).splitlines()[:3]
    assert [line for line in table if len(line) > 60] == []
    assert ["fits.ipynb" in line and "ZeroDivisionError" in line for line in table] == [False, False, True]
    bars = COLOURS.sub("", text[: text.index("NOTEBOOK ")])
    assert "\n                " not in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", bars)  # no cell of a row has two lines


def test_findings_of_the_doctor_are_set_in_on_a_narrow_terminal() -> None:
    _, text = show_on_terminal("doctor", "--no-session", COLUMNS="60")
    lines = COLOURS.sub("", text).splitlines()
    assert [line for line in lines if len(line) >= 60 and " " in line[MARGIN:]] == []
    assert any(line.startswith(" " * MARGIN) for line in lines)


@pytest.mark.parametrize("command", [[], ["run"], ["upload"], ["sessions", "stop"], ["list"], ["pool"]])
def test_help_fits_the_terminal(command: list[str]) -> None:
    for columns in (60, 200):
        status, text = show_on_terminal(*command, "--help", COLUMNS=str(columns))
        examples = [line for line in text.splitlines() if line.startswith("  remote-kernel")]
        assert status == 0
        assert [line for line in text.splitlines() if len(line) > min(columns, 120) and line not in examples] == []
        assert "\r\n\r\nexit status: 0" in text.lower() or not command


@pytest.mark.parametrize(
    ("environ", "has_colours"),
    [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "0"}, False), ({"FORCE_COLOR": ""}, False),
     ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
)  # fmt: skip
def test_colours_in_a_pipe_are_for_those_who_want_them(
    tmp_path: Path, environ: dict[str, str], has_colours: bool
) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "print('\\x1b[31mred\\x1b[0m\\x1b]0;title\\x07')", "1 / 0")
    command = [*COMMAND, "run", str(notebook), "--kernel", "python3"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environ}, check=False)
    for text in (done.stdout, done.stderr):
        assert ("\x1b[31m" in text) == has_colours
        assert "\x1b" not in COLOURS.sub("", text)


def test_dumb_terminal_gets_plain_lines(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "print('\\x1b[31mred\\x1b[0m')")
    status, text = show_on_terminal("run", notebook, "--kernel", "python3", TERM="dumb")
    assert status == 0
    assert "\x1b" not in text


def test_run_whose_terminal_is_closed_writes_what_it_has(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "print('so far')", "import time\nprint('asleep')\ntime.sleep(600)")
    process, terminal = pty.fork()
    if not process:  # the leader of a session of its own, as a terminal's shell is
        os.execve(COMMAND[0], [*COMMAND, "run", str(notebook), "--kernel", "python3"], {**os.environ, "TERM": "xterm"})
    written = b""
    while b"asleep" not in written:
        written += os.read(terminal, 65_536)
    os.close(terminal)
    _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGHUP
    assert texts_of(tmp_path / "n.executed.ipynb")[0] == "so far\n"
