"""Identification of a kernel: which notebook it is of, as far as anybody has told, and so which session it has."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from remote_kernel.core.identity import user_name
from remote_kernel.core.settings import Settings
from remote_kernel.core.text.log_lines import LogEvent
from remote_kernel.kernel.folders import Folders
from remote_kernel.kernel.identity.decision import decide, login_name
from remote_kernel.kernel.identity.identity_key import load_key
from remote_kernel.kernel.identity.notebook_path import Hints, find_notebook
from remote_kernel.kernel.session.binding import Binding

if TYPE_CHECKING:
    from remote_kernel.core.saves.owner import Owner

_log = logging.getLogger(__name__)


class Identification:
    """Asks everybody who may know a kernel's notebook.

    Args:
        connection_file: names the kernel to the Jupyter server.
        parent: process id of who started the kernel.
    """

    def __init__(self, environ: Mapping[str, str], folders: Folders, *, connection_file: Path, parent: int) -> None:
        self._environ = environ
        self._folders = folders
        self._connection_file = connection_file
        self._parent = parent

    @property
    def is_told(self) -> bool:
        """Return whether the environment tells, so that no front end has to be heard first."""
        names = ("REMOTE_KERNEL_NOTEBOOK", "REMOTE_KERNEL_IDENTIFIER", "JPY_SESSION_NAME")
        return any(map(self._environ.get, names))

    def find_notebook(self, settings: Settings, hints: Hints) -> Path | None:
        """Return the notebook's canonical path, or `None` when nobody knows it."""
        return find_notebook(
            self._environ,
            hints,
            configured=settings.notebook,
            connection_file=self._connection_file,
            runtime_folder=self._folders.runtime,
            parent=self._parent,
        )

    def bind(self, settings: Settings, hints: Hints) -> Binding:
        """Return what the kernel is to be bound to; raises as `decide` does."""
        notebook = self.find_notebook(settings, hints)
        binding = decide(
            settings, self._environ, notebook=notebook, load_key=lambda: load_key(self._environ, self._folders.data)
        )
        if binding.is_private:
            # As it is meant to be under every tool that executes notebooks, of which standard error is the user's.
            _log.info(
                LogEvent("private", reason="the notebook's path is not known: the session is private to this kernel")
            )
        return replace(binding, notebook=str(notebook or ""))

    def own_saves(self, settings: Settings, notebook: str) -> "Owner":
        """Return whose the saves of a notebook are, by its path; raises as `load_key`."""
        from remote_kernel.core.saves.owner import Owner  # late, as the start of a kernel waits for imports

        return Owner.of(
            load_key(self._environ, self._folders.data),
            user=user_name(self._environ, login_name()),
            notebook=notebook or settings.identifier or "",
            pod_kernel=settings.pod_kernel,
        )
