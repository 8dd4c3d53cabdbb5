"""`remote-kernel run FOLDER`: all notebooks of a folder, in order."""

from pathlib import Path

import pytest

from remote_kernel.cli.run.notebook_folders import find_notebooks
from remote_kernel.core.errors import UsageError
from tests.cli.command import run_command, texts_of, write_notebook


def test_all_notebooks_of_a_folder_run_and_their_results_not_again(tmp_path: Path) -> None:
    (tmp_path / "demo/more").mkdir(parents=True)
    for name in ("b", "a", "more/c"):
        write_notebook(tmp_path / f"demo/{name}.ipynb", f"print('this is {name}')")
    for _ in range(2):
        done = run_command("run", tmp_path / "demo", "--kernel", "python3", "--jobs", "2")
        assert (done.status, done.stderr) == (0, "")
        assert [line.split()[0] for line in done.stdout.splitlines() if "  ok  " in line] == [
            str(tmp_path / f"demo/{name}.ipynb") for name in ("a", "b", "more/c")
        ]
    assert texts_of(tmp_path / "demo/more/c.executed.ipynb") == ["this is more/c\n"]
    assert len([*(tmp_path / "demo").rglob("*.ipynb")]) == 6


def test_a_folder_is_found_sorted_without_what_is_hidden(tmp_path: Path) -> None:
    for name in ("z.ipynb", "a/x.ipynb", ".hidden.ipynb", ".git/x.ipynb", ".ipynb_checkpoints/z-checkpoint.ipynb",
                 "a/.ipynb_checkpoints/x.ipynb", "z.executed.ipynb", "z.rescued.ipynb", "notes.txt"):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    alone = tmp_path / ".hidden.ipynb"
    assert find_notebooks([alone, tmp_path]) == [alone, tmp_path / "a/x.ipynb", tmp_path / "z.ipynb"]


def test_environments_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "venv/lib").mkdir(parents=True)
    for name in ("venv/pyvenv.cfg", "venv/lib/x.ipynb", "a.ipynb"):
        (tmp_path / name).touch()
    assert find_notebooks([tmp_path]) == [tmp_path / "a.ipynb"]


def test_a_folder_of_everything_is_refused(tmp_path: Path) -> None:
    for number in range(1_001):
        (tmp_path / f"{number}.ipynb").touch()
    with pytest.raises(UsageError, match=r"has more than 1,000 notebooks in it: name a smaller one"):
        find_notebooks([tmp_path])


def test_a_folder_without_notebooks_says_so(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"there is no notebook in the folder .*empty"):
        find_notebooks([tmp_path / "empty"])
    done = run_command("run", tmp_path / "empty", "--kernel", "python3")
    assert (done.status, done.stderr) == (
        2,
        f"remote-kernel: there is no notebook in the folder {tmp_path / 'empty'}\n",
    )


def test_of_a_folder_with_one_notebook_the_result_goes_into_a_folder(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "out").mkdir()
    write_notebook(tmp_path / "demo/a.ipynb", "print(1)")
    done = run_command("run", tmp_path / "demo", "--kernel", "python3", "-o", tmp_path / "out")
    assert (done.status, done.stderr) == (0, "")
    assert texts_of(tmp_path / "out/a.ipynb") == ["1\n"]
