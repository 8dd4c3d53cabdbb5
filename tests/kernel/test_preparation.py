"""The session is made ready for a cell, or the cell does not run."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from remote_kernel.core.settings import Settings
from remote_kernel.kernel.preparation.preparation import Preparation

pytestmark = pytest.mark.anyio


async def test_a_workspace_that_cannot_be_begun_costs_each_cell_until_it_can(tmp_path: Path) -> None:
    fails = [True]

    async def identify(_hints: object) -> str:
        return str(tmp_path / "a.ipynb")

    def watch(_folder: str) -> None:
        if fails:
            raise RuntimeError("a defect of ours")

    session = SimpleNamespace(
        folders=SimpleNamespace(runtime=tmp_path, data=tmp_path), settings=Settings(workspace="."),
        identify=identify, watch=watch, workspace=None,
    )  # fmt: skip
    preparation = Preparation(cast(Any, session), *(cast(Any, None) for _ in range(4)))
    for _ in range(2):
        with pytest.raises(RuntimeError):
            await preparation.look()
        assert preparation.is_needed
    fails.clear()
    await preparation.look()
    assert preparation.workspace is not None
