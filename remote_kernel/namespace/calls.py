"""Calls: what the agent asks the program to do."""

from __future__ import annotations

import os
from typing import Any

from remote_kernel.namespace import processes
from remote_kernel.namespace.pickling import libraries
from remote_kernel.namespace.pickling.classes import number_classes
from remote_kernel.namespace.pickling.standing import standing_objects
from remote_kernel.namespace.restoring import Restoring, compare
from remote_kernel.namespace.saving import Limits, Saving
from remote_kernel.namespace.variables import variables_of


class Program:
    """The program in one interpreter: its calls by their names, each from JSON to JSON.

    Args:
        shell: IPython's.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._children: dict[str, int] = {}

    def save(self, folder: str, known: list[str], limits: dict[str, Any], *, fork: bool = True) -> dict[str, Any]:
        """Begin a save in a child, or, where none can be, do it."""
        libraries.load("cloudpickle")
        os.makedirs(folder, exist_ok=True)
        number_classes(variables_of(self._shell).values())
        saving = Saving(self._shell, folder, known, Limits(**limits), standing_objects(self._shell))
        if fork and processes.can_fork():
            try:
                pid = processes.fork_child(lambda: saving.run(processes.Workers))
            except OSError:
                pid = 0  # there is no memory for a child, or no room for a process
            if pid:
                self._children[folder] = pid
                return {"mode": "fork", "pid": pid}
        saving.run(processes.InPlace)
        return {"mode": "in place", "pid": None}

    def cancel(self, folder: str) -> dict[str, Any]:
        """End the child of a job."""
        pid = self._children.pop(folder, None)
        if pid is not None:
            processes.end_child(pid)
        return {}

    def restore(
        self, folder: str, objects: str, packs: list[Any], names: list[str] | None = None, *, force: bool = False,
        group_seconds: float = 60.0, **_: Any,
    ) -> dict[str, Any]:  # fmt: skip
        """Restore variables, and return the report."""
        os.makedirs(folder, exist_ok=True)
        restoring = Restoring(self._shell, folder, objects, names, group_seconds)
        return restoring.run([pack["objects"] for pack in packs], force=force)

    def compare(self, python: str, libraries: dict[str, str]) -> dict[str, Any]:
        """Say which versions differ from those of a save, before anything is loaded."""
        return {"warnings": compare(python, libraries)}

    def changed(self) -> dict[str, Any]:
        """Say what changes when a cell has run."""
        return {"count": self._shell.execution_count, "variables": len(variables_of(self._shell))}
