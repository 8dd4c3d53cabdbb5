"""`remote-kernel upload` and `download`: the notebook's own session, a bar, exit statuses, sentences."""

from pathlib import Path

import pytest

from tests.cli.command import run_command, write_notebook
from tests.cli.test_terminal import show_on_terminal
from tests.driver import Notebook, Pool
from tests.faults.proxy import FaultProxy, Plan


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a notebook that has one session for all tests here."""
    folder = tmp_path_factory.mktemp("notebooks")
    write_notebook(folder / "n.ipynb", "1")
    return folder


@pytest.fixture
def notebook(pool: Pool, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The notebook, in the folder that the commands are given in."""
    monkeypatch.setenv("REMOTE_KERNEL_ENDPOINT", pool.endpoint)
    monkeypatch.setenv("REMOTE_KERNEL_TOKEN", pool.token)
    monkeypatch.setenv("REMOTE_KERNEL_IDENTITY_KEY", "bm9ib2R5IGVsc2UgaGFzIHRoaXMga2V5IG9mIG91cnM=")
    monkeypatch.chdir(folder)
    return folder / "n.ipynb"


def test_files_go_to_the_session_that_the_notebook_s_kernel_has_and_come_back(notebook: Path, folder: Path) -> None:
    (folder / "in").mkdir()
    (folder / "in/a.txt").write_text("from here")
    done = run_command("upload", notebook, "in", "--to", "sub")
    assert done.status == 0
    assert done.stdout.startswith("Uploaded 1 file, 9 B, to 'sub' in the session in ")
    kernel = Notebook.start(environ={"REMOTE_KERNEL_NOTEBOOK": str(notebook)})
    try:
        assert kernel.run("open('sub/in/a.txt').read()").result == "'from here'"
        kernel.run("open('b.txt', 'w').write('from there')")
        done = run_command("download", notebook, "b.txt", "sub", "--to", "out")
    finally:
        kernel.close()
    assert done.status == 0
    assert (folder / "out/b.txt").read_text() == "from there"
    assert (folder / "out/sub/in/a.txt").read_text() == "from here"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["upload", "n.ipynb", "nosuch"], "There is no file or folder 'nosuch' on this machine"),
        (["download", "n.ipynb", "nosuch"], "There is no file or folder 'nosuch' in the session."),
        (["download", "n.ipynb", "../x"], "A path may not contain '..'"),
        (["upload", "nosuch.ipynb", "n.ipynb"], "there is no notebook at nosuch.ipynb"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(notebook: Path, arguments: list[str], said: str) -> None:
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
