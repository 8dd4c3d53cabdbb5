"""Admission of files of the session: which may come here, by their names, by the rules, and by the limits."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from remote_kernel.client.workspace.local_files import LocalFiles, Snapshot, folders_above
from remote_kernel.core.download_paths import System, shown
from remote_kernel.core.text.human_numbers import format_bytes
from remote_kernel.core.workspace.limits import WorkspaceLimits
from remote_kernel.core.workspace.rules import ENVIRONMENT_MARKS


@dataclass(frozen=True, slots=True, kw_only=True)
class There:
    """A file of the session, as a list of its files or the end of a cell has it.

    Attributes:
        sha256: of its content, in hex; "" where nobody has asked.
    """

    size: int
    version: str
    sha256: str = ""


def admit(
    there: Mapping[str, There], environments: set[str], local: LocalFiles, snapshot: Snapshot
) -> tuple[dict[str, There], dict[str, list[str]]]:
    """Return what may come, and the paths of the rest, by why they may not; of what is meant to stay it says nothing.

    Args:
        environments: folders there whose files stay.
        snapshot: the files here.
    """
    names, room = _Names(local.system, snapshot), _Room(local.limits, snapshot)
    wanted: dict[str, There] = {}
    refused: dict[str, list[str]] = {}
    for path in sorted(there):
        if not environments.isdisjoint(folders_above(path)):
            continue
        problem = local.refuse(path)
        if problem is None:
            problem = names.clash(path) or room.exceed(path, there[path].size)
        if problem is None:
            wanted[path] = there[path]
        elif problem:
            refused.setdefault(problem, []).append(path)
    return wanted, refused


def environments(paths: Iterable[str]) -> set[str]:
    """Return the folders among paths of files that are environments."""
    found = set()
    for path in paths:
        folder, _, name = path.rpartition("/")
        above, _, last = folder.rpartition("/")
        found.add(folder if name in ENVIRONMENT_MARKS else above if last in ENVIRONMENT_MARKS else "")
    return found - {""}


class _Room:
    """Room for what comes, before the workspace is too large to be sent again."""

    def __init__(self, limits: WorkspaceLimits, snapshot: Snapshot) -> None:
        self._limits = limits
        self._known = snapshot.files
        self._files = len(snapshot.files)
        self._bytes = snapshot.bytes

    def exceed(self, path: str, size: int) -> str | None:
        """Return why a file would be too much; make room for it where it is not."""
        limits, files = self._limits, self._files + (path not in self._known)
        if size > limits.max_file_bytes:
            return f"a file of the workspace may have {format_bytes(limits.max_file_bytes)}"
        if files > limits.max_files:
            return f"the workspace may have {limits.max_files:,} files"
        if self._bytes + size > limits.max_bytes:
            return f"the workspace may have {format_bytes(limits.max_bytes)}"
        self._files = files
        self._bytes += size
        return None


class _Names:
    """The names that are taken here, for systems to which some that differ are one."""

    def __init__(self, system: System, snapshot: Snapshot) -> None:
        self._system = system
        self._taken: dict[str, str] = {}
        if system is not System.LINUX:
            for path in snapshot.files:
                self._take(path)

    def _take(self, path: str) -> str:
        for part in (*folders_above(path), path):
            known = self._taken.setdefault(self._system.fold(part), part)
            if known != part:
                return known
        return ""

    def clash(self, path: str) -> str | None:
        """Return why a file cannot be here beside those that are; `None` where it can."""
        if self._system is System.LINUX:
            return None
        other = self._take(path)
        return f"to this system its name and that of '{shown(other)}' are one" if other else None
