"""What a pod writes of its calls, and what is read of it."""

import contextlib
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from remote_kernel.io.activity import Activity, ActivityReader, ActivityWriter

pytestmark = pytest.mark.unix


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """Let no file grow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_the_last_call_and_their_number_are_read(tmp_path: Path) -> None:
    with closing(ActivityReader(tmp_path / "file")) as reader, closing(ActivityWriter(tmp_path / "file")) as writer:
        assert reader.read() == Activity(called_at=0.0, calls=0)
        writer.note(1.5)
        writer.note(2.25)
        assert reader.read() == Activity(called_at=2.25, calls=2)


def test_who_cannot_write_leaves_no_old_time(tmp_path: Path) -> None:
    with closing(ActivityReader(tmp_path / "file")) as reader, closing(ActivityWriter(tmp_path / "file")) as writer:
        writer.note(1.5)
        with full_disk():
            writer.note(2.5)
        assert reader.read() is None
        writer.note(3.5)
        assert reader.read() == Activity(called_at=3.5, calls=3)


def test_a_pool_without_room_for_it_says_so(tmp_path: Path) -> None:
    with full_disk(), pytest.raises(OSError, match="File too large"):
        ActivityReader(tmp_path / "file")


def test_what_others_do_to_the_file_hides_nothing(tmp_path: Path) -> None:
    with closing(ActivityReader(tmp_path / "file")) as reader, closing(ActivityWriter(tmp_path / "file")) as writer:
        (tmp_path / "file").unlink()
        os.mkfifo(tmp_path / "file")
        writer.note(1.5)
        assert reader.read() == Activity(called_at=1.5, calls=1)
