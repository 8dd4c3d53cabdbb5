"""What users have chosen for a notebook, for later kernels of it."""

from pathlib import Path

import pytest

from remote_kernel.kernel.session.choices import Choice, ChoiceFile


def test_choice_is_remembered_for_its_notebook(tmp_path: Path) -> None:
    file = ChoiceFile(tmp_path, Choice.WORKSPACE, "/a.ipynb")
    assert file.load(str) is None
    file.save("..")
    assert ChoiceFile(tmp_path, Choice.WORKSPACE, "/a.ipynb").load(str) == ".."
    file.save("")
    assert file.load(str) == ""
    assert ChoiceFile(tmp_path, Choice.WORKSPACE, "/b.ipynb").load(str) is None
    assert ChoiceFile(tmp_path, Choice.AUTOSAVE, "/a.ipynb").load(bool) is None, "another choice"


def test_that_something_is_off_is_a_choice(tmp_path: Path) -> None:
    ChoiceFile(tmp_path, Choice.AUTOSAVE, "/a.ipynb").save(False)
    assert ChoiceFile(tmp_path, Choice.AUTOSAVE, "/a.ipynb").load(bool) is False


@pytest.mark.parametrize("content", [b"", b"[]", b'{"chosen": 3}', b"\xff", b"[" * 100_000])
def test_odd_file_is_no_choice(tmp_path: Path, content: bytes) -> None:
    ChoiceFile(tmp_path, Choice.WORKSPACE, "/a.ipynb").save(".")
    (path,) = (tmp_path / "remote-kernel" / "workspaces").iterdir()
    path.write_bytes(content)
    assert ChoiceFile(tmp_path, Choice.WORKSPACE, "/a.ipynb").load(str) is None
