"""Looks through a folder: what counts as a change, and what is passed over."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remote_kernel.pod.files.looks import Look, LookLimits, look


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "ws"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("one")
    (folder / "sub/b.csv").write_text("1,2")
    return folder


def changes(found: Look) -> tuple[list[str], list[str]]:
    assert found.is_compared
    return [file.path for file in found.changed], found.removed


def test_a_first_look_finds_no_change(folder: Path) -> None:
    first = look(folder)
    assert (first.changed, first.removed, first.is_compared, first.is_whole) == ([], [], False, True)
    assert sorted(first.versions) == ["a.txt", "sub/b.csv"]
    assert changes(look(folder, first)) == ([], [])


def test_what_is_new_has_changed_or_is_gone_is_named_once(folder: Path) -> None:
    first = look(folder)
    (folder / "a.txt").write_text("two")
    (folder / "sub/b.csv").unlink()
    (folder / "new").mkdir()
    (folder / "new/c é\n").write_text("")
    second = look(folder, first)
    assert changes(second) == (["a.txt", "new/c é\n"], ["sub/b.csv"])
    a, _ = second.changed
    assert (a.size, a.modified) == (3, (folder / "a.txt").stat().st_mtime)
    assert a.version == second.versions["a.txt"]
    assert changes(look(folder, second)) == ([], [])


def test_a_change_with_the_same_size_and_time_is_one(folder: Path) -> None:
    first = look(folder)
    status = (folder / "a.txt").stat()
    (folder / "a.txt").write_text("two")
    os.utime(folder / "a.txt", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert changes(look(folder, first)) == (["a.txt"], [])


def test_a_folder_that_goes_takes_its_files_with_it_and_may_come_back(folder: Path) -> None:
    first = look(folder)
    folder.rename(folder.with_name("elsewhere"))
    gone = look(folder, first)
    assert changes(gone) == ([], ["a.txt", "sub/b.csv"])
    folder.with_name("elsewhere").rename(folder)
    assert changes(look(folder, gone)) == (["a.txt", "sub/b.csv"], [])


def test_a_file_in_the_folder_s_place_is_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "ws").touch()
    found = look(tmp_path / "ws")
    assert (found.versions, found.is_whole) == ({}, True)


def test_hidden_names_caches_and_what_is_no_file_are_passed_over(folder: Path) -> None:
    first = look(folder)
    for name in (".git/config", "__pycache__/a.pyc", "sub/node_modules/x/y.js", ".hidden", ".upload-123"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    os.mkfifo(folder / "pipe")
    (folder / os.fsdecode(b"caf\xe9")).touch()
    assert changes(look(folder, first)) == ([], [])


def test_links_count_where_they_stay_in_the_folder(folder: Path) -> None:
    first = look(folder)
    (folder.parent / "secret").write_text("outside")
    (folder / "latest").symlink_to("sub/b.csv")
    (folder / "outside").symlink_to("../secret")
    (folder / "absolute").symlink_to("/etc/passwd")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "circle").symlink_to("circle")
    (folder / "round").symlink_to(".")
    second = look(folder, first)
    assert changes(second) == (["latest"], [])


@pytest.mark.parametrize("limits", [LookLimits(entries=2), LookLimits(depth=0), LookLimits(seconds=-1.0)])
def test_what_was_not_seen_as_a_whole_names_no_change(folder: Path, limits: LookLimits) -> None:
    whole = look(folder)
    part = look(folder, whole, limits)
    assert (part.is_whole, part.is_compared) == (False, False)
    after = look(folder, part)
    assert (after.is_whole, after.is_compared) == (True, False)
    assert changes(look(folder, after)) == ([], [])


def test_as_many_entries_as_may_be_are_seen_as_a_whole(folder: Path) -> None:
    assert look(folder, limits=LookLimits(entries=3, depth=1)).is_whole


def test_a_deep_tree_ends(tmp_path: Path) -> None:
    path = tmp_path
    for _ in range(150):
        path /= "d"
        path.mkdir()
    (path / "deepest").touch()
    found = look(tmp_path)
    assert (found.is_whole, found.versions) == (False, {})


def test_no_more_than_so_many_entries_are_seen_whatever_the_tree_is_made_of(tmp_path: Path) -> None:
    assert LookLimits().entries == 100_000
    for number in range(10):
        (tmp_path / f"{number}").mkdir()
        for name in range(30):
            (tmp_path / f"{number}/{name}").touch()
    found = look(tmp_path, limits=LookLimits(entries=200))
    assert not found.is_whole
    assert 0 < len(found.versions) < 200


NAMES = st.sampled_from(["a", "b", "sub/a", "sub/deep/a", "é", ".hidden"])
STEPS = st.lists(st.tuples(NAMES, st.sampled_from(["write", "remove", "touch"])), max_size=8)


@settings(max_examples=30, deadline=None)
@given(first=STEPS, second=STEPS)
def test_changes_lead_from_one_look_to_the_next(
    tmp_path_factory: pytest.TempPathFactory, first: list[tuple[str, str]], second: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("ws")
    for steps in (first, second):
        before = look(folder)
        for name, what in steps:
            do(folder / name, what)
        found = look(folder, before)
        names, removed = changes(found)
        known = {path: version for path, version in before.versions.items() if path not in removed}
        assert known | {file.path: file.version for file in found.changed} == found.versions
        assert names == sorted(names)


def do(path: Path, what: str) -> None:
    if what == "remove":
        path.unlink(missing_ok=True)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(what) if what == "write" else path.touch()
