"""What commands print of pods, pools, notebooks and file names commands no terminal, and says nothing in a pipe."""

import ast
import io
import json
import os
import re
import subprocess
import unicodedata
from pathlib import Path
from typing import TextIO, cast
from xml.etree import ElementTree

import pytest
from rich.table import Table
from rich.text import Text

from remote_kernel.cli import terminal
from remote_kernel.cli.terminal import SafeStream, console_for
from remote_kernel.core.errors import PoolRefused
from remote_kernel.core.text.log_lines import LogEvent, LogLine
from remote_kernel.core.text.terminal_text import PLAIN
from tests.cli.command import COMMAND, run_command, write_notebook
from tests.cli.test_terminal import show_on_terminal
from tests.listening import listening

HOSTILE = "\x1b]0;title\x07\x1b]52;c;eA==\x07\x9b2J\x9d0;c1\x9c\x1bc\x1b[2J\x1b[?1049h\x1b[6n\x1bP$q\x1b\\\x07\x00"
# The bytes of these on a terminal; rich's own are others.
FORBIDDEN = ("\x1b]", "\x1bP", "\x1bc", "\x1b[2J", "\x1b[?1049", "\x1b[6n", "\x07", "\x00", "\x9b", "\x9c", "\x9d")

CELLS = (
    f"print({HOSTILE!r} + 'printed')",
    f"print({HOSTILE[:3]!r}, end='', flush=True); print({HOSTILE[3:]!r}, end='', flush=True)",
    f"from IPython.display import display; display({{'text/plain': {HOSTILE!r} + 'shown'}}, raw=True)",
    f"class Odd(Exception): pass\nOdd.__name__ = 'O' + {HOSTILE!r}\nraise Odd({HOSTILE!r} + 'why\\x1b[8mhidden')",
)


MALFORMED = [
    ("stream", {"name": "stdout", "text": 5}),
    ("stream", {}),
    ("display_data", {"data": 5, "metadata": {}}),
    ("display_data", {"data": {"text/plain": [1]}, "metadata": {}}),
    ("update_display_data", {"data": 5, "transient": 5}),
    ("execute_result", {"data": {"text/plain": "x"}, "metadata": 5, "execution_count": "x"}),
    ("error", {"ename": "E", "evalue": "why", "traceback": 5}),
    ("error", {}),
    ("error", b"[]"),
    ("stream", b"{"),
    ("comm_msg", {}),
]


def controls(text: str) -> set[str]:
    """Return the control characters of a text that are neither tabs nor ends of lines."""
    return {character for character in text if unicodedata.category(character) == "Cc"} - {"\n", "\t"}


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    return write_notebook(tmp_path / "n.ipynb", *CELLS)


def test_cells_command_no_terminal(notebook: Path) -> None:
    status, text = show_on_terminal("run", notebook, "--kernel", "python3")
    assert status == 1
    assert "printed" in text
    assert "shown" in text
    assert "why" in text
    assert not [sequence for sequence in FORBIDDEN if sequence in text]
    assert text.rindex(PLAIN) > text.rindex("hidden")  # no colour of the cell's outlasts it


@pytest.mark.slow
def test_cells_command_no_terminal_when_several_run(notebook: Path, tmp_path: Path) -> None:
    other = write_notebook(
        tmp_path / "[red]o.ipynb", "raise type('[link=https://evil.example]x\\x1b]0;y\\x07', (Exception,), {})"
    )
    status, text = show_on_terminal("run", notebook, other, "--kernel", "python3", "--jobs", "2", COLUMNS="200")
    assert status == 1
    assert "[red]o.ipynb" in text
    assert "[link=https://evil.example]x" in text
    assert not [sequence for sequence in FORBIDDEN if sequence in text]


@pytest.mark.parametrize("environ", [{}, {"FORCE_COLOR": "1"}])
def test_there_is_no_control_character_in_a_pipe(notebook: Path, tmp_path: Path, environ: dict[str, str]) -> None:
    junit = tmp_path / "r.xml"
    done = subprocess.run(
        [*COMMAND, "run", str(notebook), "--kernel", "python3", "--junit", str(junit)],
        capture_output=True, check=False, env={**os.environ, **environ},
    )  # fmt: skip
    out, errors, xml = done.stdout.decode(), done.stderr.decode(), junit.read_text()
    assert done.returncode == 1
    assert "printed" in out
    assert "why" in errors
    assert "why" in xml
    assert controls(xml) == set()
    assert (
        controls(re.sub(r"\x1b\[[0-9;]*m", "", out + errors) if environ else out + errors) == set()
    )  # but for colours
    ElementTree.fromstring(xml)


@pytest.mark.slow
def test_terminal_of_somebody_who_wants_no_colours_gets_none(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "print('\\x1b[1;31mred\\x1b[0m'); 1 / 0")
    _, text = show_on_terminal("run", notebook, "--kernel", "python3", NO_COLOR="1")
    assert "red" in text
    assert "ZeroDivisionError" in text
    assert "\x1b[1m" not in text
    assert "\x1b[1;31m" not in text
    assert "\x1b[31m" not in text


