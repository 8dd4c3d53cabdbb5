"""Which folder is a notebook's workspace, and where it is in the session."""

from pathlib import Path

import pytest

from remote_kernel.core.errors import RemoteKernelError, SettingsError
from remote_kernel.core.identity import Scope
from remote_kernel.core.project_settings import ProjectSettings
from remote_kernel.core.settings import Settings
from remote_kernel.kernel.session.workspace_choice import WorkspacePlace, read_configured


@pytest.fixture
def notebook_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "project" / "notebooks"
    folder.mkdir(parents=True)
    return folder


def choose(setting: str, folder: Path, scope: Scope = Scope.NOTEBOOK) -> WorkspacePlace | None:
    return WorkspacePlace.choose(setting, notebook_folder=folder, scope=scope)


def test_no_setting_is_no_workspace(notebook_folder: Path) -> None:
    assert choose("", notebook_folder) is None


@pytest.mark.parametrize(
    ("setting", "levels", "cwd"), [(".", 0, ""), ("..", 1, "notebooks"), ("../..", 2, "project/notebooks")]
)
def test_folder_at_or_above_the_notebook_s(notebook_folder: Path, setting: str, levels: int, cwd: str) -> None:
    place = choose(setting, notebook_folder)
    root = [notebook_folder, *notebook_folder.parents][levels]
    assert place == WorkspacePlace(root=root, folder="", cwd=cwd)
    assert choose(str(root), notebook_folder) == place


def test_workspaces_of_a_shared_session_have_a_folder_each(notebook_folder: Path) -> None:
    one, other = (choose(setting, notebook_folder, Scope.PROJECT) for setting in (".", ".."))
    assert one is not None
    assert other is not None
    assert one.folder != other.folder
    assert one.cwd == one.folder
    assert other.cwd == f"{other.folder}/notebooks"


@pytest.mark.parametrize("setting", ["missing", "file.txt", "~nobody-of-this-name/x"])
def test_what_is_no_folder_is_told(notebook_folder: Path, setting: str) -> None:
    (notebook_folder / "file.txt").touch()
    with pytest.raises(RemoteKernelError, match=r"is no folder|there is no user"):
        choose(setting, notebook_folder)


def test_folder_without_the_notebook_is_told(notebook_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(SettingsError, match="does not hold the notebook"):
        choose(str(tmp_path / "elsewhere"), notebook_folder)


def test_project_sends_no_more_than_itself(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "above").symlink_to("..")
    for workspace in (".", "above/project"):
        named = ProjectSettings(folder=str(project), workspace=workspace)
        assert Path(read_configured(Settings(), named)[0]).resolve() == project
    with pytest.raises(SettingsError, match="leads out of the project"):
        read_configured(Settings(), ProjectSettings(folder=str(project), workspace="above"))
