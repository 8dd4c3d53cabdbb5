"""Rules of the folders here, and what they say of names: both remembered for as long as the files of rules stand."""

import os
import stat
from collections.abc import Container
from enum import Enum, auto
from pathlib import Path

from remote_kernel.client.workspace.stamps import stamp_at
from remote_kernel.core.download_paths import MAX_DEPTH, MAX_PATH_BYTES, System, find_problem
from remote_kernel.core.workspace.base import NO_STAMP, Stamp
from remote_kernel.core.workspace.rules import MAX_RULE_FILE_BYTES, RULE_FILES, FolderRules

# What says which files travel, and what else of this machine a session gets, is not changed by the session.
_SETTINGS = frozenset({*RULE_FILES, "pyproject.toml"})

# The stamps of the files of rules in a folder without any.
_NO_RULES = [NO_STAMP] * len(RULE_FILES)


class Verdict(Enum):
    """Verdict on a file or folder, by its name."""

    TRAVELS = auto()
    STAYS = auto()
    ODD = auto()  # it would travel if it had another name


class Folder:
    """A folder that travels: its rules, and what they say of the names in it."""

    __slots__ = ("above", "files", "folders", "prefix", "rules", "stamps")

    def __init__(self, path: str, rules: FolderRules, above: FolderRules | None, stamps: list[Stamp]) -> None:
        self.prefix = f"{path}/" if path else ""
        self.rules = rules
        self.above = above
        self.stamps = stamps
        self.files: dict[str, Verdict] = {}
        self.folders: dict[str, Verdict] = {}

    def decide(self, name: str, *, is_folder: bool) -> Verdict:
        """Return what becomes of a file or folder in it, and remember it."""
        verdict = Verdict.STAYS
        if self.rules.travels(name, is_folder=is_folder):
            verdict = Verdict.ODD if self._is_odd(name) else Verdict.TRAVELS
        (self.folders if is_folder else self.files)[name] = verdict
        return verdict

    def _is_odd(self, name: str) -> bool:
        path = self.prefix + name
        is_long = path.count("/") >= MAX_DEPTH or len(os.fsencode(path)) > MAX_PATH_BYTES
        return is_long or bool(find_problem(name, System.LINUX))


class RuleFolders:
    """The folders of a workspace that travel, with their rules.

    Args:
        root: the workspace.
        system: the names that it can have.
        own: the path of a file in it that does not travel, whatever the rules say; "" for none.

    Attributes:
        known: those of the last look, by path; "" for the workspace itself.
    """

    def __init__(self, root: Path, system: System, own: str) -> None:
        self.known: dict[str, Folder] = {}
        self._root = os.fspath(root)
        self._name = root.name
        self._folders_above = [os.fspath(folder) for folder in root.parents]
        self._system = system
        self._own = own
        self._above: tuple[list[tuple[str, list[Stamp]]], FolderRules | None] = ([], None)

    def read(self, path: str, above: FolderRules | None, children: Container[str]) -> Folder:
        """Return a folder with its rules: those that were read already, where they stand."""
        files = [f"{self._root}/{path}/{name}" for name in RULE_FILES if name in children]
        stamps = self.stamps(path) if files else _NO_RULES
        known = self.known.get(path)
        if known is not None and known.above is above and known.stamps == stamps:
            return known
        texts = [_read_rules(file) for file in files]
        name = path.rpartition("/")[2] or self._name
        folder = Folder(path, FolderRules(texts, above=above, name=name), above, stamps)
        own_folder, _, own = self._own.rpartition("/")
        if own and own_folder == path:
            folder.files[own] = Verdict.STAYS
        return folder

    def stamps(self, path: str) -> list[Stamp]:
        """Return those of the files of rules in a folder."""
        return [stamp_at(f"{self._root}/{path}/{name}") for name in RULE_FILES]

    def above(self) -> FolderRules | None:
        """Return the rules of the folders above, up to that of the repository, where there is one."""
        above = [self._root, *self._folders_above]
        number = next((number for number, folder in enumerate(above) if os.path.lexists(f"{folder}/.git")), 0)
        stamps = [(folder, [stamp_at(f"{folder}/{name}") for name in RULE_FILES]) for folder in above[1 : number + 1]]
        if stamps != self._above[0]:
            rules: FolderRules | None = None
            for folder in reversed(above[1 : number + 1]):
                texts = [_read_rules(f"{folder}/{name}") for name in RULE_FILES]
                rules = FolderRules(texts, above=rules, name=folder.rpartition(os.sep)[2])
            self._above = stamps, rules
        return self._above[1]

    def refuse(self, path: str) -> str | None:
        """Return why a file of the session does not come here: "" where that is as it should be; `None` where it does.

        The rules are those of the last look.
        """
        if len(path) > MAX_PATH_BYTES or path.count("/") >= MAX_DEPTH:
            return "its path is too long"
        if path == self._own:
            return ""
        *folders, name = path.split("/")
        rules, prefix = self.known[""].rules if "" in self.known else FolderRules(), ""
        for part in folders:
            if (problem := self._refuse_name(rules, part, is_folder=True)) is not None:
                return problem
            prefix += part
            known = self.known.get(prefix)
            rules = known.rules if known else rules.below(part)
            prefix += "/"
        if self._system.fold(name) in _SETTINGS and rules.travels(name, is_folder=False):
            return "it says what a session gets of this machine, and a session does not change that"
        return self._refuse_name(rules, name, is_folder=False)

    def _refuse_name(self, rules: FolderRules, name: str, *, is_folder: bool) -> str | None:
        if problem := find_problem(name, self._system):
            return problem
        if not rules.travels(name, is_folder=is_folder):
            return ""
        return "its name is no Unicode there" if "\ufffd" in name else None


def _read_rules(path: str) -> str:
    """Return the text of a file of rules; git follows no link to one."""
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_RULE_FILE_BYTES:
            return ""
        return Path(path).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
