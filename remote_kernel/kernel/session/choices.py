"""Choices that users make for a notebook by `%session`, kept for later kernels of it."""

import asyncio
import contextlib
import hashlib
import json
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from remote_kernel.core.errors import SettingsError, WireError
from remote_kernel.core.limits import ANSWER
from remote_kernel.io.private_files import make_private_folder, read_json_object, write_private

T = TypeVar("T", str, bool)


class Choice(StrEnum):
    """Kind of choice: the name of the folder of its files."""

    WORKSPACE = "workspaces"
    AUTOSAVE = "autosave"


class ChoiceFile:
    """File of one choice for one notebook.

    Args:
        data_folder: Jupyter's.
    """

    def __init__(self, data_folder: Path, choice: Choice, notebook: str) -> None:
        digest = hashlib.sha256(notebook.encode("utf-8", "surrogateescape")).hexdigest()
        self._path = data_folder / "remote-kernel" / choice / f"{digest[:32]}.json"
        self._notebook = notebook

    def load(self, kind: type[T]) -> T | None:
        """Return what was chosen, which is of this type; `None` where nobody has chosen anything."""
        with contextlib.suppress(OSError, WireError):
            chosen = read_json_object(self._path, ANSWER).get("chosen")
            return chosen if isinstance(chosen, kind) else None
        return None

    def save(self, chosen: str | bool) -> None:
        """Remember a choice; raises `OSError`."""
        make_private_folder(self._path.parent)
        write_private(self._path, json.dumps({"notebook": self._notebook, "chosen": chosen}))


async def keep_choice(data_folder: Path, choice: Choice, notebook: str, chosen: str | bool) -> None:
    """Remember a choice for later kernels of a notebook, if anybody knows which one this is.

    Raises:
        SettingsError: it counts for this kernel alone.
    """
    if not notebook:
        return
    try:
        await asyncio.to_thread(ChoiceFile(data_folder, choice, notebook).save, chosen)
    except OSError as error:
        raise SettingsError(
            f"This counts for this kernel alone, as the choice cannot be kept for later: {error.strerror}"
        ) from None
