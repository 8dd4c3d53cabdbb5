"""Rules of a workspace: the files that travel, decided by their names alone.

`.gitignore` and `.remoteignore` hold in the folder that they are in and in all below it, as git reads them: of the
rules that match a file or folder, the last one of the nearest folder counts, and nothing is looked for in a folder that
is ignored (gitignore(5)). In one folder, `.remoteignore` counts as if it stood at the end of `.gitignore`. Beyond git's
rules, what is hidden travels only where a rule names it (`!.config`), and caches, environments and git's own never do.
"""

import re
from collections.abc import Container, Iterable
from dataclasses import dataclass

from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from remote_kernel.core.download_paths import PARTIAL_PREFIX, is_git, is_hidden

# In the order in which they count.
RULE_FILES = (".gitignore", ".remoteignore")

# What is larger is no list of rules.
MAX_RULE_FILE_BYTES = 1_000_000

_NEVER = frozenset(
    {
        ".hg", ".svn", "__pycache__", "__pypackages__", "node_modules", ".ipynb_checkpoints", ".mypy_cache",
        ".pytest_cache", ".ruff_cache", ".hypothesis", ".tox", ".nox", ".eggs", ".cache", ".DS_Store", "Thumbs.db",
    }
)  # fmt: skip

# What is in a folder that is an environment.
ENVIRONMENT_MARKS = frozenset({"pyvenv.cfg", "conda-meta"})

# Files that are not complete, here and in a pod.
_PARTIAL_PREFIXES = (PARTIAL_PREFIX, ".upload-")


def is_never_sent(name: str) -> bool:
    """Return whether no rule can make a file or folder of this name travel."""
    return name in _NEVER or is_git(name) or name.startswith(_PARTIAL_PREFIXES)


def is_environment(names: Container[str]) -> bool:
    """Return whether a folder with these names in it is an environment of Python's or conda's."""
    return any(mark in names for mark in ENVIRONMENT_MARKS)


@dataclass(frozen=True, slots=True)
class _Rule:
    regex: re.Pattern[str]
    is_ignored: bool
    names_hidden: bool
    is_of_folders: bool

    def matches(self, path: str, *, is_folder: bool) -> bool:
        """Return whether a path is meant itself, and not as something in a folder that is meant.

        The library looks for its expressions in paths of files, and of folders with "/" at their end. Those that mean a
        folder with all in it have one group, which matches the "/" at the end of the folder.
        """
        if self.is_of_folders:
            return is_folder and self.regex.search(path) is not None
        ends = {
            match.end(1) if match.lastindex else None for match in self.regex.finditer(f"{path}/" * is_folder or path)
        }
        if None in ends:  # an expression for what is in a folder, which does not mean the folder
            return not is_folder or self.regex.search(path) is not None
        return is_folder and len(path) + 1 in ends


def _parse_rule(line: str) -> _Rule | None:
    """Read a line; git passes over those that make no sense."""
    try:
        pattern = GitIgnoreSpecPattern(line)
    except (ValueError, re.error):
        return None
    if pattern.include is None or pattern.regex is None:
        return None
    # The library takes "a/**/" for all that is in "a", and git for the folders in it.
    parts = line.rstrip(" ").removeprefix("!").removeprefix("/").split("/")
    is_of_folders = parts[-2:] == ["**", ""] and set(parts) != {"**", ""}
    last = line.strip().removeprefix("!").rstrip("/").rpartition("/")[2]
    return _Rule(
        pattern.regex, is_ignored=pattern.include, names_hidden=last.startswith("."), is_of_folders=is_of_folders
    )


def parse_rules(text: str) -> "list[_Rule]":
    """Read the text of a file of rules."""
    lines = [line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n")]
    return [rule for rule in map(_parse_rule, lines) if rule is not None]


class FolderRules:
    """Rules that hold in one folder: its own, and behind them those of the folders above.

    Args:
        texts: of its files of rules, in the order of `RULE_FILES`.
        above: the rules of the folder that it is in.
        name: its name there.
    """

    def __init__(self, texts: Iterable[str] = (), *, above: "FolderRules | None" = None, name: str = "") -> None:
        self._own = [rule for text in texts for rule in parse_rules(text)][::-1]
        self._above = above
        self._name = name

    def below(self, name: str, texts: Iterable[str] = ()) -> "FolderRules":
        """Return the rules of a folder in it."""
        return FolderRules(texts, above=self, name=name)

    def travels(self, name: str, *, is_folder: bool) -> bool:
        """Return whether a file or folder in this folder is one of those that travel."""
        if is_never_sent(name):
            return False
        rule = self._find(name, is_folder=is_folder)
        if is_hidden(name):
            return rule is not None and not rule.is_ignored and rule.names_hidden
        return rule is None or not rule.is_ignored

    def _find(self, path: str, *, is_folder: bool) -> _Rule | None:
        """Return the rule that counts for a path."""
        for rule in self._own:
            if rule.matches(path, is_folder=is_folder):
                return rule
        return self._above._find(f"{self._name}/{path}", is_folder=is_folder) if self._above else None
