"""`remote-kernel run --verify` tells a notebook that does what it shows from one that does not."""

import json
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_output

from tests.cli.command import outputs_of, run_command, write_notebook

SOURCES = (
    "import os, tempfile, time, sys\nprint(object(), time.time_ns() // 10**18, 'in 0.1 s')",
    "print(tempfile.mkdtemp())\nprint('noted', file=sys.stderr)\n6 * 7",
    "1 / 0",
    "None",
)


def executed_in_place(path: Path) -> Path:
    cells = [new_code_cell(source) for source in SOURCES]
    cells[2].metadata["tags"] = ["raises-exception"]
    notebook = write_notebook(path, *cells)
    assert run_command("run", notebook, "--kernel", "python3", "-o", notebook).status == 0
    assert sum(map(len, outputs_of(notebook))) == 5
    return notebook


def test_reproducible_notebook_passes_twice_and_is_not_touched(tmp_path: Path) -> None:
    notebook = executed_in_place(tmp_path / "n.ipynb")
    before = notebook.read_bytes()
    for _ in range(2):
        done = run_command("run", notebook, "--verify", "--kernel", "python3")
        assert (done.status, done.stderr) == (0, "")
        assert done.stdout.rstrip().endswith(" s, the outputs as stored")
    assert notebook.read_bytes() == before
    assert list(tmp_path.iterdir()) == [notebook]


def test_every_cell_that_differs_is_shown(tmp_path: Path) -> None:
    cells = [new_code_cell(f"print({number})", outputs=[new_output("stream", text="1\n")]) for number in (1, 2, 1, 3)]
    notebook = write_notebook(tmp_path / "n.ipynb", *cells)
    done = run_command("run", notebook, "--verify", "--kernel", "python3")
    assert done.status == 1
    assert done.stderr.splitlines() == [
        "remote-kernel: cell 2 of 4 gave other outputs than those stored (-)",
        "    print(2)",
        "",
        "    -1",
        "    +2",
        "remote-kernel: cell 4 of 4 gave other outputs than those stored (-)",
        "    print(3)",
        "",
        "    -1",
        "    +3",
    ]


def test_cell_that_raises_ends_the_run_as_ever(tmp_path: Path) -> None:
    output = new_output("stream", text="1\n")
    notebook = write_notebook(tmp_path / "n.ipynb", "1 / 0", new_code_cell("print(1)", outputs=[output]))
    done = run_command("run", notebook, "--verify", "--kernel", "python3")
    assert done.status == 1
    assert done.stderr.startswith("remote-kernel: cell 1 of 2 raised ZeroDivisionError: division by zero\n")


def test_notebook_without_outputs_cannot_be_verified(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "open('ran', 'w')")
    done = run_command("run", notebook, "--verify", "--kernel", "python3")
    assert done.status == 2
    assert done.stderr.startswith(f"remote-kernel: {notebook} has no stored outputs to compare with: save it")
    assert not (tmp_path / "ran").exists()


def test_verify_writes_no_notebook_even_if_told_where(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "1")
    done = run_command("run", notebook, "--verify", "-o", notebook)
    assert done.status == 2
    assert "--verify writes no notebook" in done.stderr


def test_skipped_cells_keep_their_say(tmp_path: Path) -> None:
    skipped = new_code_cell("1 / 0", metadata={"tags": ["nbval-skip"]}, outputs=[new_output("stream", text="old")])
    shown = new_code_cell("print(1)", outputs=[new_output("stream", text="1\n")])
    notebook = write_notebook(tmp_path / "n.ipynb", skipped, shown)
    assert run_command("run", notebook, "--verify", "--kernel", "python3").status == 0


def test_notebook_of_an_old_format_is_verified(tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(cells=[new_code_cell("print(1)", outputs=[new_output("stream", text="1\n")])])
    notebook.nbformat_minor = 2
    for cell in notebook.cells:
        del cell["id"]
    (tmp_path / "n.ipynb").write_text(json.dumps(notebook))
    assert run_command("run", tmp_path / "n.ipynb", "--verify", "--kernel", "python3").status == 0
