"""`remote-kernel upload` and `download`: the notebook's own session, a bar, exit statuses, sentences."""

import contextlib
import os
from pathlib import Path

import pytest

from tests.cli.command import run_command, write_notebook
from tests.cli.test_terminal import show_on_terminal
from tests.client.hostile_pod import HostilePod
from tests.driver import Notebook, Pool
from tests.faults.proxy import FaultProxy, Plan


def test_files_go_to_the_session_that_the_notebook_s_kernel_has_and_come_back(notebook: Path, folder: Path) -> None:
    (folder / "in").mkdir()
    (folder / "in/a.txt").write_text("from here")
    done = run_command("upload", notebook, "in", "--to", "sub")
    assert done.status == 0
    assert done.stdout.startswith("Uploaded 1 file, 9 B, to 'sub' in the session in ")
    with Notebook.start(environ={"REMOTE_KERNEL_NOTEBOOK": str(notebook)}) as kernel:
        assert kernel.run("open('sub/in/a.txt').read()").result == "'from here'"
        kernel.run("open('b.txt', 'w').write('from there')")
        done = run_command("download", notebook, "b.txt", "sub", "--to", "out")
    assert done.status == 0
    assert (folder / "out/b.txt").read_text() == "from there"
    assert (folder / "out/sub/in/a.txt").read_text() == "from here"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["upload", "n.ipynb", "nosuch"], "There is no file or folder 'nosuch' on this machine"),
        (["upload", "n.ipynb", "pipe"], "pipe' is neither a file nor a folder, so it cannot be uploaded."),
        (["upload", "n.ipynb", "/dev/null"], "'/dev/null' is neither a file nor a folder, so it cannot be uploaded."),
        (["download", "n.ipynb", "nosuch"], "There is no file or folder 'nosuch' in the session."),
        (["download", "n.ipynb", "../x"], "A path may not contain '..'"),
        (["upload", "nosuch.ipynb", "n.ipynb"], "there is no notebook at nosuch.ipynb"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(notebook: Path, folder: Path, arguments: list[str], said: str) -> None:
    with contextlib.suppress(FileExistsError):
        os.mkfifo(folder / "pipe")
    done = run_command(*arguments)
    assert (done.status, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_pool_that_is_not_there_is_a_failure(notebook: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMOTE_KERNEL_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("REMOTE_KERNEL_WAIT_SECONDS", "0")
    done = run_command("upload", notebook, notebook)
    assert done.status == 1
    assert "cannot be reached" in done.stderr


def test_a_terminal_shows_a_bar_and_ctrl_c_leaves_what_is_there_for_the_next_time(
    notebook: Path, pool: Pool, folder: Path
) -> None:
    (folder / "big.bin").write_bytes(bytes(range(256)) * 20_000)
    with FaultProxy.before(pool.endpoint) as proxy:
        proxy.plan = lambda _number: Plan(bytes_per_second=3e6)
        status, text = show_on_terminal(
            "upload", notebook, "big.bin", interrupt_at=b"B/s, ", REMOTE_KERNEL_ENDPOINT=proxy.endpoint
        )
    assert status == 130
    assert "big.bin" in text
    assert "of 5.1 MB" in text
    assert "the same command goes on where it stopped" in text
    assert run_command("upload", notebook, "big.bin").status == 0


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a notebook, in which commands are given to a pool that the test sets."""
    write_notebook(tmp_path / "n.ipynb", "1")
    monkeypatch.setenv("REMOTE_KERNEL_TOKEN", "any")
    monkeypatch.chdir(tmp_path)
    return tmp_path


PLANTED = [".bashrc", ".ssh/authorized_keys", ".git/hooks/pre-commit", "../.bashrc", "\x1b]0;title\x07", "a\\b.csv"]


@pytest.mark.parametrize(
    ("word", "fetched"),
    [
        ("results", ["results/.bashrc", "results/.ssh/authorized_keys", "results/a\\b.csv"]),
        ("*", ["a\\b.csv"]),
        (".", ["a\\b.csv"]),
    ],
)
def test_a_hostile_pod_writes_nothing_but_what_was_named(
    word: str, fetched: list[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HostilePod.listing(*PLANTED) as pod:
        monkeypatch.setenv("REMOTE_KERNEL_ENDPOINT", pod.endpoint)
        done = run_command("download", "n.ipynb", word)
    found = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
    assert found == {"n.ipynb", *fetched}
    assert done.stdout.startswith(f"Downloaded {len(fetched)} file")
    assert done.stderr.replace("\n", "").isprintable()
    assert done.status == 1  # the name with a control character was wanted


def test_a_file_that_is_here_and_differs_is_replaced_by_force_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "a.csv").write_text("mine")
    with HostilePod.listing("a.csv", "b.csv") as pod:
        monkeypatch.setenv("REMOTE_KERNEL_ENDPOINT", pod.endpoint)
        done = run_command("download", "n.ipynb", "*.csv")
        assert (done.status, done.stdout) == (2, "")
        assert "'a.csv' differs from what is here, so nothing was fetched: --force replaces it" in done.stderr
        assert (home / "a.csv").read_text() == "mine"
        assert not (home / "b.csv").exists()
        assert run_command("download", "n.ipynb", "*.csv", "--force").status == 0
        assert (home / "a.csv").read_bytes() == pod.content
        again = run_command("download", "n.ipynb", "*.csv")
    assert (again.status, again.stderr) == (0, "")
    assert "2 files had not changed" in again.stdout


@pytest.mark.parametrize(("typed", "is_replaced"), [(b"y\n", True), (b"\n", False), (b"\x04", False)])
def test_on_a_terminal_one_question_decides(typed: bytes, is_replaced: bool, home: Path) -> None:
    for name in ("a.csv", "b.csv", "c.csv", "d.csv", "e.csv"):
        (home / name).write_text("mine")
    with HostilePod.listing("a.csv", "b.csv", "c.csv", "d.csv", "e.csv", "new.csv") as pod:
        status, text = show_on_terminal(
            "download", "n.ipynb", "*.csv", answer=(b"[y/N]", typed), REMOTE_KERNEL_ENDPOINT=pod.endpoint
        )
        assert status == 0
        assert "'a.csv', 'b.csv', 'c.csv' and 2 more differ from what is here. Replace them" in text
        assert text.count("[y/N]") == 1
        assert (home / "new.csv").read_bytes() == pod.content
        assert ((home / "e.csv").read_bytes() == pod.content) is is_replaced
    assert ("Not replaced: " in text) is not is_replaced


def test_ctrl_c_at_the_question_fetches_nothing(home: Path) -> None:
    (home / "a.csv").write_text("mine")
    with HostilePod.listing("a.csv", "b.csv") as pod:
        status, text = show_on_terminal(
            "download", "n.ipynb", "*", interrupt_at=b"[y/N]", answer=(b"never", b""),
            REMOTE_KERNEL_ENDPOINT=pod.endpoint,
        )  # fmt: skip
        assert (status, pod.asked) == (130, [])
    assert "interrupted" in text
