"""Starts the `remote-kernel` command as a shell would, and makes notebooks for it."""

import json
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from remote_kernel.cli import main

COMMAND = [sys.executable, "-m", "remote_kernel.cli"]

Output = dict[str, Any]


@dataclass(frozen=True)
class Done:
    """What a command has left: its exit status and what it printed."""

    status: int
    stdout: str
    stderr: str


def run_command(*arguments: object) -> Done:
    """Run the command to its end in this process."""
    with redirect_stdout(StringIO()) as stdout, redirect_stderr(StringIO()) as stderr:
        try:
            status = main([*map(str, arguments)])
        except SystemExit as end:  # argparse
            status = int(end.code or 0)
    return Done(status, stdout.getvalue(), stderr.getvalue())


class Started(subprocess.Popen[str]):
    """A command that does not outlive a test which fails."""

    def __exit__(self, kind: type[BaseException] | None, *more: object) -> None:
        if kind is not None:
            self.kill()
        super().__exit__(kind, *more)  # type: ignore[arg-type]


def start_command(*arguments: object) -> Started:
    """Start the command; its output can be read while it runs."""
    return Started([*COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_line(process: "subprocess.Popen[str]", line: str) -> None:
    """Wait until the process has printed this line."""
    assert process.stdout is not None
    assert any(text.rstrip("\n") == line for text in process.stdout), f"{line!r} was never printed"


def write_notebook(path: Path, *cells: str | nbformat.NotebookNode) -> Path:
    """Write a notebook of code cells and return its path."""
    nodes = [new_code_cell(cell) if isinstance(cell, str) else cell for cell in cells]
    nbformat.write(new_notebook(cells=nodes), path)
    return path


def tagged(source: str, tag: str) -> nbformat.NotebookNode:
    """Return a cell with a tag."""
    cell: nbformat.NotebookNode = new_code_cell(source, metadata={"tags": [tag]})
    return cell


def outputs_of(path: Path) -> list[list[Output]]:
    """Return the outputs of each code cell of a notebook's file."""
    return [cell["outputs"] for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


def texts_of(path: Path) -> list[str]:
    """Return what each code cell printed, or the text of its result."""
    return ["".join(map(_text, outputs)) for outputs in outputs_of(path)]


def _text(output: Output) -> str:
    text = output["text"] if output["output_type"] == "stream" else output.get("data", {}).get("text/plain", "")
    return "".join(text)
