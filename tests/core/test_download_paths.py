"""Where a download may write: whatever a listing says, below the folder that the user named, or nowhere."""

import ntpath
import posixpath
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_kernel.core.download_paths import (
    MAX_NAME_BYTES,
    PARTIAL_PREFIX,
    Places,
    System,
    Wish,
    find_problem,
    is_git,
    is_hidden,
    names_beside,
    parse_wish,
    shown,
)
from remote_kernel.core.errors import TransferError


def place(word: str, *listed: str, system: System = System.LINUX, is_named: bool | None = None) -> Places:
    """Return what becomes of the files that a pod lists for one of the user's words."""
    wish = parse_wish(word)
    places = Places(system)
    is_named = bool(wish.name) and not wish.is_pattern if is_named is None else is_named
    for path in listed:
        target = f"{wish.name}/{path}" if is_named else path
        places.add(wish, target, f"{wish.source}/{path}", is_named=is_named, is_folder=False, size=1)
    return places


def targets(places: Places) -> list[str]:
    return [item.path for item in places.wanted]


@pytest.mark.parametrize(
    ("word", "parent", "name"),
    [
        ("results", "", "results"),
        ("results/", "", "results"),
        ("./a//b", "a", "b"),
        (".", "", ""),
        ("", "", ""),
        ("/mnt/data", "", ""),
        ("/mnt/data/a/b", "/mnt/data/a", "b"),
        ("/x", "/", "x"),
        ("sub/*.csv", "sub", "*.csv"),
        ("a\\b.csv", "", "a\\b.csv"),
    ],
)
def test_a_word_is_a_folder_and_a_name(word: str, parent: str, name: str) -> None:
    assert parse_wish(word) == Wish(parent, name)


def test_a_path_in_the_session_is_what_was_asked_for() -> None:
    assert [parse_wish(word).source for word in ("a/b/", "/mnt/data/a", "/x", ".")] == ["a/b", "/mnt/data/a", "/x", ""]


@pytest.mark.parametrize(
    "word", ["..", "../x", "a/../../b", "results/..", "a\0b", "a\nb", "\x1b[2J", "\udcff", "x" * 256]
)
def test_a_word_that_means_nothing_here_is_refused(word: str) -> None:
    with pytest.raises(TransferError) as caught:
        parse_wish(word)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("pattern", "name", "is_meant"),
    [
        ("*", "a.csv", True),
        ("*", ".bashrc", False),
        ("*", "\u200c.bashrc", False),
        ("*", "a/b", False),
        ("*", ".ssh/authorized_keys", False),
        ("?bashrc", ".bashrc", False),
        ("[.]bashrc", ".bashrc", False),
        (".b*", ".bashrc", True),
        ("*.csv", "A.CSV", False),
        ("[a-c]*", "b", True),
        ("*", "x" * 256, False),
    ],
)
def test_a_pattern_means_what_it_does_in_a_shell(pattern: str, name: str, is_meant: bool) -> None:
    assert parse_wish(pattern).matches(name) is is_meant


ATTACKS = [
    "../.bashrc", "a/../../.bashrc", "/etc/cron.d/x", "/x", "//x", "", ".", "..", "a//b", "a/", "nul\0", "line\nend",
    "\x1b]0;title\x07", "\x9b2J", "line\u2028end", "half \ud800", "byte \udcff", "x" * 256, "é" * 128,
    "d/" * 2100 + "x", "d/" * 101 + "x", f"{PARTIAL_PREFIX}0123", f"{PARTIAL_PREFIX.upper()}0123", "\u200c..", "\ufeff",
]  # fmt: skip


@pytest.mark.parametrize("word", ["results", "*", "."])
@pytest.mark.parametrize("path", ATTACKS, ids=ascii)
def test_what_no_file_may_be_called_is_refused_alone(word: str, path: str) -> None:
    places = place(word, "before", path, "after")
    assert [target.rpartition("/")[2] for target in targets(places)] == ["before", "after"]
    assert len(places.refused) == 1 or places.hidden


@pytest.mark.parametrize("word", ["*", ".", "sub/*", "/mnt/data"])
@pytest.mark.parametrize(
    "path", [".bashrc", ".ssh/authorized_keys", ".git/hooks/pre-commit", "a/.envrc", "\u200c.bashrc"]
)
def test_a_hidden_file_is_not_fetched_unless_it_was_named(word: str, path: str) -> None:
    places = place(word, path, "seen")
    assert targets(places) == ["seen"]
    assert len(places.hidden) == 1


def test_hidden_files_come_with_a_folder_that_was_named_and_by_their_own_names() -> None:
    assert targets(place("results", ".cache/x", ".env")) == ["results/.cache/x", "results/.env"]
    assert targets(place(".config", "x")) == [".config/x"]
    assert targets(place(".c*", ".config/x", ".cache/.y")) == [".config/x", ".cache/.y"]


@pytest.mark.parametrize("name", [".git", ".GIT", ".g\u200cit", ".git ", "git~1"])
def test_no_program_of_git_comes_with_a_folder(name: str) -> None:
    places = place("repository", f"{name}/hooks/pre-commit", "a/" + name + "/config", "code.py")
    assert targets(places) == ["repository/code.py"]
    assert list(places.hidden) == [f"repository/{name}", f"repository/a/{name}"]
    assert targets(place(".git", "config")) == [".git/config"]


