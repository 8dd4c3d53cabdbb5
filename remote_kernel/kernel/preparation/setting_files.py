"""Files of this machine that say what a session gets of it, as projects and the environment name them."""

import contextlib
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from remote_kernel.client.files.local_paths import current_folder
from remote_kernel.core.errors import UsageError
from remote_kernel.core.settings import Settings
from remote_kernel.kernel.launch.project_file import find_project
from remote_kernel.kernel.launch.startup_file import startup_path

if TYPE_CHECKING:
    from remote_kernel.core.project_settings import ProjectSettings


class SettingFiles:
    """Startup files, and what packages are named by: it has pip look for something on this machine.

    Args:
        notebook: the path of the one that runs, "" where nobody knows it.
        root: the workspace, where other notebooks may have the same one.
    """

    def __init__(self, settings: Settings, notebook: str, root: Path) -> None:
        self._settings = settings
        self._notebook = notebook
        self._root = root
        self._named: dict[Path, Collection[Path]] = {}

    def find(self, projects: Iterable[Path]) -> Collection[Path]:
        """Return them as they are named now; those of the last time where settings cannot be read. Blocks.

        Args:
            projects: folders of the workspace with settings of their own.
        """
        folders = {self._root, *projects}
        with contextlib.suppress(UsageError):  # somebody has removed it
            folders.add(Path(self._notebook).parent if self._notebook else current_folder())
        for folder in folders:
            with contextlib.suppress(UsageError):
                project = find_project(folder)
                startup = startup_path(self._settings, project)
                self._named[folder] = {*([startup] if startup else []), *_packages_of(project)}
        return set().union(*self._named.values())


def _packages_of(project: "ProjectSettings | None") -> Collection[Path]:
    if project is None or not (project.packages or project.packages_file):
        return ()
    from remote_kernel.client.packages.requirements import paths_named_by  # late: most projects have none

    return paths_named_by(project)
