"""Notebook files are read with care and written whole or not at all."""

import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from remote_kernel.cli.notebooks import (
    parse_notebook,
    to_text,
    with_merged_streams,
    without_outputs,
    write_whole,
)
from remote_kernel.core.errors import NotWritten, UsageError


@contextmanager
def small_files(limit: int) -> Iterator[None]:
    """Let the system refuse to make a file larger than `limit`, as it does when a disk is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    path.write_text("old")
    with small_files(1_000), pytest.raises(NotWritten, match=r"cannot write .*n\.ipynb: file too large"):
        write_whole(path, "x" * 2_000)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_mode_of_a_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    path.write_text("old")
    path.chmod(0o640)
    write_whole(path, "new")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", 0o640)


def test_new_file_has_the_mode_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    write_whole(tmp_path / "n.ipynb", "new")
    assert (tmp_path / "n.ipynb").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.ipynb").write_text("old")
    (tmp_path / "link.ipynb").symlink_to("real.ipynb")
    write_whole(tmp_path / "link.ipynb", "new")
    assert (tmp_path / "link.ipynb").is_symlink()
    assert (tmp_path / "real.ipynb").read_text() == "new"


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
