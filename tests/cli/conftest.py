"""The kernels that `remote-kernel run` is tested with, and a notebook for the other commands."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import write_notebook
from tests.driver import Pool, run_in_pod


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    """A pool for the tests of one file; most never take a session, so no pod waits for one."""
    with Pool.start() as running:
        yield running


@pytest.fixture(scope="module")
def session(pool: Pool) -> str:
    """A session that stays for all the tests of a file, since a pod takes seconds to start."""
    identifier = "session-of-the-file"
    with pool.client() as client:
        run_in_pod(client, "1", identifier=identifier)  # a kernel that nobody shuts down keeps the pod
    return identifier


@pytest.fixture
def remote_kernel(pool: Pool, session: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of our kernel, which finds the file's session; each run has an interpreter of its own in it."""
    monkeypatch.setenv("REMOTE_KERNEL_ENDPOINT", pool.endpoint)
    monkeypatch.setenv("REMOTE_KERNEL_TOKEN", pool.token)
    monkeypatch.setenv("REMOTE_KERNEL_IDENTIFIER", session)
    return "remote"


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
