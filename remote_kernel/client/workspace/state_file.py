"""The base of a workspace on disk, so that a kernel that comes back sends nothing again."""

import contextlib
import hashlib
import json
from pathlib import Path

from remote_kernel.core.workspace.base import Base
from remote_kernel.io.private_files import make_private_folder, write_private

STATES_FOLDER = "remote-kernel/workspaces"  # inside Jupyter's runtime folder

# Of some 10,000 files.
MAX_STATE_BYTES = 64_000_000


def state_path(runtime_folder: Path, root: Path, folder: str, notebook: str) -> Path:
    """Return where the base of a notebook's workspace is kept.

    Args:
        notebook: whatever tells this notebook's session from others.
    """
    workspace, owner = (_digest(*words) for words in ((str(root), folder), (notebook,)))
    return runtime_folder / STATES_FOLDER / f"{workspace}-{owner}.json"


def _digest(*words: str) -> str:
    return hashlib.sha256("\0".join(words).encode(errors="surrogateescape")).hexdigest()[:16]


class StateFile:
    """A private file with the base of one workspace; the base is lost where it cannot be read or written.

    Args:
        path: the file; `None` keeps nothing.
    """

    def __init__(self, path: Path | None, root: Path, folder: str) -> None:
        self._path = path
        self._owner = [str(root), folder]

    def load(self) -> Base:
        """Return the base that was saved, and an empty one where there is none of this workspace."""
        return self._read(self._path) if self._path is not None else Base()

    def load_others(self, pod: str) -> list[Base]:
        """Return what other notebooks with this workspace have agreed on with a pod."""
        if self._path is None:
            return []
        workspace = self._path.name.partition("-")[0]
        paths = [path for path in self._path.parent.glob(f"{workspace}-*.json") if path != self._path]
        return [base for base in map(self._read, paths) if base.pod == pod]

    def _read(self, path: Path) -> Base:
        with contextlib.suppress(OSError, ValueError):
            if path.stat().st_size <= MAX_STATE_BYTES:
                owner, text = json.loads(path.read_text(encoding="utf-8"))
                if owner == self._owner:
                    return Base.from_json(text)
        return Base()

    def save(self, base: Base) -> None:
        """Write the base."""
        if self._path is None:
            return
        with contextlib.suppress(OSError):
            make_private_folder(self._path.parent)
            write_private(self._path, json.dumps([self._owner, base.to_json()]))
