"""Launch options of this kernel's interpreters, put together from settings, environment and project."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from remote_kernel.client.files.local_paths import current_folder
from remote_kernel.core.errors import SettingsError, UsageError
from remote_kernel.core.settings import Settings
from remote_kernel.core.wire.launch import MAX_LAUNCH_BYTES, MAX_VARIABLES, Launch
from remote_kernel.kernel.launch.project_file import find_project

if TYPE_CHECKING:
    from remote_kernel.core.project_settings import ProjectSettings

HASH_SEED = "PYTHONHASHSEED"


class Place(NamedTuple):
    """Place of the notebook in the session, by paths relative to the pod's data folder: see `Launch`."""

    workspace: str = ""
    cwd: str = ""
    notebook: str = ""


class LaunchOptions:
    """Sources of a kernel's launch options, which are read anew for each session.

    Args:
        environ: of this process.
        notebook: its path; "" where nobody knows it.
    """

    def __init__(self, *, settings: Settings, environ: Mapping[str, str], notebook: str) -> None:
        self._settings = settings
        self._environ = environ
        self._notebook = notebook

    def project(self) -> "ProjectSettings | None":
        """Return the settings of the notebook's project; raises `SettingsError`. It reads files."""
        try:
            start = Path(self._notebook).parent if self._notebook else current_folder()
        except UsageError:  # somebody has removed it
            return None
        return find_project(start)

    def read(self, place: Place | None = None) -> Launch:
        """Return the options of today; raises `SettingsError`. It reads files."""
        place = place or Place(notebook=Path(self._notebook).name)
        project = self.project()
        launch = Launch(
            workspace=place.workspace,
            cwd=place.cwd,
            notebook=place.notebook,
            environ=self._variables(self._settings.forwarded or (project.env if project else ())),
        )
        if self._settings.startup or (project is not None and project.startup):
            launch = self._with_startup(launch, project)
        if len(launch.to_bytes()) > MAX_LAUNCH_BYTES or len(launch.environ) > MAX_VARIABLES:
            raise SettingsError(
                f"The forwarded variables are more than {MAX_VARIABLES:,}, or have more than "
                f"{MAX_LAUNCH_BYTES // 1024} KB together with the startup file: forward fewer, and send files"
            )
        return launch

    def _with_startup(self, launch: Launch, project: "ProjectSettings | None") -> Launch:
        from remote_kernel.kernel.launch.startup_file import read_startup  # late: most kernels have none

        startup = read_startup(self._settings, project)
        return replace(launch, startup=startup.text, startup_name=startup.name)

    def _variables(self, patterns: tuple[str, ...]) -> dict[str, str]:
        forwarded = _select(patterns, self._environ) if patterns else {}
        if not self._settings.hash_seed:
            return forwarded
        return {**forwarded, HASH_SEED: self._environ.get(HASH_SEED) or self._settings.hash_seed}


def _select(patterns: tuple[str, ...], environ: Mapping[str, str]) -> dict[str, str]:
    from remote_kernel.core.forwarding import select  # late: most kernels forward nothing

    return select(patterns, environ)
