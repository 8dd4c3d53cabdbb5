"""What a cell is told that misses what is on this machine."""

from pathlib import Path

import pytest

from remote_kernel.kernel.preparation.error_hints import MAX_PATHS, find_hint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A notebook's folder."""
    (tmp_path / "data.csv").touch()
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "a b.txt").touch()
    (tmp_path / "helpers.py").touch()
    (tmp_path / "package").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("[Errno 2] No such file or directory: 'data.csv'", "data.csv"),
        ("[Errno 2] No such file or directory: 'in/deep/a b.txt'", "in/deep/a b.txt"),
        ("[Errno 2] No such file or directory: 'gone' -> 'data.csv'", "data.csv"),
    ],
)
def test_file_beside_the_notebook_is_named(folder: Path, text: str, path: str) -> None:
    hint = find_hint("FileNotFoundError", text, folder, has_workspace=False)
    assert hint.startswith(f"'{path}' is here, beside the notebook, and not in the session.")
    assert "%session sync on" in hint
    assert find_hint("FileNotFoundError", text, folder, has_workspace=True) == ""


@pytest.mark.parametrize(
    "text",
    ["", "No such file or directory: 'other.csv'", "'/etc/passwd'", "'../data.csv'", "'a\0b'", "'" + "x" * 900 + "'"],
)
def test_what_is_not_beside_the_notebook_has_no_hint(folder: Path, text: str) -> None:
    assert find_hint("FileNotFoundError", text, folder, has_workspace=False) == ""


@pytest.mark.parametrize(
    ("module", "beside"), [("helpers", "helpers.py"), ("helpers.more", "helpers.py"), ("package.inner", "package")]
)
def test_module_beside_the_notebook_is_named(folder: Path, module: str, beside: str) -> None:
    text = f"No module named '{module}'"
    assert find_hint("ModuleNotFoundError", text, folder, has_workspace=False).startswith(f"'{beside}' is here")
    assert find_hint("ModuleNotFoundError", text, folder, has_workspace=True) == ""


@pytest.mark.parametrize("has_workspace", [False, True])
def test_package_that_is_installed_here_is_named(folder: Path, has_workspace: bool) -> None:
    hint = find_hint("ModuleNotFoundError", "No module named 'hypothesis'", folder, has_workspace=has_workspace)
    assert (
        hint == "'hypothesis' is installed here, and not in the session. '%session install hypothesis' sends it there."
    )
    of_another_name = find_hint(
        "ModuleNotFoundError", "No module named 'dateutil.tz'", folder, has_workspace=has_workspace
    )
    assert "'%session install python-dateutil' sends it there." in of_another_name
    missing = "No module named 'there_is_none'"
    assert find_hint("ModuleNotFoundError", missing, folder, has_workspace=has_workspace) == ""


@pytest.mark.parametrize(("others", "is_found"), [(MAX_PATHS - 1, True), (MAX_PATHS, False)])
def test_only_so_many_paths_of_an_error_are_looked_at(folder: Path, others: int, is_found: bool) -> None:
    text = "'gone' " * others + "'data.csv'"
    assert ("data.csv" in find_hint("FileNotFoundError", text, folder, has_workspace=False)) == is_found
