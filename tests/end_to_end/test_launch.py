"""Interpreters that are as the notebook's kernel asks for."""

from pathlib import Path

from tests.driver import Notebook, Pool

NAME = "import os; print(os.environ['JPY_SESSION_NAME'] == __session__ == os.path.join(os.getcwd(), 'report.ipynb'))"


def test_session_is_called_after_the_notebook_also_after_a_restart(pool: Pool, tmp_path: Path) -> None:
    environ = {
        "REMOTE_KERNEL_ENDPOINT": pool.endpoint,
        "REMOTE_KERNEL_TOKEN": pool.token,
        "REMOTE_KERNEL_NOTEBOOK": str(tmp_path / "report.ipynb"),
    }
    notebook = Notebook.start(environ=environ)
    try:
        assert notebook.run(NAME).stdout == "True\n"
        notebook.manager.restart_kernel()
        notebook.wait_answers()
        assert notebook.run(NAME).stdout == "True\n"
    finally:
        notebook.close()
