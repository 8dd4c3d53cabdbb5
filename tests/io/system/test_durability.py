"""Files that a power cut leaves: what is asked of the system for them."""

import errno
import os
import sys
from pathlib import Path

import pytest

from remote_kernel.io.system.durability import MAX_EACH, flush, flush_files, flush_folder
from tests.unit import IS_WINDOWS


def flushed(folder: Path, monkeypatch: pytest.MonkeyPatch, names: list[str]) -> list[Path]:
    """Return what is flushed one by one, as the system is asked for it: nothing else tells of a flush."""
    real, found = os.fsync, []

    def note(descriptor: int) -> None:
        inode = os.fstat(descriptor).st_ino
        found.append(next(path for path in (folder, *folder.iterdir()) if path.stat().st_ino == inode))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    flush_files(folder, names)
    return found


@pytest.mark.skipif(IS_WINDOWS or sys.platform != "linux", reason="macOS flushes by another call, Windows no folders")
@pytest.mark.parametrize("count", [0, 2, MAX_EACH, MAX_EACH + 1])
def test_many_files_are_flushed_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    names = [f"{number}" for number in range(count)]
    for name in names:
        (tmp_path / name).write_text(name)
    each = [tmp_path / name for name in names] if count <= MAX_EACH else []
    assert flushed(tmp_path, monkeypatch, names) == [*each, tmp_path]


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        flush_files(tmp_path, ["gone"])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes in folders")
def test_what_cannot_be_flushed_is_no_error(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    try:
        with pytest.raises(OSError, match=os.strerror(errno.EINVAL)):
            os.fsync(writer)
        flush(writer)
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.skipif(sys.platform == "win32" or not os.geteuid(), reason="a folder that its user cannot read")
def test_a_folder_that_cannot_be_read_is_no_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o300)
    flush_folder(tmp_path)
    tmp_path.chmod(0o700)
