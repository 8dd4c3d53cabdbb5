"""The base of a workspace on disk, so that a kernel that comes back sends nothing again."""

import contextlib
import hashlib
import json
from pathlib import Path

from remote_kernel.core.workspace.base import Base
from remote_kernel.io.private_files import make_private_folder, open_ordinary, write_private

STATES_FOLDER = "remote-kernel/workspaces"  # inside Jupyter's runtime folder

# Of some 10,000 files.
MAX_STATE_BYTES = 64_000_000

# A path, as long as it may be, and names.
MAX_HEAD_BYTES = 64_000

# No pod is there for so long without being used.
MAX_AGE_SECONDS = 30 * 86400.0


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

    Its first line says of which workspace and pod, so that nobody reads the rest who wants that of another one. Another
    kernel of the same notebook has the same file.

    Args:
        path: the file; `None` keeps nothing.
    """

    def __init__(self, path: Path | None, root: Path, folder: str) -> None:
        self._path = path
        self._owner = [str(root), folder]
        self._own: tuple[int, int] | None = None
        self._met = Base()

    def load(self) -> Base:
        """Return the base that was saved, and an empty one where there is none of this workspace."""
        if self._path is None:
            return Base()
        self._own = _stamp_of(self._path)
        return self._read(self._path)

    def load_others(self, pod: str) -> list[Base]:
        """Return what other kernels with this workspace have agreed on with a pod."""
        if self._path is None:
            return []
        self._meet(pod)
        workspace = self._path.name.partition("-")[0]
        paths = [path for path in self._path.parent.glob(f"{workspace}-*.json") if path != self._path]
        return [base for base in (self._met, *(self._read(path, pod) for path in paths)) if base.pod == pod]

    def _meet(self, pod: str) -> None:
        """Read what another kernel of the same notebook has saved, if it was the last one to do so."""
        assert self._path is not None
        if (saved := _stamp_of(self._path)) != self._own:
            self._own, self._met = saved, self._read(self._path, pod)

    def _read(self, path: Path, pod: str | None = None) -> Base:
        """Return what is in a file, an empty base where that is of another workspace or, unless `None`, pod."""
        with contextlib.suppress(OSError, ValueError, TypeError, RecursionError), open_ordinary(path) as file:
            owner, its_pod = json.loads(file.readline(MAX_HEAD_BYTES))
            if owner == self._owner and pod in (None, its_pod):
                content = file.read(MAX_STATE_BYTES + 1)
                return Base.from_json(content.decode()) if len(content) <= MAX_STATE_BYTES else Base()
        return Base()

    def save(self, base: Base) -> None:
        if self._path is None:
            return
        self._meet(base.pod)
        with contextlib.suppress(OSError):
            make_private_folder(self._path.parent)
            write_private(self._path, f"{json.dumps([self._owner, base.pod])}\n{base.to_json()}")
            self._own = _stamp_of(self._path)

    def remove_stale(self, now: float) -> None:
        """Remove what has been kept, of any workspace, since long before `now` (seconds since 1970)."""
        if self._path is None:
            return
        with contextlib.suppress(OSError):
            for path in self._path.parent.iterdir():
                if now - path.stat().st_mtime > MAX_AGE_SECONDS and path != self._path:
                    path.unlink(missing_ok=True)


def _stamp_of(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns
