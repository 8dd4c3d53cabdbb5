"""Admission of files of the session: which may come here, by their names, by the rules, and by the limits."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from itertools import islice

from remote_kernel.client.workspace.local_files import LocalFiles, Snapshot, folders_above
from remote_kernel.core.download_paths import System, find_problem
from remote_kernel.core.text.human_numbers import format_bytes
from remote_kernel.core.workspace.limits import WorkspaceLimits
from remote_kernel.core.workspace.rules import ENVIRONMENT_MARKS

# More than anybody works with; they are remembered for as long as a pod has its name.
MAX_ENVIRONMENTS = 1000


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
    there: Mapping[str, There], environments: Set[str], local: LocalFiles, snapshot: Snapshot
) -> tuple[dict[str, There], dict[str, list[str]]]:
    """Return what may come, and the paths of the rest, by why they may not; of what is meant to stay it says nothing.

    It takes some milliseconds for 1,000 files, and seconds at most, as a list that is too long is not looked through.

    Args:
        environments: folders there whose files stay.
        snapshot: the files here.
    """
    names, room = _Names(local.system, snapshot), _Room(local.limits, snapshot)
    refusals, most = local.refusals(environments), local.limits.max_entries
    too_many = f"the session has more than {most:,} files and folders"
    wanted: dict[str, There] = {}
    refused: dict[str, list[str]] = {}
    for path in sorted(there, key=lambda path: (path not in snapshot.files, path)):
        problem = refusals.find(path) if refusals.looks < most else too_many
        if problem is None:
            problem = names.clash(path) or room.exceed(path, there[path].size)
        if problem is None:
            wanted[path] = there[path]
        elif problem:
            refused.setdefault(problem, []).append(path)
    return wanted, refused


def environments(paths: Iterable[str], known: Set[str], system: System) -> set[str]:
    """Return the folders that are environments: those that are known, and the first among paths of files that could be
    here."""
    marked = (path for path in dict.fromkeys(map(_environment_of, paths)) if path and path not in known)
    first = islice(marked, max(0, MAX_ENVIRONMENTS - len(known)))
    return {*known, *(path for path in first if not any(find_problem(name, system) for name in path.split("/")))}


def _environment_of(path: str) -> str:
    """Return the folder that a file marks as an environment; "" for none."""
    folder, _, name = path.rpartition("/")
    above, _, last = folder.rpartition("/")
    return folder if name in ENVIRONMENT_MARKS else above if last in ENVIRONMENT_MARKS else ""


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
                self._clashes(path)

    def _clashes(self, path: str) -> bool:
        """Take a name; return whether it is another one's."""
        parts = (*folders_above(path), path)
        return any(self._taken.setdefault(self._system.fold(part), part) != part for part in parts)

    def clash(self, path: str) -> str | None:
        """Return why a file cannot be here beside those that are; `None` where it can."""
        if self._system is System.LINUX:
            return None
        # The same for all of them, as what is refused is told by why it is.
        return "to this system its name and another file's are one" if self._clashes(path) else None
