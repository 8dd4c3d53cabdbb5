"""A kernel has its token before the first cell, takes no session for it, and says nothing of it."""

from pathlib import Path

from tests.azure_cli import AzureCli
from tests.driver import Notebook, Pool, wait_until


def test_az_is_done_before_the_first_cell_and_not_started_by_the_next_kernel(pool: Pool, tmp_path: Path) -> None:
    az = AzureCli(tmp_path, pool.token)
    environ = {**az.environ, "REMOTE_KERNEL_ENDPOINT": pool.endpoint}
    first = Notebook.start(environ=environ)
    wait_until(lambda: az.starts == 1)
    assert pool.sessions() == []
    assert first.run("6 * 7").result == "42"
    second = Notebook.start(environ=environ)
    assert second.run("6 * 7").result == "42"
    assert az.starts == 1
    first.close()
    second.close()


def test_login_that_fails_early_is_told_in_the_first_cell(pool: Pool, tmp_path: Path, private_folders: Path) -> None:
    az = AzureCli(tmp_path, pool.token)
    az.write("echo 'ERROR: Please run az login to setup account.' >&2; exit 1")
    said = tmp_path / "stderr"
    with said.open("wb") as stderr:
        notebook = Notebook.start(environ={**az.environ, "REMOTE_KERNEL_ENDPOINT": pool.endpoint}, stderr=stderr)
        (log,) = (private_folders / "runtime" / "remote-kernel" / "logs").iterdir()
        wait_until(lambda: '"no token"' in log.read_text())
        assert said.read_bytes() == b""
        assert "run 'az login'" in notebook.run("1").reply["evalue"]
        notebook.close()