def test_a_backslash_is_part_of_a_name_where_it_does_not_separate() -> None:
    assert targets(place("*", "a\\b.csv")) == ["a\\b.csv"]
    assert place("*", "a\\b.csv", system=System.WINDOWS).refused
    assert targets(place("*", "a:b", system=System.MACOS)) == ["a:b"]


@pytest.mark.parametrize(
    "name",
    ["C:", "C:\\x", "a\\..\\b", "a:stream", "CON", "nul.txt", "com1", "LPT¹.log", "aux .txt", "dot.", "space ", "a<b",
     "a|b", "conin$", "a?", '"'],
)  # fmt: skip
def test_windows_has_names_of_its_own(name: str) -> None:
    assert find_problem(name, System.WINDOWS)
    assert not find_problem(name, System.LINUX)


@pytest.mark.parametrize(
    ("first", "second"), [("a.csv", "A.csv"), ("d/a", "D/b"), ("\u00e9", "e\u0301"), ("Σ", "ς"), ("a\u200c", "a")]
)
@pytest.mark.parametrize("system", System)
def test_names_that_are_one_to_the_system_do_not_replace_each_other(first: str, second: str, system: System) -> None:
    places = place(".", first, second, system=system)
    assert targets(places) == ([first, second] if system is System.LINUX else [first])
    assert len(places.refused) == (system is not System.LINUX)


def test_one_place_is_for_one_file() -> None:
    places = Places(System.LINUX)
    for word in ("a/x.csv", "b/x.csv", "a/x.csv"):
        wish = parse_wish(word)
        places.add(wish, "x.csv", wish.source, is_named=True, is_folder=False, size=1)
    assert [item.source for item in places.wanted] == ["a/x.csv"]
    assert places.refused == {"x.csv": "'a/x.csv' goes to the same place"}


def test_a_file_is_no_folder() -> None:
    places = place(".", "a", "a/b", "c/d", "c")
    assert targets(places) == ["a", "c/d"]
    assert set(places.refused) == {"a/b", "c"}


def test_a_name_beside_another_keeps_its_suffix_and_fits() -> None:
    assert list(islice(names_beside("a.csv"), 2)) == ["a (from the session).csv", "a (from the session 2).csv"]
    assert next(names_beside(".bashrc")) == ".bashrc (from the session)"
    for name in ("é" * 127, "a" * 251 + ".csv", "." * 255, "a." + "b" * 253):
        assert all(len(beside.encode()) <= MAX_NAME_BYTES for beside in islice(names_beside(name), 3))
        assert len(set(islice(names_beside(name), 20))) == 20


def test_a_name_is_shown_without_what_moves_a_terminal_and_not_at_length() -> None:
    assert shown("a\x1b[2J\n\x9b\u202e\udcff é") == "a\\x1b[2J\\n\\x9b\\u202e\\udcff é"
    assert len(shown("x" * 100_000)) < 300


NASTY = [
    "",
    ".",
    "..",
    ".git",
    ".GIT",
    ".bashrc",
    "CON",
    "C:",
    "a\\b",
    "..\\..",
    "a\0",
    "\x1b",
    "A",
    "a",
    "é",
    "e\u0301",
    "*",
]
names = st.one_of(st.sampled_from(NASTY), st.text(st.characters(), max_size=8))
paths = st.one_of(st.lists(names, max_size=4).map("/".join), st.text(alphabet="./\\a:~\0*", max_size=12))


@given(
    words=st.lists(
        st.one_of(st.sampled_from(["results", "*", ".", ".*", "[!a]*", "sub/*", ".git"]), paths), max_size=3
    ),
    listed=st.lists(st.tuples(paths, st.booleans()), max_size=8),
    system=st.sampled_from(System),
    is_folder=st.booleans(),
)
def test_whatever_is_listed_stays_in_the_folder_that_the_user_named(
    words: list[str], listed: list[tuple[str, bool]], system: System, is_folder: bool
) -> None:
    places = Places(system)
    allowed: dict[str, set[str]] = {}
    for word in words:
        try:
            wish = parse_wish(word)
        except TransferError:
            continue
        # The pod decides what it says is there: it may well say that there is something called "*".
        is_named = bool(wish.name) and is_folder and not find_problem(wish.name, system)
        if not is_named and wish.name and not wish.is_pattern:
            continue
        for path, is_listed_folder in listed:
            if not is_named and wish.name and not wish.matches(path):
                continue
            target = f"{wish.name}/{path}" if is_named else path
            if places.add(wish, target, path, is_named=is_named, is_folder=is_listed_folder, size=0):
                allowed.setdefault(target, set()).add(wish.name if is_named or wish.name.startswith(".") else "")
    keys = set()
    for item in places.wanted:
        assert posixpath.normpath(posixpath.join("/to", *item.parts)) == "/to/" + item.path
        if system is System.WINDOWS:
            assert ntpath.normpath(ntpath.join("C:\\to", *item.parts)) == "C:\\to\\" + "\\".join(item.parts)
        (own, *_) = sorted(allowed[item.path], reverse=True)
        pods_own = item.parts[1:] if item.parts[0] == own else item.parts
        assert not any(map(is_git, pods_own))
        assert own or not any(map(is_hidden, pods_own))
        assert not any(character in item.path for character in "\0\n\x1b\x9b")
        keys.add(tuple(map(system.fold, item.parts)))
    assert len(keys) == len(places.wanted)
