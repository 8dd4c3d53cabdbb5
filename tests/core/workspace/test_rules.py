"""Rules of what travels: examples, and whatever Hypothesis finds against git itself."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remote_kernel.core.workspace.rules import RULE_FILES, FolderRules, is_environment, is_never_sent


def travels(rules: FolderRules, path: str, *, is_folder: bool = False) -> bool:
    """Return whether a path travels, with no rules in the folders on its way."""
    *folders, name = path.split("/")
    for folder in folders:
        if not rules.travels(folder, is_folder=True):
            return False
        rules = rules.below(folder)
    return rules.travels(name, is_folder=is_folder)


@pytest.mark.parametrize(
    ("rules", "path", "is_sent"),
    [
        ("", "data.csv", True),
        ("*.csv", "data.csv", False),
        ("*.csv", "deep/er/data.csv", False),
        ("/data.csv", "deep/data.csv", True),
        ("*.csv\n!data.csv", "data.csv", True),
        ("!data.csv\n*.csv", "data.csv", False),
        ("out/", "out/result.csv", False),
        ("out/\n!out/result.csv", "out/result.csv", False),
        ("out/*\n!out/result.csv", "out/result.csv", True),
        ("out/", "out", True),
        ("a/**/", "a/file", True),
        ("a/**/", "a/b/file", False),
        ("# a remark\n\n*.csv\r\n", "data.csv", False),
        ("\ufeff*.csv", "data.csv", False),
        ("[z-a].csv", "b.csv", True),
        ("data/**\n!data/keep.csv", "data/keep.csv", True),
        ("data/**\n!data/keep.csv", "data/other.csv", False),
        ("", ".env", False),
        ("", ".config/settings.toml", False),
        ("!.config", ".config/settings.toml", True),
        ("!.config", ".config/.secret", False),
        ("!.config/\n!.config/.secret", ".config/.secret", True),
        (".env*\n!.env.example", ".env.example", True),
        ("!*", ".env", False),
        ("*\n!*/\n!*.py", ".venv/a.py", False),
        ("*\n!*/\n!*.py", "sub/a.py", True),
        ("*\n!*/\n!*.py", "sub/a.csv", False),
        ("!.git\n!.git/config", ".git/config", False),
        ("!.GIT", ".GIT/config", False),
        ("!__pycache__", "a/__pycache__/b.pyc", False),
        ("!.ipynb_checkpoints", ".ipynb_checkpoints/a.ipynb", False),
        ("!.download-*", ".download-0123", False),
    ],
)
def test_rules_decide_about_a_path(rules: str, path: str, is_sent: bool) -> None:
    assert travels(FolderRules([rules]), path) == is_sent


def test_the_nearest_rules_count_and_those_for_the_session_after_those_of_git() -> None:
    root = FolderRules(["*.csv\nout"])
    assert not root.travels("a.csv", is_folder=False)
    near = root.below("near", ["", "!a.csv"])
    assert near.travels("a.csv", is_folder=False)
    assert not near.travels("b.csv", is_folder=False)
    assert near.below("er").travels("a.csv", is_folder=False)
    assert not near.travels("out", is_folder=True)
    assert FolderRules(["!*.csv", "*.csv"]).travels("a.csv", is_folder=False) is False


def test_a_rule_that_names_a_folder_says_nothing_of_what_is_in_it() -> None:
    near = FolderRules(["*.csv"]).below("near", ["!data"])
    assert near.travels("data", is_folder=True)
    assert not near.below("data").travels("a.csv", is_folder=False)


def test_environments_are_known_by_what_is_in_them() -> None:
    assert is_environment(["bin", "pyvenv.cfg"])
    assert is_environment(["conda-meta"])
    assert not is_environment(["environment.yml"])
    assert is_never_sent("node_modules")
    assert not is_never_sent("modules")


@pytest.fixture(scope="module")
def repository() -> Iterator[Path]:
    if shutil.which("git") is None:
        pytest.skip("there is no git to compare with")
    folder = Path(tempfile.mkdtemp(prefix="rk-"))
    subprocess.run(["git", "init", "-q", str(folder)], check=True, capture_output=True)
    yield folder
    shutil.rmtree(folder)


NAMES = st.sampled_from(["a", "b", "ab", "a.b", "b.a", "a b", "build"])
GLOBS = st.sampled_from(["*", "**", "?", "a*", "*b", "*.b", "[ab]", "[!a]", "a?", "\\a", "bu*d"])
LINES = st.builds(
    lambda negation, start, parts, end: negation + start + "/".join(parts) + end,
    st.sampled_from(["", "", "!"]),
    st.sampled_from(["", "", "/"]),
    st.lists(st.one_of(NAMES, GLOBS), min_size=1, max_size=3),
    st.sampled_from(["", "", "/", " ", "/**", "/*", "/**/"]),
)
TEXTS = st.lists(LINES, max_size=4).map("\n".join)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


def seen_by_git(repository: Path) -> set[str]:
    listing = ["git", "-c", "core.excludesFile=/dev/null", "-c", "core.quotePath=false"]
    command = [*listing, "ls-files", "-z", "--others", "--exclude-standard"]
    found = subprocess.run(command, cwd=repository, check=True, capture_output=True).stdout
    return {path for path in found.decode().split("\0") if path and path.rpartition("/")[2] not in RULE_FILES}


def seen_by_us(folder: Path, rules: FolderRules, prefix: str = "") -> Iterator[str]:
    for child in sorted(folder.iterdir()):
        if child.name == ".git" or not rules.travels(child.name, is_folder=child.is_dir()):
            continue
        if child.is_dir():
            file = child / ".gitignore"
            texts = [file.read_text()] if file.exists() else []
            yield from seen_by_us(child, rules.below(child.name, texts), f"{prefix}{child.name}/")
        else:
            yield prefix + child.name


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_what_travels_is_what_git_would_see(repository: Path, data: st.DataObject) -> None:
    for child in repository.iterdir():
        if child.name != ".git":
            shutil.rmtree(child) if child.is_dir() else child.unlink()
    for path in data.draw(st.lists(PATHS, min_size=1, max_size=8)):
        file = repository / path
        if file.is_dir() or any(parent.is_file() for parent in file.parents):
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
    root = data.draw(TEXTS)
    (repository / ".gitignore").write_text(root)
    below = sorted(path for path in repository.rglob("*") if path.is_dir() and ".git" not in path.parts)
    near = data.draw(st.sampled_from([repository, *below]))
    if near != repository:
        (near / ".gitignore").write_text(data.draw(TEXTS))
    assert set(seen_by_us(repository, FolderRules([root]))) == seen_by_git(repository)
