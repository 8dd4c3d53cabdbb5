"""Files that arrive together, and go together: nothing outside the data folder, nothing half, nothing that changed."""

import os
import resource
from dataclasses import replace
from pathlib import Path

import pytest

from remote_kernel.core.wire.file_batches import BatchFile, FileVersion, packed_bytes
from remote_kernel.pod.files.data_folder import DataFolder, InvalidPath, NotWritable, WrongKind, version_of
from remote_kernel.pod.files.file_batches import read_files, remove_files, write_files


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (tmp_path / "secret.txt").write_text("outside")
    return folder


def file(path: str, content: bytes = b"new", *, is_executable: bool = False) -> BatchFile:
    return BatchFile(path=path, content=content, modified=1_000_000_000.25, is_executable=is_executable)


def shown(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def version(path: Path) -> str:
    return version_of(path.stat())


def remove(data: Path, *files: FileVersion, folder: str = "") -> tuple[list[str], list[str]]:
    return remove_files(DataFolder(data), folder, files)


def named(data: Path, *paths: str) -> list[FileVersion]:
    return [FileVersion(path=path, version=version(data / path)) for path in paths]


def test_files_are_written_with_their_folders_modes_and_times(data: Path) -> None:
    files = [file("a.txt", b"one"), file("deep/er/run.sh", b"two", is_executable=True), file("deep/é \n.csv", b"")]
    written = write_files(DataFolder(data), "ws", files)
    assert [each.path for each in written] == [each.path for each in files]
    for sent, there in zip(files, written, strict=True):
        path = data / "ws" / sent.path
        assert (path.read_bytes(), path.stat().st_mtime) == (sent.content, sent.modified)
        assert path.stat().st_mode & 0o777 == (0o755 if sent.is_executable else 0o644)
        assert version(path) == there.version
    assert len(shown(data)) == 3 + 3, "nothing is left over"


def test_a_file_that_is_there_is_replaced_and_has_another_version(data: Path) -> None:
    (first,) = write_files(DataFolder(data), "", [file("a", b"one")])
    (second,) = write_files(DataFolder(data), "", [file("a", b"two")])
    (third,) = write_files(DataFolder(data), "", [file("a", b"one")])
    assert (data / "a").read_bytes() == b"one"
    assert len({first.version, second.version, third.version}) == 3, "with the same size and time"


@pytest.mark.parametrize("bad", ["../secret.txt", "/etc/passwd", "a/../../secret.txt", "", ".", "out/x", "a\0"])
def test_one_path_that_leads_out_refuses_all_of_them(data: Path, bad: str) -> None:
    (data / "out").symlink_to(data.parent)
    with pytest.raises(InvalidPath):
        write_files(DataFolder(data), "", [file("good"), file(bad)])
    with pytest.raises(InvalidPath):
        remove(data, FileVersion(path="good", version="v"), FileVersion(path=bad, version="v"))
    assert shown(data) == ["out"]
    assert (data.parent / "secret.txt").read_text() == "outside"


@pytest.mark.parametrize("folder", ["..", "/etc", "out", "a/../.."])
def test_a_folder_that_leads_out_refuses_all_of_them(data: Path, folder: str) -> None:
    (data / "out").symlink_to(data.parent)
    with pytest.raises(InvalidPath):
        write_files(DataFolder(data), folder, [file("good")])
    with pytest.raises(InvalidPath):
        remove(data, FileVersion(path="secret.txt", version="v"), folder=folder)
    assert shown(data) == ["out"]


@pytest.mark.parametrize("paths", [["a", "a/b"], ["a/b", "a"], ["good", "folder"], ["good", "file/x/y"]], ids=str)
def test_what_cannot_be_a_file_refuses_all_of_them(data: Path, paths: list[str]) -> None:
    (data / "folder").mkdir()
    (data / "file").write_text("old")
    with pytest.raises(WrongKind):
        write_files(DataFolder(data), "", [file(path) for path in paths])
    assert shown(data) == ["file", "folder"]


def test_two_names_of_one_file_refuse_all_of_them(data: Path) -> None:
    (data / "folder").mkdir()
    (data / "link").symlink_to("folder")
    with pytest.raises(InvalidPath, match="same file"):
        write_files(DataFolder(data), "", [file("folder/a"), file("link/a")])
    assert shown(data) == ["folder", "link"]


def test_a_disk_that_takes_no_more_leaves_whole_files_only(data: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(NotWritable):
            write_files(DataFolder(data), "", [file("a"), file("b", bytes(2000)), file("c")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert shown(data) == ["a"]


def test_a_read_only_folder_is_not_changed(data: Path) -> None:
    folder = DataFolder(data, is_read_only=True)
    with pytest.raises(NotWritable):
        write_files(folder, "", [file("a")])
    with pytest.raises(NotWritable):
        remove_files(folder, "", [])


def test_files_go_with_the_folders_that_become_empty(data: Path) -> None:
    write_files(DataFolder(data), "", [file("ws/deep/er/a"), file("ws/deep/b"), file("ws/c/d"), file("e")])
    gone = named(data, "ws/deep/er/a", "ws/c/d", "e")
    assert remove(data, *gone) == (["ws/deep/er/a", "ws/c/d", "e"], [])
    assert shown(data) == ["ws", "ws/deep", "ws/deep/b"]
    assert remove(data, *gone) == (["ws/deep/er/a", "ws/c/d", "e"], []), "as when the answer was lost"
    assert remove(data, *named(data, "ws/deep/b")) == (["ws/deep/b"], [])
    assert data.exists()
    assert shown(data) == []


def test_the_folder_that_was_named_stays_when_it_is_empty(data: Path) -> None:
    write_files(DataFolder(data), "ws", [file("deep/a")])
    assert remove(data, *named(data / "ws", "deep/a"), folder="ws") == (["deep/a"], [])
    assert shown(data) == ["ws"]


def test_what_has_changed_or_is_no_file_is_kept(data: Path) -> None:
    write_files(DataFolder(data), "", [file("changed"), file("folder/file")])
    before = named(data, "changed", "folder")
    (data / "changed").write_bytes(b"NEW")
    os.utime(data / "changed", (1_000_000_000.25, 1_000_000_000.25))
    assert remove(data, *before) == ([], ["changed", "folder"])
    assert (data / "changed").read_bytes() == b"NEW"


def test_a_link_goes_and_what_it_leads_to_stays(data: Path) -> None:
    write_files(DataFolder(data), "", [file("file")])
    (data / "link").symlink_to("file")
    (data / "dangling").symlink_to("nowhere")
    wanted = [*named(data, "link"), FileVersion(path="dangling", version="v")]
    assert remove(data, *wanted) == (["link"], ["dangling"])
    assert shown(data) == ["dangling", "file"]


def test_a_folder_that_is_named_goes_only_if_it_is_empty(data: Path) -> None:
    (data / "empty/er").mkdir(parents=True)
    write_files(DataFolder(data), "", [file("full/a")])
    wanted = [FileVersion(path=path, version="") for path in ("empty/er", "full", "full/a", "missing")]
    assert remove(data, *wanted) == (["empty/er", "missing"], ["full", "full/a"])
    assert shown(data) == ["full", "full/a"]


def test_a_file_replaces_only_the_one_that_it_may(data: Path) -> None:
    (data / "a").write_text("theirs")
    may = version(data / "a")
    other = BatchFile(path="a", content=b"new", modified=1.0, version="other")
    none = BatchFile(path="b", content=b"new", modified=1.0, version="")
    assert [each.version for each in write_files(DataFolder(data), "", [other])] == [""]
    assert (data / "a").read_text() == "theirs"
    written = write_files(DataFolder(data), "", [BatchFile(path="a", content=b"new", modified=1.0, version=may), none])
    assert [each.version for each in written] == [version(data / "a"), version(data / "b")]
    again = replace(none, content=b"other")
    assert [each.version for each in write_files(DataFolder(data), "", [again])] == [""], "one is there now"


def test_what_is_written_already_is_written_also_where_it_may_replace_nothing(data: Path) -> None:
    files = [replace(file("a", is_executable=True), version=""), replace(file("b", b""), version="")]
    written = write_files(DataFolder(data), "", files)
    assert write_files(DataFolder(data), "", files) == written, "as when the answer was lost"
    (data / "a").chmod(0o644)
    (data / "b").unlink()
    os.mkfifo(data / "b")
    assert [each.version for each in write_files(DataFolder(data), "", files)] == ["", ""]


# Files that are fetched


def fetch(data: Path, files: list[FileVersion], most: int = 1_000_000) -> list[tuple[str, bytes, str | None]]:
    found = read_files(DataFolder(data), "", files, most)
    return [(each.path, each.content, each.version) for each in found]


def test_files_are_fetched_as_they_are(data: Path) -> None:
    write_files(DataFolder(data), "", [file("a/run.sh", b"one", is_executable=True), file("b", b"")])
    (found, _) = read_files(DataFolder(data), "", named(data, "a/run.sh", "b"), 1_000_000)
    assert (found.content, found.is_executable, found.modified) == (b"one", True, 1_000_000_000.25)
    assert fetch(data, named(data, "b", "a/run.sh"))[0] == ("b", b"", version(data / "b"))


def test_what_is_not_what_was_asked_for_is_not_sent(data: Path) -> None:
    (data / "a").write_text("one")
    asked = [*named(data, "a"), *(FileVersion(path=path, version="v") for path in ("gone", "folder", "pipe"))]
    (data / "folder").mkdir()
    os.mkfifo(data / "pipe")
    (data / "a").write_text("two")
    assert fetch(data, asked) == [(each.path, b"", "") for each in asked]


def test_no_more_is_sent_than_fits(data: Path) -> None:
    for name in "abc":
        (data / name).write_bytes(b"x" * 1000)
    asked = named(data, "a", "b", "c")
    assert [path for path, _, _ in fetch(data, asked, 2 * packed_bytes("a", 1000))] == ["a", "b"]
    assert fetch(data, asked, 100) == [("a", b"", "")], "whoever wants it asks for pieces"


def test_what_is_outside_the_data_folder_is_not_fetched(data: Path) -> None:
    (data / "link").symlink_to("../secret.txt")
    for path in ("link", "../secret.txt", "/etc/passwd"):
        with pytest.raises(InvalidPath):
            fetch(data, [FileVersion(path=path, version="v")])
