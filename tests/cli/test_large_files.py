"""A file of 200 MB, over Azure's limit for one upload, on a terminal and through a line that is cut again and again."""

import hashlib
import os
import re
from pathlib import Path

import pytest

from tests.cli.command import write_notebook
from tests.cli.test_terminal import show_on_terminal
from tests.driver import Pool
from tests.faults.proxy import FaultProxy, Plan

pytestmark = pytest.mark.large

SIZE = 200_000_000
CUTS = 5
PER_CONNECTION = SIZE // 10


def test_200_megabytes_go_up_and_down_through_five_cuts_with_a_bar(pool: Pool, tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "1")
    source, back = tmp_path / "big.bin", tmp_path / "back/big.bin"
    source.write_bytes(os.urandom(SIZE))
    for command in (["upload", notebook, source], ["download", notebook, "big.bin", "--to", back.parent]):
        with FaultProxy.before(pool.endpoint) as proxy:
            proxy.plan = lambda number: (
                Plan(cut_up_after=PER_CONNECTION, cut_down_after=PER_CONNECTION) if number < CUTS else Plan()
            )
            status, text = show_on_terminal(
                *command, REMOTE_KERNEL_ENDPOINT=proxy.endpoint, REMOTE_KERNEL_TOKEN=pool.token
            )
            assert (status, proxy.connections) == (0, CUTS + 1)
        percents = [int(percent) for percent in re.findall(r"(\d+)%", text)]
        assert percents == sorted(percents)
        assert len(set(percents)) > 5
        assert re.search(r"1 file, 200\.0 MB, to .*All checksums agree\.", " ".join(text.split()))
    with source.open("rb") as sent, back.open("rb") as received:
        assert hashlib.file_digest(sent, "sha256").digest() == hashlib.file_digest(received, "sha256").digest()
