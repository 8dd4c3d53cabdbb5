"""Warm as long as wanted where pods are built-in interpreters, which see nothing but executions."""

import time

import pytest

from tests.driver import Notebook, Pool, wait_until

pytestmark = pytest.mark.contract


@pytest.mark.parametrize("sandbox", ["none", "strict"])
def test_a_notebook_that_is_open_is_kept_for_the_time_that_was_asked_for(sandbox: str) -> None:
    """With an agent brought along, and without one."""
    with Pool.start("--flavor", "interpreter", "--sandbox", sandbox, "--cooldown", "2") as pool:
        settings = {"REMOTE_KERNEL_ENDPOINT": pool.endpoint, "REMOTE_KERNEL_TOKEN": pool.token}
        notebook = Notebook.start(environ={**settings, "REMOTE_KERNEL_KEEPALIVE_MINUTES": "0.1"})
        try:
            notebook.run("pass")
            ended = time.monotonic()
            wait_until(lambda: not pool.sessions())
            assert time.monotonic() - ended > 6.0
        finally:
            notebook.close()
