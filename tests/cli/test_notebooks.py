"""Notebook files are read as other tools read them, and what is no notebook is told in a sentence."""

import json
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from remote_kernel.cli.run.notebook_files import (
    parse_notebook,
    read_notebook,
    to_text,
    with_merged_streams,
    without_outputs,
)
from remote_kernel.core.errors import UsageError


def test_notebook_of_version_3_is_read() -> None:
    text = (
        '{"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": '
        '[{"cells": [{"cell_type": "code", "input": "1 + 1", "outputs": [], "language": "python"}]}]}'
    )
    assert parse_notebook(text, Path("n.ipynb")).cells[0].source == "1 + 1"


def test_cells_without_ids_get_them() -> None:
    cell = '{"cell_type": "code", "source": "1", "metadata": {}, "outputs": [], "execution_count": null}'
    notebook = parse_notebook(f'{{"nbformat": 4, "nbformat_minor": 5, "metadata": {{}}, "cells": [{cell}]}}', Path("n"))
    assert notebook.cells[0].id


def test_broken_outputs_do_not_matter() -> None:
    cell = '{"cell_type": "code", "source": "1", "metadata": {}, "outputs": [{"output_type": "???"}]}'
    notebook = parse_notebook(f'{{"nbformat": 4, "nbformat_minor": 4, "metadata": {{}}, "cells": [{cell}]}}', Path("n"))
    assert without_outputs(notebook).cells[0].outputs == []


def notebook_text(minor: int = 4, metadata: object = None, **cell: object) -> str:
    """Return a notebook of one code cell with further or other fields."""
    code = {"cell_type": "code", "source": "6 * 7", "metadata": {}, "outputs": [], "execution_count": None, **cell}
    return json.dumps({"nbformat": 4, "nbformat_minor": minor, "metadata": metadata or {}, "cells": [code]})


@pytest.mark.parametrize(
    "text",
    [
        notebook_text(minor=4, id="an-id-before-its-time"),
        notebook_text(foreign={"a": 1}),
        notebook_text(metadata={"kernelspec": {}, "language_info": {"version": 3}}),
        notebook_text(metadata={"kernelspec": None, "language_info": []}),
        notebook_text(metadata={"kernelspec": {"name": "python3"}, "celltoolbar": 3}),
        notebook_text(cell_type="markdown", outputs=[{"output_type": "stream"}]),
        notebook_text(cell_type="of-the-future"),
        notebook_text(metadata=None, source=["6 *", " 7"]),
        notebook_text(minor=5, id=None),
        notebook_text().replace(
            '"metadata": {}, "outputs"', '"metadata": {"collapsed": null, "tags": null}, "outputs"'
        ),
        notebook_text().replace('"metadata": {}, "outputs"', '"metadata": {"tags": "x"}, "outputs"'),
        notebook_text().replace('"metadata": {}, "outputs"', '"outputs"'),
        notebook_text().replace('"outputs": [], ', '"outputs": null, '),
        notebook_text().replace(', "nbformat_minor": 4', ""),
    ],
)
def test_what_other_tools_overlook_is_overlooked(text: str) -> None:
    notebook = parse_notebook(text, Path("n.ipynb"))
    assert notebook.cells[0].source == "6 * 7"
    assert notebook.cells[0].metadata.get("tags", []) == []
    assert parse_notebook(to_text(notebook), Path("n.ipynb")).cells[0].source == "6 * 7"


def test_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "n.ipynb").write_text(notebook_text(), encoding="utf-8-sig")
    assert read_notebook(tmp_path / "n.ipynb").cells[0].source == "6 * 7"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the file is empty"),
        (" \n\n", "the file is empty"),
        ('{\n "cells": [\n<<<<<<< HEAD\n', "line 3 is a conflict marker of git's"),
        ('{\n "cells": [\n],\n=======\n}', "line 4 is a conflict marker of git's"),
        (notebook_text()[:-40], "it ends in the middle, in line 1"),
        (json.dumps(json.loads(notebook_text()), indent=1)[:70], "it ends in the middle, in line 6"),
        ("print(1)", r"line 1, column 1 is not JSON \(expecting value\)"),
        ('{"cells": [1,]}', "line 1, column"),
        ("[" * 100_000, "it is nested too deeply"),
        ('{"a": 1}', "it is JSON, but has no cells"),
        ("[]", "it is JSON, but has no cells"),
        (notebook_text(source=3), "cell 1 of 1 has no source"),
        (notebook_text(cell_type=None), "cell 1 of 1 has no type"),
    ],
)
def test_what_is_no_notebook_is_told_why_and_where(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=rf"^n\.ipynb is not a notebook: {reason}"):
        parse_notebook(text, Path("n.ipynb"))


def test_folder_is_told_from_a_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="it is a folder"):
        read_notebook(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "3",
        "{}",
        '{"nbformat": 4}',
        '{"nbformat": 99, "nbformat_minor": 0, "metadata": {}, "cells": []}',
        '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": 3}',
        '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"cell_type": "code"}]}',
        '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": ["1"]}',
    ],
)
def test_what_is_no_notebook_is_one_sentence(text: str) -> None:
    with pytest.raises(UsageError, match=r"^n\.ipynb is not a (valid )?notebook") as caught:
        parse_notebook(text, Path("n.ipynb"))
    assert "\n" not in str(caught.value)


def test_neighbours_of_one_stream_become_one_output() -> None:
    outputs = [
        new_output("stream", name="stdout", text="a"),
        new_output("stream", name="stdout", text="b\n"),
        new_output("stream", name="stderr", text="10%\r"),
        new_output("stream", name="stderr", text="99%"),
        new_output("display_data", {"text/plain": "x"}),
        new_output("stream", name="stdout", text="c"),
    ]
    notebook = new_notebook(cells=[new_code_cell("1", outputs=outputs)])
    merged = with_merged_streams(notebook).cells[0].outputs
    assert [output.get("text") for output in merged] == ["ab\n", "99%", None, "c"]
    assert len(notebook.cells[0].outputs) == 6


def test_written_text_is_read_again_as_the_same_notebook() -> None:
    notebook = new_notebook(cells=[new_code_cell("print('é')")])
    assert parse_notebook(to_text(notebook), Path("n.ipynb")) == notebook
