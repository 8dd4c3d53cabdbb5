"""No path leads out of a pod's data folder."""

import hashlib
import os
import socket
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_kernel.io.file_pieces import digest, read_piece
from remote_kernel.pod.files.data_folder import DataFolder, FileMissing, InvalidPath, WrongKind, parse_path

# What paths are made of when somebody means harm, among ordinary text.
PIECES = st.sampled_from(
    ["..", ".", "/", "//", "\\", "\0", "%2e%2e", "mnt/data", "/mnt/data", "~", "a", "é", "\udcff", "\ud800", "…"]
)
PATHS = st.one_of(st.text(), st.lists(PIECES | st.text(max_size=3), max_size=12).map("".join))


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    (tmp_path / "secret.txt").write_text("outside")
    (tmp_path / "data" / "sub").mkdir(parents=True)
    (tmp_path / "data" / "a.txt").write_text("inside")
    (tmp_path / "data" / "sub" / "b.csv").write_text("1,2")
    return DataFolder(tmp_path / "data")


async def pieces(*data: bytes) -> AsyncIterator[bytes]:
    for piece in data:
        yield piece


@given(PATHS)
def test_parsed_path_never_climbs(text: str) -> None:
    try:
        path = parse_path(text)
    except InvalidPath:
        return
    assert not path.is_absolute()
    assert ".." not in path.parts
    assert "\0" not in str(path)
    assert os.path.normpath(f"/data/{path}") == "/data" or os.path.normpath(f"/data/{path}").startswith("/data/")


@given(PATHS)
def test_parsing_what_was_parsed_changes_nothing(text: str) -> None:
    try:
        path = parse_path(text)
    except InvalidPath:
        return
    assert parse_path(str(path)) == path
    assert parse_path(f"/mnt/data/{path}") == path


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("a.txt", "a.txt"), ("sub/b.csv", "sub/b.csv"), ("", "."), (".", "."), ("/mnt/data", "."), ("/mnt/data/", "."),
        ("/mnt/data/sub//./b.csv", "sub/b.csv"), ("%2e%2e", "%2e%2e"), ("..a", "..a"), ("a\\..\\b", "a\\..\\b"),
        ("mnt/data/a", "mnt/data/a"), ("x" * 255, "x" * 255),
    ],
)  # fmt: skip
def test_path_means_a_place_below_the_folder(text: str, parsed: str) -> None:
    assert str(parse_path(text)) == parsed


@pytest.mark.parametrize(
    "text",
    ["..", "../x", "a/..", "sub/../../x", "/etc/passwd", "/mnt/data/../x", "/mnt/database", "//mnt/data/x", "/", "a\0b",
     "\ud800", "x" * 256, "x/" * 2049],
)  # fmt: skip
def test_path_that_leads_elsewhere_is_refused(folder: DataFolder, text: str) -> None:
    with pytest.raises(InvalidPath):
        parse_path(text)
    with pytest.raises(InvalidPath):
        folder.resolve(text)


def test_folders_own_path_is_accepted(folder: DataFolder) -> None:
    assert folder.resolve(f"{folder.root}/a.txt") == folder.root / "a.txt"
    with pytest.raises(InvalidPath):
        folder.resolve(str(folder.root.parent))


def test_link_that_leads_out_is_refused_and_not_listed(folder: DataFolder) -> None:
    (folder.root / "out").symlink_to("../secret.txt")
    (folder.root / "up").symlink_to("..")
    (folder.root / "nowhere").symlink_to("missing")
    (folder.root / "circle").symlink_to("circle")
    for path in ("out", "up", "up/secret.txt", "circle", "circle/x"):
        with pytest.raises((InvalidPath, FileMissing)):
            folder.describe(path)
        with pytest.raises((InvalidPath, FileMissing)):
            folder.file(path)
    assert [entry.name for entry in folder.entries(recursive=True)] == ["a.txt", "sub", "b.csv"]


@pytest.mark.anyio
async def test_nothing_is_written_through_a_link_that_leads_out(folder: DataFolder) -> None:
    (folder.root / "out").symlink_to("../secret.txt")
    (folder.root / "up").symlink_to("..")
    for path in ("out", "up/secret.txt", "up/new.txt"):
        with pytest.raises(InvalidPath):
            await folder.write(path, pieces(b"x"))
    assert (folder.root.parent / "secret.txt").read_text() == "outside"
    assert not (folder.root.parent / "new.txt").exists()