def test_names_of_notebooks_are_shown_as_one_line(tmp_path: Path) -> None:
    name = "n\nremote-kernel: ok\x1b]0;x\x07\x9b2J\u202e.ipynb"
    notebook = write_notebook(tmp_path / name, "1 / 0")
    done = run_command("run", notebook, write_notebook(tmp_path / "m.ipynb", "1"), "--kernel", "python3")
    assert controls(done.stdout + done.stderr) == set()
    assert r"n\nremote-kernel: ok\x1b]0;x\x07\x9b2J\u202e.ipynb" in done.stderr
    assert "\nremote-kernel: ok" not in done.stdout + done.stderr


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_logs_show_no_control_character(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    monkeypatch.setenv("REMOTE_KERNEL_LOG", str(tmp_path))
    line = LogLine(at=1.0, level="warning", program="kernel", pid=1, event=LogEvent("failed", text=HOSTILE))
    raw = {"time": "2026-01-01T00:00:00Z", "level": HOSTILE, "program": HOSTILE, "pid": 1, "event": HOSTILE,
           HOSTILE: HOSTILE, "trace": HOSTILE}  # fmt: skip
    lines = [line.to_json(), json.dumps(raw, ensure_ascii=False), f"Fatal: {HOSTILE}"]
    assert not controls(lines[0])
    (tmp_path / "kernel-a.log").write_text("".join(f"{line}\n" for line in lines))
    done = run_command("logs", *arguments)
    assert len(done.stdout.splitlines()) == (3 if arguments else 4)  # one of them has a trace below it
    assert controls(done.stdout) == set()
    assert all(json.loads(line) for line in done.stdout.splitlines() if arguments)


HOSTILE_ERROR = json.dumps({"error": {"code": HOSTILE, "message": f"{HOSTILE}\nok      everything   is fine"}}).encode()


@pytest.mark.parametrize("command", ["doctor", "download"])
def test_errors_of_a_front_door_show_no_control_character(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    with listening((400, {}, HOSTILE_ERROR)) as front_door:
        monkeypatch.setenv("REMOTE_KERNEL_ENDPOINT", front_door.url)
        monkeypatch.setenv("REMOTE_KERNEL_TOKEN", "some-token")
        done = run_command(
            *(["doctor"] if command == "doctor" else ["download", write_notebook(tmp_path / "n.ipynb"), "x"])
        )
    assert done.status == 1 if command == "doctor" else done.status in {1, 2}
    assert r"\x1b]0;title" in done.stdout + done.stderr
    assert controls(done.stdout + done.stderr) == set()
    assert "\nok      everything" not in done.stdout + done.stderr


def test_errors_hold_no_control_character_and_have_an_end() -> None:
    error = PoolRefused(f"{HOSTILE}{'x' * 1_000_000}", status=400)
    assert controls(str(error)) == set()
    assert len(str(error)) < 5_000


def test_console_passes_no_control_no_link_and_no_markup() -> None:
    stream = _Terminal()
    console = console_for(cast(TextIO, SafeStream(stream, keeps_colours=True)))
    console.width = 200
    table = Table(HOSTILE)
    table.add_row(Text.from_ansi("\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\"))
    console.print(HOSTILE, "[red]not red[/red]", "[link=https://evil.example]no link[/link]", ":smile:", table)
    text = stream.getvalue()
    assert "[red]not red[/red] [link=https://evil.example]no link[/link] :smile:" in text
    assert "link" in text
    assert not [sequence for sequence in FORBIDDEN if sequence in text]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_every_console_is_one_that_cleans() -> None:
    folder = Path(terminal.__file__).parent
    for path in folder.rglob("*.py"):
        names = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        imported = {f"{node.module}.{alias.name}" for node in names for alias in node.names}
        if path.name != "terminal.py":
            assert not {"rich.console.Console", "rich.print"} & imported, path
            assert "sys.__std" not in path.read_text(), path


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_of_completion_pass_as_they_are(shell: str) -> None:
    assert not controls(run_command("completion", shell).stdout)
    assert r"\x1b" not in run_command("completion", shell).stdout


@pytest.mark.parametrize("arguments", [[], ["--allow-errors"]])
def test_malformed_messages_cost_themselves_and_not_the_run(tmp_path: Path, arguments: list[str]) -> None:
    send = "kernel = get_ipython().kernel\n" + "".join(
        f"kernel.send_response(kernel.iopub_socket, {kind!r}, {content!r})\n" for kind, content in MALFORMED
    )
    notebook = write_notebook(tmp_path / "n.ipynb", f"{send}print('after')", "print('next')")
    done = run_command("run", notebook, "--kernel", "python3", "-o", tmp_path / "out.ipynb", *arguments)
    assert (done.status, "Traceback" in done.stderr) == (0, False)
    cells = json.loads((tmp_path / "out.ipynb").read_text())["cells"]
    assert [cell["outputs"][-1]["text"] for cell in cells] == [["after\n"], ["next\n"]]
