"""The kernels that `remote-kernel run` is tested with."""

import pytest

from tests.driver import Pool


@pytest.fixture
def remote_kernel(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of our kernel, which finds the file's pool."""
    monkeypatch.setenv("REMOTE_KERNEL_ENDPOINT", pool.endpoint)
    monkeypatch.setenv("REMOTE_KERNEL_TOKEN", pool.token)
    return "remote"
