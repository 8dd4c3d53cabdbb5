"""List of the user's saves on this machine, of all notebooks."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from remote_kernel.client.saves.folder import SavesFolder
from remote_kernel.client.saves.store import SaveStore
from remote_kernel.core.saves.save import Save
from remote_kernel.core.settings import Settings
from remote_kernel.kernel.folders import Folders
from remote_kernel.kernel.identity.identity_key import load_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A save.

    Attributes:
        store: where it is.
        notebook: its path; "" where nobody knows it.
    """

    save: Save
    store: SaveStore
    notebook: str

    def to_json(self) -> dict[str, Any]:
        manifest = self.save.manifest
        return {
            "id": self.save.id,
            "name": self.save.name,
            "saved_at": iso_time(self.save.saved_at),
            "notebook": self.notebook,
            "pod_kernel": self.save.pod_kernel,
            "python": manifest.python,
            "saved": manifest.saved,
            "lost": list(manifest.lost),
            "lost_count": manifest.lost_count,
            "bytes": manifest.bytes,
            "problem": self.save.problem,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveList:
    """All saves in the user's folder.

    Attributes:
        folder: which one.
        rows: by notebook, the newest first.
        strangers: number of owners in it who have another key.
    """

    folder: Path
    rows: tuple[Row, ...]
    strangers: int = 0

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> "SaveList":
        """Read the folder; raises `SettingsError`, `IdentityError` and `SaveError`."""
        folders = Folders.of_user()
        folder = SavesFolder.of(Settings.from_environ(environ), folders.data)
        if not folder.has_owners:
            return cls(folder=folder.path, rows=())
        owners = folder.owners(load_key(environ, folders.data))
        stores = [SaveStore(folder, owner) for owner in owners if owner is not None]
        rows = sorted((row for store in stores for row in _rows(store)), key=lambda row: row.notebook)
        return cls(folder=folder.path, rows=tuple(rows), strangers=owners.count(None))

    def of_notebook(self, notebook: str) -> "SaveList":
        """Return the saves of one notebook, given by its canonical path."""
        return SaveList(folder=self.folder, rows=tuple(row for row in self.rows if row.notebook == notebook))

    @property
    def bytes(self) -> int:
        """Size of what these saves, and others of their owners, have on disk."""
        stores = {row.store.folder: row.store for row in self.rows}
        return sum(sum(store.sizes().values()) for store in stores.values())

    def newest(self) -> dict[str, float]:
        """Return when the newest save of each notebook was made that can be used, in seconds since 1970."""
        usable = [row for row in self.rows if not row.save.problem]
        return {row.notebook: row.save.saved_at for row in sorted(usable, key=lambda row: row.save.saved_at)}


def iso_time(seconds: float) -> str:
    """Return a time, given in seconds since 1970, as JSON has it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _rows(store: SaveStore) -> Iterator[Row]:
    """Yield the saves of an owner; one that cannot be used is of the same notebook as the others."""
    saves = store.list()
    notebook = next((save.notebook for save in saves if not save.problem), "")
    for save in saves:
        yield Row(save=save, store=store, notebook=notebook)
