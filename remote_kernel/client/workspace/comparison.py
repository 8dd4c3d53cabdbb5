"""Comparison of the files here with the base: what has to go to the session."""

import contextlib
from dataclasses import dataclass, field, replace

from remote_kernel.client.workspace.local_files import LocalFiles, Snapshot
from remote_kernel.core.workspace.base import EXECUTABLE, Agreed, Base, Stamp


@dataclass(slots=True)
class Changes:
    """Difference of the files here to the base.

    Attributes:
        files: those that are new or have changed, with how they are.
        removed: those that are in the session still, and not here.
        folders: those that are empty here, and not known to be in the session.
        gone: folders that were made in the session and are not here any more, those below first.
    """

    files: dict[str, Stamp] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.files or self.removed or self.folders or self.gone)


def compare(local: LocalFiles, base: Base, snapshot: Snapshot, failed: dict[str, Stamp]) -> Changes:
    """Return what has changed here.

    Files are read only where something about them has changed, or could have without a trace. What has the same content
    still is noted in the base, and so is what travels no more: it stays in the session, and is nobody's concern.

    Args:
        failed: files that could not be sent as they are, and are not tried again before they change.
    """
    changes = Changes()
    agreed_files = base.files
    for path, stamp in snapshot.files.items():
        agreed = agreed_files.get(path)
        if agreed is not None and agreed.stamp == stamp and not agreed.is_racy:
            continue
        if failed.get(path) != stamp and not (agreed and _is_as_agreed(local, base, path, agreed)):
            changes.files[path] = stamp
    _find_removed(local, base, snapshot, changes)
    base.folders -= {folder for folder in base.folders - snapshot.empty if local.has_folder(folder)}
    changes.folders = sorted(snapshot.empty - base.folders)
    changes.gone = sorted(base.folders - snapshot.empty, reverse=True)
    return changes


def _is_as_agreed(local: LocalFiles, base: Base, path: str, agreed: Agreed) -> bool:
    """Return whether a file has the content that was agreed on; note its new stamp then."""
    with contextlib.suppress(OSError):
        measured = local.measure(path)
        if measured is None or measured.sha256 != agreed.sha256:
            return False
        if agreed.stamp[0] and (measured.stamp[0] ^ agreed.stamp[0]) & EXECUTABLE:
            return False
        base.files[path] = replace(agreed, stamp=measured.stamp, is_racy=measured.is_racy)
        return True
    return False


def _find_removed(local: LocalFiles, base: Base, snapshot: Snapshot, changes: Changes) -> None:
    for path in [path for path in base.files if path not in snapshot.files]:
        if local.has_file(path) or not base.files[path].version:
            del base.files[path]
        else:
            changes.removed.append(path)
