"""Parameters reach a notebook as papermill would have them there."""

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from papermill.parameterize import parameterize_notebook

from remote_kernel.cli.run.parameters import inject, literal, parse_value, read_parameters
from tests.cli.command import run_command, tagged, texts_of, write_notebook

VALUES = {
    "word": 'it\'s "quoted"\n\\n ü',
    "whole": 7,
    "real": -1.5e300,
    "huge": float("inf"),
    "yes": True,
    "nothing": None,
    "items": [1, "two", [3.0]],
    "table": {"a": {"b": None}},
}


def untagged(source: str) -> nbformat.NotebookNode:
    cell: nbformat.NotebookNode = new_code_cell(source, metadata={"tags": []})  # papermill asks for the key
    return cell


def namespace(notebook: nbformat.NotebookNode) -> dict[str, Any]:
    """Return the variables after all cells."""
    variables: dict[str, Any] = {}
    for cell in notebook.cells:
        exec(cell.source, variables)
    return {name: value for name, value in variables.items() if not name.startswith("_")}


@pytest.mark.parametrize(
    "cells",
    [
        [],
        [untagged("whole = 0")],
        [untagged("a = 1"), tagged("whole = 0", "parameters"), untagged("double = whole * 2")],
        [tagged("whole = 0", "parameters"), tagged("whole = 1", "injected-parameters"), untagged("b = whole")],
    ],
)
def test_cell_is_where_papermill_has_it_and_says_the_same(cells: list[nbformat.NotebookNode]) -> None:
    ours, theirs = (
        new_notebook(
            cells=cells,
            metadata={
                "kernelspec": {"name": "python3", "display_name": "Python", "language": "python"},
                "papermill": {},
            },
        )
        for _ in range(2)
    )
    ours.cells = list(cells)
    inject(ours, VALUES)
    theirs = parameterize_notebook(theirs, VALUES, kernel_name="python3", language="python")
    tags = [[cell.metadata.get("tags", []) for cell in notebook.cells] for notebook in (ours, theirs)]
    assert tags[0] == tags[1]
    assert namespace(ours) == namespace(theirs)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-2.5", -2.5),
        ("1e3", 1000.0),
        ("True", True),
        ("None", None),
        ("true", "true"),
        ("", ""),
        ("1_x", "1_x"),
        ("01234", "01234"),
        ("-0123", "-0123"),
        ("12:30", "12:30"),
        ("0", 0),
        ("0.5", 0.5),
    ],
)
def test_words_on_the_command_line_are_values(text: str, value: Any) -> None:
    parsed = parse_value(text)
    assert (parsed, type(parsed)) == (value, type(value))


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), [{"a": float("inf")}]])
def test_every_literal_is_code_for_its_value(value: Any) -> None:
    assert repr(eval(literal(value, "x"))) == repr(value)


def test_parameters_come_from_a_file_and_from_the_command_line_which_wins(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("year: 2025\nname: Ada\n")
    notebook = write_notebook(
        tmp_path / "n.ipynb", tagged("year = 0; name = ''", "parameters"), "print(year + 1, name)"
    )
    done = run_command("run", notebook, "--kernel", "python3", "-f", tmp_path / "p.yaml", "-p", "year", "2026")
    assert (done.status, done.stderr) == (0, "")
    assert texts_of(tmp_path / "n.executed.ipynb")[-1] == "2027 Ada\n"
    executed = json.loads((tmp_path / "n.executed.ipynb").read_text())
    assert executed["cells"][1]["metadata"]["tags"] == ["injected-parameters"]
    assert json.loads(notebook.read_text())["cells"][1]["metadata"] == {}


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("", {}),
        ("# nothing so far\n", {}),
        ("day: 2026-11-29\nat: 2026-11-29 10:00:00\n", {"day": "2026-11-29", "at": "2026-11-29 10:00:00"}),
        ("postcode: 01234\ncode: 007\nzero: 0\nhalf: 0.5\nhex: 0x10\n", {
            "postcode": "01234", "code": "007", "zero": 0, "half": 0.5, "hex": 16,
        }),
        ("a: &x [1]\nb: *x\n", {"a": [1], "b": [1]}),
        ("at: 12:30\nuntil: 23:59:59\nlap: 1:02.5\n", {"at": "12:30", "until": "23:59:59", "lap": "1:02.5"}),
        ("signed: -0123\nphone: +049\nversion: 01.5\nmany: 1_000\n", {
            "signed": "-0123", "phone": "+049", "version": "01.5", "many": 1000,
        }),
    ],
)  # fmt: skip
def test_yaml_is_read_as_people_mean_it(tmp_path: Path, text: str, parameters: dict[str, Any]) -> None:
    (tmp_path / "p.yaml").write_text(text)
    assert read_parameters(tmp_path / "p.yaml") == parameters


def test_name_without_a_default_is_noted(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", tagged("year = 0", "parameters"))
    done = run_command("run", notebook, "--kernel", "python3", "-p", "yaer", "1")
    assert done.status == 0
    assert done.stderr == f"remote-kernel: note: no cell of {notebook} tagged 'parameters' sets 'yaer'\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-p", "1st", "1"], "'1st' cannot be the name of a parameter"),
        (["-p", "class", "1"], "'class' cannot be the name of a parameter"),
        (["-p", "x"], "expected 2 arguments"),
        (["-f", "missing.json"], "cannot read missing.json: no such file or directory"),
        (["-f", "Missing.YAML"], "cannot read Missing.YAML: no such file or directory"),
        (["-f", "list.json"], "list.json does not hold parameters"),
        (["-f", "bad.yaml"], "bad.yaml is neither JSON nor YAML: look at line 1"),
        (["-f", "bytes.yaml"], "the value of the parameter 'raw' is of the type bytes: put it in quotes"),
        (["-f", "itself.yaml"], "the value of the parameter 'a' holds itself, or is nested too deeply"),
        (["-f", "deep.json"], "deep.json is nested too deeply"),
        (["-p", "x", "1", "--kernel", "other"], "the language of 'other' is none"),
    ],
)
def test_what_cannot_be_a_parameter_is_one_sentence(
    tmp_path: Path, private_folders: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_notebook(Path("n.ipynb"), "open('ran', 'w')")
    Path("list.json").write_text("[1]")
    Path("bad.yaml").write_text("a: [")
    Path("bytes.yaml").write_text("raw: !!binary aGVsbG8=")
    Path("itself.yaml").write_text("a: &x [*x]")
    Path("deep.json").write_text("[" * 100_000)
    spec = private_folders / "data" / "kernels" / "other"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text(json.dumps({"argv": ["true"], "display_name": "Other", "language": "none"}))
    done = run_command("run", "n.ipynb", *arguments)
    assert done.status == 2
    assert sentence in done.stderr.splitlines()[-1]
    assert not Path("ran").exists()
