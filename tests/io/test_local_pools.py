"""Runtime files of local pools, as whoever looks for a pool reads them."""

import os
from pathlib import Path

import pytest

from remote_kernel.core.pools.local_pool import RUNTIME_FILE, RunningPool
from remote_kernel.io.local_pools import read_pool

POOL = RunningPool(endpoint="http://127.0.0.1:8000", token="t", pid=7, python="/v/bin/python", version="1.0")


def test_pool_is_read_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / RUNTIME_FILE).write_text(POOL.to_json())
    assert read_pool(tmp_path) == POOL


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", POOL.to_json()[:-1].encode(), b"[" * 100_000, POOL.to_json().encode() + b" " * 100_000],
    ids=["empty", "no text", "cut", "deep", "long"],
)
def test_file_that_is_none_of_ours_names_no_pool(tmp_path: Path, content: bytes) -> None:
    (tmp_path / RUNTIME_FILE).write_bytes(content)
    assert read_pool(tmp_path) is None


@pytest.mark.unix
def test_nobody_waits_for_a_pipe_in_the_place_of_the_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / RUNTIME_FILE)
    assert read_pool(tmp_path) is None
