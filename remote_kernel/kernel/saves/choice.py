"""Choice of a notebook's user whether it is saved by itself, kept for later kernels of it."""

import contextlib
import hashlib
import json
from pathlib import Path

from remote_kernel.io.private_files import make_private_folder, write_private


class AutosaveChoice:
    """File of what users have chosen by `%session autosave`, by notebook.

    Args:
        data_folder: Jupyter's.
    """

    def __init__(self, data_folder: Path, notebook: str) -> None:
        digest = hashlib.sha256(notebook.encode("utf-8", "surrogateescape")).hexdigest()
        self._path = data_folder / "remote-kernel" / "autosave" / f"{digest[:32]}.json"
        self._notebook = notebook

    def load(self) -> bool | None:
        """Return what was chosen; `None` where nobody has chosen anything."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            chosen = json.loads(self._path.read_text(encoding="utf-8")).get("autosave")
            return chosen if isinstance(chosen, bool) else None
        return None

    def save(self, *, is_on: bool) -> None:
        """Remember a choice; raises `OSError`."""
        make_private_folder(self._path.parent)
        write_private(self._path, json.dumps({"notebook": self._notebook, "autosave": is_on}))
