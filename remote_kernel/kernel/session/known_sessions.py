"""The sessions that this user's kernels are, or were, bound to, as their binding files tell."""

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

from remote_kernel.core.identity import Identifier
from remote_kernel.io.system.file_locks import is_held
from remote_kernel.kernel.session.binding import BINDINGS_FOLDER, read_binding


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSession:
    """A kernel and its session.

    Attributes:
        notebook: path of the notebook; "" where nobody knows it.
        endpoint: of the pool; that of an environment for a local one.
        is_alive: whether the kernel's process lives.
        heard_at: when the kernel last passed something on, in seconds since 1970.
        files: what is left of the kernel when it is gone.
    """

    identifier: Identifier = field(repr=False)
    notebook: str
    endpoint: str
    is_alive: bool
    heard_at: float
    files: tuple[Path, ...]

    def forget(self) -> None:
        """Remove what is left of a kernel that is gone. Raises `OSError`."""
        for path in self.files:
            path.unlink(missing_ok=True)


def known_sessions(runtime_folder: Path) -> list[KnownSession]:
    """Return them, those heard of last first."""
    found = [_read(path) for path in (runtime_folder / BINDINGS_FOLDER).glob("*.json")]
    return sorted((session for session in found if session is not None), key=lambda session: -session.heard_at)


def _read(path: Path) -> KnownSession | None:
    binding, cursor = read_binding(path), path.with_suffix(".cursor")
    if binding is None:  # written by another version, or gone meanwhile
        return None
    with contextlib.suppress(OSError):
        return KnownSession(
            identifier=binding.identifier,
            notebook=binding.notebook,
            endpoint=binding.endpoint,
            is_alive=is_held(cursor),
            heard_at=max(file.stat().st_mtime for file in (path, cursor) if file.exists()),
            files=(path, cursor),
        )
    return None
