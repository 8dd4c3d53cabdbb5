"""Base of a workspace: what this side and a pod have agreed on last, file by file."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from remote_kernel.core.workspace.plan import Change

# Of a file here: mode, inode, size, and the times in nanoseconds at which its content and its entry have changed. A
# tuple, as there are thousands, and all are compared before each cell.
Stamp = tuple[int, int, int, int, int]

# Of what is not as it was agreed, whatever it is.
NO_STAMP: Stamp = (0, 0, 0, 0, 0)

EXECUTABLE = 0o100

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Agreed:
    """One file as both sides have it.

    Attributes:
        sha256: of its content, in hex.
        stamp: of the file here; `NO_STAMP` where the file here is another one.
        version: of the file there; "" where it was removed there.
        is_racy: whether it was agreed on so soon after it had changed that a change behind that may not show in its
            stamp, as clocks of file systems tick slowly (git calls it "racily clean").
    """

    sha256: str
    stamp: Stamp
    version: str
    is_racy: bool = False


@dataclass(slots=True)
class Base:
    """Everything that was agreed on with one pod.

    Attributes:
        pod: its name; "" before it is known.
        files: by path below the workspace.
        folders: those without files that were made there.
        environments: folders there that are environments, which stay there.
    """

    pod: str = ""
    files: dict[str, Agreed] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    environments: set[str] = field(default_factory=set)

    def change_there(self, path: str, version: str) -> Change:
        """Return how a file has changed there that has this version now, "" for none."""
        agreed = self.files.get(path)
        if agreed is None:
            return Change.CHANGED if version else Change.NEVER
        if agreed.version == version:
            return Change.SAME
        return Change.CHANGED if version else Change.GONE

    def to_json(self) -> str:
        files = [[path, a.sha256, a.stamp, a.version, a.is_racy] for path, a in self.files.items()]
        return json.dumps(
            {
                "format": _FORMAT,
                "pod": self.pod,
                "files": files,
                "folders": sorted(self.folders),
                "environments": sorted(self.environments),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> "Base":
        """Read what `to_json` has written; raises `ValueError`, also for what another version has."""
        try:
            fields = json.loads(text)
            if not isinstance(fields, Mapping) or fields.get("format") != _FORMAT:
                raise ValueError("no base of this version")
            files = {str(path): Agreed(str(a), _stamp(b), str(c), bool(d)) for path, a, b, c, d in fields["files"]}
            folders, environments = ({str(path) for path in fields[name]} for name in ("folders", "environments"))
            return cls(str(fields["pod"]), files, folders, environments)
        except (KeyError, TypeError, RecursionError) as error:
            raise ValueError("no base") from error


def _stamp(values: Iterable[object]) -> Stamp:
    mode, inode, size, modified, changed = (int(str(value)) for value in values)
    return mode, inode, size, modified, changed
