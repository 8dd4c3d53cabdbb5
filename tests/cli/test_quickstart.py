"""The notebook that newcomers see first."""

import json
from pathlib import Path

from tests.cli.command import outputs_of, run_command, texts_of

QUICKSTART = Path(__file__).parents[2] / "notebooks" / "quickstart.ipynb"


def test_quickstart_runs_in_one_pod(tmp_path: Path, remote_kernel: str) -> None:
    done = run_command("run", QUICKSTART, "--kernel", remote_kernel, "-o", tmp_path / "out.ipynb")
    assert (done.status, done.stderr) == (0, "")
    assert "Every cell ran in the same pod: " in texts_of(tmp_path / "out.ipynb")[-1]
    kinds = {mime for outputs in outputs_of(tmp_path / "out.ipynb") for out in outputs for mime in out.get("data", ())}
    assert kinds >= {"text/html", "image/png", "text/markdown"}


def test_quickstart_is_stored_without_outputs() -> None:
    notebook = json.loads(QUICKSTART.read_text())
    assert notebook["metadata"]["kernelspec"]["name"] == "remote"
    assert all(cell["id"] for cell in notebook["cells"])
    assert [cell.get("outputs", []) for cell in notebook["cells"]] == [[]] * len(notebook["cells"])
