"""A watch over folders: what it tells, and where there is none."""

import errno
import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from remote_kernel.io.folder_watch import FolderWatch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell of it")


@pytest.fixture
def watch(tmp_path: Path) -> FolderWatch:
    (tmp_path / "d").mkdir()
    (tmp_path / "a").write_text("one")
    (tmp_path / "d/b").write_text("one")
    watch = begin(tmp_path)
    go_round(watch, "", "d")
    return watch


def begin(root: Path) -> FolderWatch:
    watch = FolderWatch.begin(str(root))
    assert watch is not None
    return watch


def go_round(watch: FolderWatch, *folders: str) -> None:
    watch.begin_round()
    for folder in folders:
        watch.enter(folder)
    watch.end_round()


def told(watch: FolderWatch) -> set[str]:
    assert watch.read()
    paths = watch.notices.paths
    watch.notices.settle()
    return paths


def test_nothing_is_told_where_nothing_happens(watch: FolderWatch, tmp_path: Path) -> None:
    assert {file.name for file in tmp_path.iterdir() if file.stat()} == {"a", "d"}
    assert told(watch) == set()


def test_what_happens_is_told_at_once(watch: FolderWatch, tmp_path: Path) -> None:
    (tmp_path / "d/b").write_text("two")
    assert told(watch) == {"d/b"}
    (tmp_path / "d/b").rename(tmp_path / "c")
    assert told(watch) == {"d/b", "c"}
    (tmp_path / "new").mkdir()
    assert told(watch) >= {"new"}


def test_what_is_open_may_be_different_each_time(watch: FolderWatch, tmp_path: Path) -> None:
    with (tmp_path / "a").open("r+b"):
        assert told(watch) == {"a"}
        assert told(watch) == {"a"}


def test_a_round_is_needed_before_anything_is_known(tmp_path: Path) -> None:
    watch = begin(tmp_path)
    assert not watch.read()
    go_round(watch, "")
    assert watch.read()


def test_a_root_that_is_replaced_or_gone_is_noticed(watch: FolderWatch, tmp_path: Path) -> None:
    away = tmp_path.with_name(f"{tmp_path.name}-away")
    tmp_path.rename(away)
    assert not watch.read()
    tmp_path.mkdir()
    assert not watch.read()
    tmp_path.rmdir()
    away.rename(tmp_path)


def test_a_root_below_a_folder_that_is_replaced_is_another_one(tmp_path: Path) -> None:
    root = tmp_path / "above/work"
    root.mkdir(parents=True)
    watch = begin(root)
    go_round(watch, "")
    (tmp_path / "above").rename(tmp_path / "old")
    root.mkdir(parents=True)
    assert not watch.read()


def test_more_than_the_system_keeps_takes_another_round(watch: FolderWatch, tmp_path: Path) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for number in range(limit + 2):
        os.utime(tmp_path / ("a" if number % 2 else "d/b"), (1, number))
    assert not watch.read()
    go_round(watch, "", "d")
    assert told(watch) == set()


def test_a_folder_that_is_not_there_any_more_is_no_fault(watch: FolderWatch) -> None:
    go_round(watch, "", "gone")
    assert watch.read()


def test_a_file_system_that_is_changed_from_elsewhere_is_not_watched() -> None:
    watch = begin(Path("/proc/self"))
    assert watch.enter("") is None


def test_a_folder_with_two_places_takes_a_round_each_time(watch: FolderWatch, tmp_path: Path) -> None:
    """As one that is moved during a round: its watch has one name."""
    watch.begin_round()
    watch.enter("")
    watch.enter("d")
    (tmp_path / "d").rename(tmp_path / "e")
    watch.enter("e")
    watch.end_round()
    assert not watch.read()


def test_no_program_that_is_started_has_the_descriptors_and_they_go_with_the_watch(tmp_path: Path) -> None:
    gc.collect()  # what earlier tests have left
    before = descriptors()
    watch = FolderWatch.begin(str(tmp_path))
    assert len(descriptors() - before) == 2
    program = "import os; print(*(os.path.realpath(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd')))"
    listed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, close_fds=False
    ).stdout
    assert "inotify" not in listed
    assert "mountinfo" not in listed
    del watch
    gc.collect()
    assert descriptors() == before


def descriptors() -> set[str]:
    return {file.name for file in Path("/proc/self/fd").iterdir() if os.path.lexists(file)}


def test_where_too_many_are_watching_nobody_is_watched_for(tmp_path: Path) -> None:
    """Where the user's descriptors are used up, a watch is not to be had, which is told by `None`."""
    program = (
        "import resource; from remote_kernel.io.folder_watch import FolderWatch; "
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3)); print(FolderWatch.begin('/tmp'))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "None\n", errno.EMFILE
