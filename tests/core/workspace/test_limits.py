"""Limits of a workspace, and the one sentence about each."""

import pytest

from remote_kernel.core.errors import TransferError
from remote_kernel.core.workspace.limits import WorkspaceLimits

LIMITS = WorkspaceLimits(max_files=10, max_bytes=3_000_000, max_file_bytes=2_000_000)


def test_what_is_within_the_limits_passes() -> None:
    LIMITS.check("/home/me", 3_000_000, 2_000_000, "a.bin")


@pytest.mark.parametrize(
    ("total", "largest", "said"),
    [
        (2_000_001, 2_000_001, "'a.bin' has 2.0 MB, and a file may have 2.0 MB"),
        (3_500_000, 1_000_000, "its files have 3.5 MB, and 3.0 MB may travel"),
    ],
)
def test_what_is_beyond_them_is_told_with_how_to_go_on(total: int, largest: int, said: str) -> None:
    with pytest.raises(TransferError) as error:
        LIMITS.check("/home/me", total, largest, "a.bin")
    assert said in str(error.value)
    assert str(error.value).startswith("Nothing of '/home/me' was sent to the session")
    assert ".remoteignore" in str(error.value)


def test_too_many_files_are_told() -> None:
    assert "more than 10 files" in str(LIMITS.too_many("/home/me"))
    assert "more than 100 files and folders" in str(LIMITS.too_many_entries("/home/me"))
