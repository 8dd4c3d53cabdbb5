"""Rules of the folders here, and what they say of names: both remembered for as long as the files of rules stand."""

import os
import re
import stat
from collections.abc import Collection, Container
from enum import Enum, auto
from itertools import accumulate
from pathlib import Path

from remote_kernel.client.workspace.stamps import stamp_at
from remote_kernel.core.download_paths import MAX_DEPTH, MAX_PATH_BYTES, System, find_problem
from remote_kernel.core.windows_paths import is_short_name
from remote_kernel.core.workspace.base import NO_STAMP, Stamp
from remote_kernel.core.workspace.rules import MAX_RULE_FILE_BYTES, RULE_FILES, FolderRules

# What says which files travel, and what else of this machine a session gets, is not changed by the session.
PROJECT_FILE = "pyproject.toml"
_SETTINGS = frozenset({*RULE_FILES, PROJECT_FILE})
SETTING = "it says what a session gets of this machine, and a session does not change that"

# What pip reads in a folder that it looks into. Which names a page can have is for the system's list of media types.
_READ_BY_PIP = re.compile(r"htm|\.whl")

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
        self._named: frozenset[str] = frozenset()

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

    def rules(self, path: str) -> FolderRules | None:
        """Return the rules of a folder that travels here; `None` where none does."""
        folder = self.known.get(path)
        return folder.rules if folder is not None else None

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
        """Return why a file of the session does not come here: see `Refusals`."""
        return Refusals(self, self._system, self._own).find(path)

    def refusals(self, environments: Container[str]) -> "Refusals":
        """Return what finds that for many files.

        Args:
            environments: folders there whose files stay.
        """
        return Refusals(self, self._system, self._own, environments)

    def name_settings(self, paths: Collection[Path]) -> None:
        """Say which files and folders here, beside those of fixed names, say what a session gets. Blocks."""
        named = {_below(self._root, os.fspath(path)) for path in paths}
        named |= {_below(os.path.realpath(self._root), _resolve(path)) for path in paths}
        self._named = frozenset(_fold(path) for path in named if path is not None)

    def is_setting(self, path: str) -> bool:
        """Return whether a file says what a session gets of this machine: by its name, or as it was named."""
        folded = _fold(path)
        *folders, name = folded.split("/")
        if name in _SETTINGS or folded in self._named:
            return True
        if not (self._named and _READ_BY_PIP.search(name)):
            return False
        return not self._named.isdisjoint(["", *accumulate(folders, "{}/{}".format)])


class Refusals:
    """Refusals of files of the session, by the rules of the last look; what is found of folders is remembered.

    Attributes:
        looks: so many files and folders were compared with the rules; what is deep takes longer, and counts more.
    """

    def __init__(
        self, folders: RuleFolders, system: System, own: str, environments: Container[str] = frozenset()
    ) -> None:
        self._folders = folders
        self._system = system
        self._own = own
        self._environments = environments
        # By path with "/" at its end: the rules of folders that travel, and why others do not.
        self._found: dict[str, FolderRules | str] = {"": folders.rules("") or FolderRules()}
        self.looks = 0

    def find(self, path: str) -> str | None:
        """Return why a file does not come here: "" where that is as it should be; `None` where it does."""
        if len(path) > MAX_PATH_BYTES or path.count("/") >= MAX_DEPTH:
            return "its path is too long"
        if path == self._own:
            return ""
        folder, slash, name = path.rpartition("/")
        rules = self._rules_of(folder + slash)
        if isinstance(rules, str):
            return rules
        self.looks += _looks_for(path)
        if self._folders.is_setting(path) and rules.travels(name, is_folder=False):
            return SETTING
        return self._refuse_name(rules, name, is_folder=False)

    def _rules_of(self, folder: str) -> FolderRules | str:
        """Return the rules of a folder, or why nothing in it comes here."""
        if (known := self._found.get(folder)) is not None:
            return known
        rules, end = self._found[""], folder.find("/")
        while end >= 0 and not isinstance(rules, str):
            above, path = rules, folder[: end + 1]
            known = self._found.get(path)
            rules = self._found[path] = self._look_at(path[:-1], above) if known is None else known
            end = folder.find("/", end + 1)
        return rules

    def _look_at(self, path: str, above: FolderRules) -> FolderRules | str:
        self.looks += _looks_for(path)
        if path in self._environments:
            return ""
        name = path.rpartition("/")[2]
        if (problem := self._refuse_name(above, name, is_folder=True)) is not None:
            return problem
        return self._folders.rules(path) or above.below(name)

    def _refuse_name(self, rules: FolderRules, name: str, *, is_folder: bool) -> str | None:
        if problem := find_problem(name, self._system):
            return problem
        if not rules.travels(name, is_folder=is_folder):
            return ""
        if self._system is System.WINDOWS and is_short_name(name):
            return "to Windows it may be another name of a file that is here"
        return "its name is no Unicode there" if "\ufffd" in name else None


def _looks_for(path: str) -> int:
    return 1 + path.count("/") // 8


def _below(root: str, path: str) -> str | None:
    """Return a path below a folder, "" for the folder itself; `None` for one that is elsewhere."""
    try:
        below = Path(path).relative_to(root).as_posix()
    except ValueError:
        return None
    return "" if below == "." else below


def _resolve(path: Path) -> str:
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):  # it is no path
        return ""


def _fold(path: str) -> str:
    """Return what paths have in common that any system may take for one: on Linux, some of its file systems do."""
    return System.MACOS.fold(path)


def _read_rules(path: str) -> str:
    """Return the text of a file of rules; git follows no link to one."""
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_RULE_FILE_BYTES:
            return ""
        return Path(path).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
