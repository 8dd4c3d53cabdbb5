r"""Words of a `%session` line on Unix, where a backslash escapes, and on Windows, where it is part of a path."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_kernel.core.errors import UsageError
from remote_kernel.kernel.magics.command import Command
from remote_kernel.kernel.magics.command_line import IS_WINDOWS, quoted, scan, split
from remote_kernel.kernel.magics.completion import match_local, match_paths
from remote_kernel.kernel.magics.session_command import parse_install, parse_sync, parse_transfer


@pytest.mark.parametrize(
    ("line", "on_unix", "on_windows"),
    [
        (r"C:\data\x.csv --to out\day1", ["C:datax.csv", "--to", "outday1"], [r"C:\data\x.csv", "--to", r"out\day1"]),
        (r'"my data\new\x.csv" b', [r"my data\new\x.csv", "b"], [r"my data\new\x.csv", "b"]),
        (r"'my data\x.csv' b", [r"my data\x.csv", "b"], [r"my data\x.csv", "b"]),
        (r"my\ data b", ["my data", "b"], ["my\\", "data", "b"]),
        (r"\\host\share\x", [r"\hostsharex"], [r"\\host\share\x"]),
        ("a#b # c", ["a#b", "#", "c"], ["a#b", "#", "c"]),
        ("", [], []),
    ],
)
def test_a_backslash_escapes_but_on_windows(line: str, on_unix: list[str], on_windows: list[str]) -> None:
    assert split(line, is_windows=False) == on_unix
    assert split(line, is_windows=True) == on_windows
    for is_windows, words in ((False, on_unix), (True, on_windows)):
        assert list(scan(f"{line} ", is_windows=is_windows).words) == words


def test_a_folder_in_marks_may_end_with_a_backslash_on_windows() -> None:
    assert split('"my data\\" b', is_windows=True) == ["my data\\", "b"]
    with pytest.raises(ValueError, match="No closing quotation"):
        split('"my data\\" b', is_windows=False)


def test_lines_are_read_as_this_system_writes_paths() -> None:
    transfer = parse_transfer(Command("upload", r"C:\data\x.csv --to out"))
    install = parse_install(Command("install", r"-r C:\work\r.txt"))
    sync = parse_sync(Command("sync", r"on ..\work"))
    if IS_WINDOWS:
        assert (transfer.paths, install.files, sync.folder) == ([r"C:\data\x.csv"], [r"C:\work\r.txt"], r"..\work")
    else:
        assert (transfer.paths, install.files, sync.folder) == (["C:datax.csv"], ["C:workr.txt"], "..work")
    with pytest.raises(UsageError, match="has no partner"):
        parse_transfer(Command("upload", "'my data"))


@pytest.mark.parametrize("is_windows", [False, True])
@given(
    word=st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1), quote=st.sampled_from("'\"")
)
def test_what_is_completed_is_read_as_the_same_word(word: str, quote: str, is_windows: bool) -> None:
    for begun in ("", quote):
        typed = quoted(word, begun, is_complete=True, is_windows=is_windows)
        assert split(typed, is_windows=is_windows) == [word]
        assert scan(f"{typed} ", is_windows=is_windows).words == (word,)
        open_word = quoted(f"{word}/", begun, is_complete=False, is_windows=is_windows)
        assert scan(open_word, is_windows=is_windows).word == f"{word}/"


@pytest.mark.parametrize(
    ("typed", "matches"),
    [
        ("sub\\o", ["sub\\one", "sub\\other\\"]),
        ("sub/o", ["sub/one", "sub/other/"]),
        ('"sub\\o', ['"sub\\one"', '"sub\\other\\']),
        ("sub\\it", ['"sub\\it is"']),
        ("C:\\sub/deep\\o", ["C:\\sub/deep\\one", "C:\\sub/deep\\other\\"]),
    ],
)
def test_paths_of_windows_are_completed_with_the_separator_that_was_typed(typed: str, matches: list[str]) -> None:
    names = [("it is", False), ("one", False), ("other", True)]
    line = scan(typed, is_windows=True)
    assert match_paths(line, names, folders_only=False, separators="/\\", is_windows=True) == matches


def test_folders_of_this_machine_are_looked_through(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "my data.csv").touch()
    line = scan(f"{tmp_path.as_posix()}/sub/m", is_windows=True)
    assert match_local(line, folders_only=False, is_windows=True) == [f'"{tmp_path.as_posix()}/sub/my data.csv"']
    assert match_local(line, folders_only=True, is_windows=True) == []


def test_a_backslash_is_part_of_a_name_in_the_session() -> None:
    line = scan("sub\\o", is_windows=True)
    assert match_paths(line, [("sub\\one", False), ("sub", True)], folders_only=False, is_windows=True) == ["sub\\one"]