def test_removing_a_link_leaves_what_it_leads_to(folder: DataFolder) -> None:
    (folder.root / "out").symlink_to("../secret.txt")
    (folder.root / "up").symlink_to("..")
    folder.remove("out")
    with pytest.raises(InvalidPath):
        folder.remove("up/secret.txt")
    folder.remove("up")
    assert sorted(path.name for path in folder.root.iterdir()) == ["a.txt", "sub"]
    assert (folder.root.parent / "secret.txt").read_text() == "outside"


def test_link_inside_the_folder_works(folder: DataFolder) -> None:
    (folder.root / "link.txt").symlink_to("a.txt")
    assert folder.file("link.txt").read_text() == "inside"
    assert folder.describe("link.txt").size == 6


def test_entries_say_where_they_are(folder: DataFolder) -> None:
    listed = [(entry.name, entry.directory, entry.is_directory, entry.size) for entry in folder.entries(recursive=True)]
    assert [entry for entry in listed if not entry[2]] == [("a.txt", "", False, 6), ("b.csv", "sub", False, 3)]
    assert [entry.name for entry in folder.entries()] == ["a.txt", "sub"]
    assert [(entry.name, entry.directory) for entry in folder.entries("sub")] == [("b.csv", "")]
    assert folder.describe("sub/b.csv").directory == "sub"
    assert folder.describe("sub/b.csv").content_type == "text/csv"


def test_what_is_missing_or_of_the_wrong_kind_is_said(folder: DataFolder) -> None:
    with pytest.raises(FileMissing):
        folder.describe("none")
    with pytest.raises(FileMissing):
        folder.remove("none")
    with pytest.raises(WrongKind):
        folder.file("sub")
    with pytest.raises(WrongKind):
        folder.entries("a.txt")
    with pytest.raises(InvalidPath):
        folder.remove("/mnt/data")


@pytest.mark.anyio
async def test_file_is_written_whole_or_not_at_all(folder: DataFolder) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await folder.write("a.txt", broken())
    assert (folder.root / "a.txt").read_text() == "inside"
    entry = await folder.write("new/deep/c.bin", pieces(b"12", b"34"))
    assert (entry.name, entry.directory, entry.size) == ("c.bin", "new/deep", 4)
    with pytest.raises(WrongKind):
        await folder.write("sub", pieces(b""))
    with pytest.raises(WrongKind):
        await folder.write("a.txt/x", pieces(b""))
    assert [entry.name for entry in folder.entries()] == ["a.txt", "new", "sub"]


def test_name_that_is_no_utf8_can_be_listed(folder: DataFolder) -> None:
    (folder.root / os.fsdecode(b"x\xff")).write_text("")
    assert [entry.name for entry in folder.entries()][-1] == "x\ufffd"
    assert folder.file("x\udcff").exists()


def test_a_pipe_is_no_file_and_nobody_waits_for_it(folder: DataFolder) -> None:
    pipe = folder.root / "pipe"
    os.mkfifo(pipe)
    (folder.root / "link").symlink_to("pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder.root / "socket"))
        assert [entry.name for entry in folder.entries(recursive=True)] == ["a.txt", "sub", "b.csv"]
    with pytest.raises(FileMissing):
        folder.describe("pipe")
    for read in (lambda: digest(pipe), lambda: read_piece(pipe, 0, 10)):
        with pytest.raises(OSError, match="no ordinary file"):
            read()
    assert digest(folder.root / "a.txt") == hashlib.sha256(b"inside").hexdigest()
    assert read_piece(folder.root / "a.txt", 2, 3) == b"sid"


@pytest.mark.parametrize(("seconds", "year"), [(3e11, 3000), (-1e9, 1970)])
def test_a_time_that_no_calendar_has_costs_no_listing(tmp_path: Path, seconds: float, year: int) -> None:
    memory = Path("/dev/shm")  # a file system of Linux that takes any time
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as name:
        file = Path(name, "odd")
        file.write_text("")
        os.utime(file, (seconds, seconds))
        if file.stat().st_mtime != seconds:
            pytest.skip("this file system has no such times")
        (entry,) = DataFolder(Path(name)).entries()
    assert entry.modified.year == year
