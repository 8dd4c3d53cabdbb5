"""Choice of a workspace: which folder of this machine is to be the same in the session, and where it is there."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from remote_kernel.client.files.local_paths import expand_user
from remote_kernel.core.errors import SettingsError
from remote_kernel.core.identity import Scope
from remote_kernel.core.settings import Settings
from remote_kernel.kernel.launch.options import Place

if TYPE_CHECKING:
    from remote_kernel.core.project_settings import ProjectSettings

OFF = ""

# How the data folder is called where a folder below it could be meant.
DATA_FOLDER = "."


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspacePlace:
    """A workspace, here and in the session.

    Attributes:
        root: the folder here.
        folder: the folder in the session, below its data folder; "" for that itself.
        cwd: the notebook's folder in the session, below the data folder.
        name: of the notebook; "" where nobody knows it.
        brings_back: whether what cells change there comes back.
    """

    root: Path
    folder: str
    cwd: str
    name: str = ""
    brings_back: bool = True

    @property
    def in_session(self) -> Place:
        """The place of the notebook in the session."""
        path = "/".join(part for part in (self.cwd, self.name) if part) if self.name else ""
        return Place(workspace=self.folder or DATA_FOLDER, cwd=self.cwd, notebook=path)

    @classmethod
    def choose(
        cls, setting: str, *, notebook_folder: Path, scope: Scope, name: str = "", brings_back: bool = True
    ) -> Self | None:
        """Return the workspace that a setting means; `None` where it is empty.

        A session of one notebook has its workspace as its data folder; in one that notebooks share, each workspace has
        a folder of its own there, as they may have several.

        Args:
            setting: a path; what is relative is relative to the notebook's folder.

        Raises:
            SettingsError: there is no such folder, or the notebook is not in it.
        """
        if setting == OFF:
            return None
        base = notebook_folder.resolve()
        root = (base / expand_user(setting)).resolve()
        if not root.is_dir():
            raise SettingsError(f"The workspace '{setting}' is no folder: there is none at {root}")
        if not base.is_relative_to(root):
            raise SettingsError(
                f"The workspace {root} does not hold the notebook: choose the notebook's folder ({base}), or one above"
            )
        digest = hashlib.sha256(str(root).encode("utf-8", "surrogateescape")).hexdigest()
        folder = f"workspace-{digest[:8]}" if scope is Scope.PROJECT else ""
        below = base.relative_to(root).as_posix()
        cwd = "/".join(part for part in (folder, below) if part not in ("", "."))
        return cls(root=root, folder=folder, cwd=cwd, name=name, brings_back=brings_back)


def read_configured(settings: Settings, project: "ProjectSettings | None") -> tuple[str, bool]:
    """Return the workspace that is configured, "" for none, and whether what cells change in it comes back.

    Raises:
        SettingsError: that of the project leads out of it.
    """
    of_settings, is_wanted = settings.workspace, settings.brings_workspace_back
    if is_wanted is None:
        is_wanted = project is None or project.workspace_down is not False
    return of_settings or _of_project(project), is_wanted


def _of_project(project: "ProjectSettings | None") -> str:
    if project is None or not project.workspace:
        return OFF
    folder = Path(project.folder)
    path = folder / project.workspace
    if not path.resolve().is_relative_to(folder.resolve()):  # a project of somebody else must not send more than itself
        raise SettingsError(
            f"'workspace' in {folder}/pyproject.toml is a link that leads out of the project: name a folder in it"
        )
    return str(path)
